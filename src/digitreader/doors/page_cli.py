"""`digitreader page`: the page in the browser."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import click

from digitreader.errors import ExitCode, needs_extra


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8501, show_default=True)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="The address to listen on; 0.0.0.0 lets others on the network in.",
)
@click.option(
    "--model",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="An .onnx file made by `digitreader train`; the default comes with the package.",
)
@click.option(
    "--corrections",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("corrections"),
    show_default=True,
    help="The folder for digits whose right answer was given, to train with.",
)
@click.option("--no-browser", is_flag=True, help="Open no window; the address is printed.")
def page(port: int, host: str, model: Path | None, corrections: Path, no_browser: bool) -> int:
    """Open the page in the browser: upload, draw, photograph.

    It shows what was read and why, and takes the right answer where a digit is wrong. Pictures
    stay on this machine. Ctrl-C ends it. `digitreader app` is the same command.

    \b
    digitreader page
    digitreader page --model runs/mnist-default-0/model.onnx
    digitreader train --from shipped --dataset folder:corrections     what it learns from
    """
    with needs_extra("the page", "page"):
        from streamlit.web.cli import main
    settings = {
        "server.port": port,
        "server.address": host,
        "server.headless": no_browser,
    }
    flags = [f"--{name}={value}" for name, value in settings.items()]
    script = str(files("digitreader.doors.page") / "app.py")
    chosen = [f"--corrections={corrections}", *([f"--model={model}"] if model else [])]
    main(["run", script, *flags, "--", *chosen], standalone_mode=False)
    return ExitCode.INTERRUPTED  # nothing else ends it; Streamlit comes back as if all were done
