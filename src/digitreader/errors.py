"""The errors a caller can meet. Each carries its text and the exit code of the command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

MOST_SAID = 200  # characters of a library's message
AS_ESCAPES = "backslashreplace"  # how a file's name that is no text is written


class ExitCode(IntEnum):
    """What the command line ends with."""

    OK = 0
    SOME_FAILED = 1
    USAGE = 2
    MISSING = 3
    UNWRITTEN = 4
    INTERRUPTED = 130


class DigitReaderError(Exception):
    """One clear line: what was expected, what came, what to do.

    A name in it may hold anything, even a terminal's commands: what cannot be printed is escaped.
    """

    exit_code: ExitCode = ExitCode.SOME_FAILED

    def __str__(self) -> str:
        return printable(super().__str__())


class SourceError(DigitReaderError):
    """A picture could not be opened or decoded; other pictures still can."""


class UsageError(DigitReaderError):
    """An argument or setting makes no sense."""

    exit_code = ExitCode.USAGE


class DivergedError(UsageError):
    """A training's loss is no number any more; what it makes is no use."""


class DataError(DigitReaderError):
    """A dataset is missing, incomplete or not what its name says."""

    exit_code = ExitCode.MISSING


class ModelError(DigitReaderError):
    """A model file is missing, corrupt or not one of ours."""

    exit_code = ExitCode.MISSING


class WriteError(DigitReaderError):
    """A file or a folder could not be written; what was there before is as it was."""

    exit_code = ExitCode.UNWRITTEN


class StoppedError(DigitReaderError):
    """Ctrl-C came before there was anything to keep."""

    exit_code = ExitCode.INTERRUPTED


class MissingExtraError(DigitReaderError):
    """A part of the program needs an optional dependency that is not installed."""

    exit_code = ExitCode.MISSING

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs the '{extra}' extra, which is not installed: "
            f"pip install 'digitreader[{extra}]'"
        )
        self._lacking = feature, extra

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str]]:
        return type(self), self._lacking  # or no process could tell another of it


def printable(text: str) -> str:
    """Return a text with escapes for what would end a line or command a terminal."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def first_line(said: object) -> str:
    """What a library says of its error, for a line of ours: its first, cut where it is long."""
    line = next(iter(str(said).splitlines()), "").strip() or type(said).__name__
    return line if len(line) <= MOST_SAID else f"{line[: MOST_SAID - 1]}…"


@contextmanager
def needs_extra(feature: str, extra: str) -> Iterator[None]:
    """Turn a library that is not installed into the command that installs it.

    Raises:
        MissingExtraError: something imported inside is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("digitreader"):
            raise
        raise MissingExtraError(feature, extra) from error
