"""Tables of pixels in Kaggle's form: a header, then an image of 28×28 a row.

A table is read some rows at a time, and a broken row costs no other. Its images are glyphs
already, for training as for reading.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from digitreader.errors import SourceError, first_line
from digitreader.glyphs import SIDE

PIXELS = SIDE * SIDE
AT_ONCE = 1000  # rows
LONGEST = 100_000  # characters of a line; a row has some 3,000
CUT = "…".encode()  # ends a line that is longer, of which the rest is not read

Images = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Rows:
    """Some rows of a table, one after the other.

    `images` are uint8 [N, 28, 28], as they stand in the table; `labels` are their N names, None
    where the table has none. `broken` says why a row, by its place in `images`, cannot be read;
    its image is blank.
    """

    images: Images
    labels: tuple[str, ...] | None
    broken: dict[int, str]


def rows_of(path: Path, start: int = 0, stop: int | None = None, offset: int = 0) -> Iterator[Rows]:
    """Read a table, or its rows from `start` up to `stop`, a thousand at a time.

    The header names 784 columns of pixels, with or without a `label` before them; a row is an
    image, its pixels whole numbers 0–255. `offset` is where `start` begins, as `places` tells.

    Raises:
        SourceError: the file cannot be read, or is another table; the message names it.
    """
    try:
        with _opened(path) as file:
            labelled = _has_labels(file.readline(LONGEST), path)
            if offset:
                file.seek(offset)
            lines = islice(filter(bytes.strip, _lines(file)), stop and stop - start)
            first = start + 1
            while some := list(islice(lines, AT_ONCE)):
                yield _parsed(some, labelled, f"{path}, row ", first)
                first += len(some)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror})") from error
    if first == 1:
        raise SourceError(f"{path}: expected rows below the header, found none")


def places(path: Path, rows: int) -> Iterator[tuple[int, int, int]]:
    """Cut a table into so many rows each: the first, the one after the last, the first's offset.

    Raises:
        SourceError: the file cannot be read, or is another table; the message names it.
    """
    try:
        with _opened(path) as file:
            header = file.readline(LONGEST)
            _has_labels(header, path)
            start, row, begins, offset = 0, 0, len(header), len(header)
            for line in _lines(file):
                if row - start == rows:
                    yield start, row, begins
                    start, begins = row, offset
                row += bool(line.strip())
                offset = file.tell()
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror})") from error
    if not row:
        raise SourceError(f"{path}: expected rows below the header, found none")
    if row > start:
        yield start, row, begins


def ink_bright(images: Images) -> Images:
    """Images, uint8 [N, 28, 28], as they are; inverted where most border pixels are bright: paper.

    All or none: some images of a set may well fill their frame.
    """
    border = np.ones((SIDE, SIDE), bool)
    border[1:-1, 1:-1] = False
    return images if np.mean(images[:, border] > 127) <= 0.5 else 255 - images


def _opened(path: Path) -> IO[bytes]:
    """Open a table, but no device or pipe, which may have no end."""
    if path.exists() and not path.is_file():
        raise SourceError(f"{path}: expected a file, this is not one")
    return path.open("rb")


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """Yield lines; of one that is too long only its beginning, which is no row."""
    while line := file.readline(LONGEST):
        if len(line) == LONGEST and not line.endswith(b"\n"):
            line += CUT
            while (rest := file.readline(LONGEST)) and not rest.endswith(b"\n"):
                pass
        yield line


def _has_labels(header: bytes, path: Path) -> bool:
    """Whether a label comes first in each row."""
    columns = _plain(header).split(",")
    labelled = columns[0] == "label"
    if len(columns) != PIXELS + labelled or columns[-1].isdecimal():
        raise SourceError(
            f"{path}: expected a header 'pixel0…pixel{PIXELS - 1}', with or without 'label' first, "
            f"got {len(columns)} columns from '{columns[0][:30]}' to '{columns[-1][:30]}'"
        )
    return labelled


def _plain(line: bytes) -> str:
    return line.decode("utf-8-sig", errors="replace").strip().replace('"', "")


def _parsed(lines: list[bytes], labelled: bool, where: str, first: int) -> Rows:
    """Parse rows, the first of which has that number."""
    texts = [_plain(line) for line in lines]
    labels = None
    if labelled:
        named = [text.partition(",") for text in texts]
        labels = tuple(label.strip() for label, _, _ in named)
        texts = [text for _, _, text in named]
    try:
        return Rows(_images(texts), labels, {})
    except ValueError:
        images, broken = _one_by_one(texts)
        return Rows(images, labels, {i: f"{where}{first + i}: {broken[i]}" for i in broken})


def _one_by_one(texts: list[str]) -> tuple[Images, dict[int, str]]:
    """Images of the rows that can be read, blank ones of the others, and why these cannot."""
    images = np.zeros((len(texts), SIDE, SIDE), np.uint8)
    broken: dict[int, str] = {}
    for i, text in enumerate(texts):
        try:
            images[i] = _images([text])[0]
        except ValueError as error:
            broken[i] = str(error)
    return images, broken


def _images(texts: list[str]) -> Images:
    """Images of rows without their labels: uint8 [N, 28, 28]; ValueError where one is broken."""
    for count in (text.count(",") + 1 for text in texts):
        if count != PIXELS:
            raise ValueError(f"expected {PIXELS} pixels, got {count}")
    try:
        pixels = np.loadtxt(texts, np.uint8, delimiter=",", comments=None, ndmin=2)  # [N, 784]
    except ValueError as error:
        why = first_line(str(error).partition(" at row")[0])
        raise ValueError(f"expected whole numbers 0–255, {why}") from error
    return pixels.reshape(-1, SIDE, SIDE)
