"""Pictures from a file's content, from the camera, or from the examples: their pages, read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

from digitreader.doors.page.history import Pages
from digitreader.errors import DigitReaderError
from digitreader.ink import working_copy
from digitreader.reader import Reader
from digitreader.reading import Reading
from digitreader.sources import SUFFIXES, Page

KINDS = sorted(suffix.removeprefix(".") for suffix in SUFFIXES)
MOST_PAGES = 100  # of one file; for more there is the command line


def read_file(reader: Reader, name: str, content: bytes) -> Pages:
    """Read every page of a file: a picture, or a document, whose kind its name may tell."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / Path(name).name
        path.write_bytes(content)
        return [
            (page and _kept(page, name), _renamed(reading, str(path), name))
            for page, reading in _pages(reader, path)
        ]


def _pages(reader: Reader, path: Path) -> Iterator[tuple[Page | None, Reading]]:
    """Read the first pages of a file; what goes wrong is a reading with its error."""
    number = 0
    try:
        for number, (page, reading) in enumerate(reader.read_pages([path]), start=1):
            if number > MOST_PAGES:
                raise DigitReaderError(
                    f"{path}: has more than {MOST_PAGES} pages; the first {MOST_PAGES} were read, "
                    f"'digitreader read' reads them all"
                )
            yield page, reading
    except DigitReaderError as error:
        yield None, Reading.failed(str(path), max(number, 1), reader.model, str(error))


def _kept(page: Page, name: str) -> Page:
    """Return a page no larger than reading needs it, for a session has many."""
    return replace(page, pixels=working_copy(page.pixels), source=name)


def _renamed(reading: Reading, path: str, name: str) -> Reading:
    """Return a reading with the name that a user knows."""
    error = reading.error and reading.error.replace(path, name)
    return replace(reading, source=name, error=error)


def examples() -> dict[str, Path]:
    """Return the example pictures by name: those in the package, or beside its source."""
    homes = (Path(str(files(__package__))) / "examples", Path(__file__).parents[4] / "examples")
    folder = next(home for home in homes if home.is_dir())
    paths = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES)
    return {path.stem.replace("_", " "): path for path in paths}
