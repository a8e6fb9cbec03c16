"""The command line: the program's name, its commands, and how it ends."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from io import BufferedWriter, FileIO, TextIOWrapper
from pathlib import Path
from typing import Any

import click

from digitreader import __version__
from digitreader.errors import AS_ESCAPES, DigitReaderError, ExitCode
from digitreader.writing import writing

SHELLS = ("bash", "zsh", "fish")
HOMES = {
    "read": "digitreader.doors.read_cli",
    "batch": "digitreader.doors.batch_cli",
    "page": "digitreader.doors.page_cli",
    "train": "digitreader.doors.train_cli",
    "train-finder": "digitreader.doors.finder_cli",
    "quantize-finder": "digitreader.doors.finder_cli",
    "tune": "digitreader.doors.tune_cli",
    "evaluate": "digitreader.doors.evaluate_cli",
    "export": "digitreader.doors.export_cli",
    "cascade": "digitreader.doors.cascade_cli",
    "networks": "digitreader.doors.networks_cli",
    "serve": "digitreader.doors.serve_cli",
    "data": "digitreader.doors.data_cli",
    "doctor": "digitreader.doors.doctor",
    "completion": "digitreader.doors.cli",
}
ALIASES = {"app": "page"}
# NumPy's threads for large matrices, of which there are none here: their start and their waiting,
# with the processor busy, make a picture's reading a fifth longer.
NUMPY_THREADS = "OPENBLAS_NUM_THREADS"


class Commands(click.Group):
    """Imports a command when it is asked for, so that reading starts in an instant."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Give the commands in the order of the table."""
        return list(HOMES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command from its home."""
        cmd_name = ALIASES.get(cmd_name, cmd_name)
        if cmd_name not in HOMES:
            return None
        command = getattr(import_module(HOMES[cmd_name]), cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command


@click.group(
    cls=Commands,
    commands={name: click.Command(name) for name in HOMES},  # so that click suggests the nearest
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 all well; 1 some pictures failed; 2 wrong usage; "
    "3 a model, a dataset or an extra is missing or broken; 4 a file cannot be written; "
    "130 interrupted.",
)
@click.version_option(__version__, prog_name="digitreader")
def cli() -> None:
    """Read handwritten digits from any picture, and say how sure that is.

    \b
    digitreader read photo.jpg                 the digits in a picture
    digitreader read scans/ -o readings.csv    a folder of pictures, as CSV
    digitreader train                          a network on MNIST, in about a minute
    """


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash:  eval "$(digitreader completion bash)"     in ~/.bashrc
    zsh:   eval "$(digitreader completion zsh)"      in ~/.zshrc
    fish:  digitreader completion fish | source      in ~/.config/fish/config.fish
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None  # click knows the three shells
    click.echo(found(cli, {}, "digitreader", "_DIGITREADER_COMPLETE").source())


def main() -> None:
    """Run the command line and leave with its exit code."""
    os.environ.setdefault(NUMPY_THREADS, "1")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=AS_ESCAPES)
    if isinstance(sys.stdout, TextIOWrapper) and not sys.stdout.isatty():  # which is never full
        sys.stdout = _telling(sys.stdout)
    sys.exit(run(sys.argv[1:]))


class _EnoughError(Exception):
    """Whoever reads our output has enough."""


class _Output(FileIO):
    """Standard output, whose errors are its own: others of the system may be of any file."""

    def write(self, content: Any, /) -> int:
        """Write, and end well where nobody reads on, or clearly where the disk is full."""
        try:
            return super().write(content)
        except OSError as error:
            # What is left to write would fail once more when Python ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            if isinstance(error, BrokenPipeError):
                raise _EnoughError from error
            with writing(Path("standard output")):
                raise


def _telling(stream: TextIOWrapper) -> TextIOWrapper:
    """Standard output as it was opened, that tells what keeps it from being written."""
    raw = _Output(stream.fileno(), "w", closefd=False)
    return TextIOWrapper(
        BufferedWriter(raw), stream.encoding, AS_ESCAPES,
        line_buffering=stream.line_buffering, write_through=stream.write_through,
    )  # fmt: skip


def run(arguments: list[str]) -> int:
    """Run one command, print what went wrong as one line, and return the exit code."""
    try:
        code = cli.main(arguments, prog_name="digitreader", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except DigitReaderError as error:
        click.echo(f"Error: {error}", err=True)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return ExitCode.INTERRUPTED
    except _EnoughError:
        return ExitCode.OK
    return int(code or ExitCode.OK)
