"""Pictures from a file's content: their pages, read."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from itertools import islice
from pathlib import Path

from digitreader.doors.page.history import Pages
from digitreader.errors import DigitReaderError
from digitreader.ink import working_copy
from digitreader.pictures import KINDS
from digitreader.reader import Reader
from digitreader.reading import Reading
from digitreader.sources import SUFFIXES, Page, Upload

TAKEN = (*KINDS, "pdf")
MOST_PAGES = 100  # of one file; for more there is the command line


def read_file(reader: Reader, name: str, content: bytes) -> Pages:
    """Read the pages of a picture or a document; what goes wrong is a reading with its error."""
    pages: Pages = []
    try:
        read = reader.read_pages([Upload(name, content)])
        pages += ((page and _kept(page), reading) for page, reading in islice(read, MOST_PAGES))
        if next(read, None):
            raise DigitReaderError(
                f"{name}: only the first {MOST_PAGES} pages were read; "
                "the command 'digitreader read' reads all"
            )
    except DigitReaderError as error:
        failed = Reading.failed(name, len(pages) + 1, reader.model, str(error))
        pages.append((None, failed))
    return pages


def _kept(page: Page) -> Page:
    """Return a page no larger than reading needs it, for a session has many."""
    return replace(page, pixels=working_copy(page.pixels))


def examples() -> dict[str, Path]:
    """Return the example pictures by name: those in the package, or beside its source."""
    homes = (Path(str(files(__package__))) / "examples", Path(__file__).parents[4] / "examples")
    folder = next(home for home in homes if home.is_dir())
    paths = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES)
    return {path.stem.replace("_", " "): path for path in paths}
