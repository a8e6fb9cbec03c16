"""Where pictures come from: anything a user can name becomes pages, upright and 8-bit."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from digitreader.camera import is_webcam, not_a_camera, take
from digitreader.documents import draw, is_pdf
from digitreader.errors import SourceError, first_line
from digitreader.glyphs import SIDE
from digitreader.pictures import (
    KINDS,
    MAX_PIXELS,
    Pixels,
    Shape,
    check_size,
    decode,
    decode_image,
    on_paper,
)
from digitreader.pixel_csv import PIXELS, rows_of

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class Upload:
    """The bytes of a picture, with the name they came with; the name is never opened."""

    name: str
    content: bytes


Source = Union[str, Path, bytes, Upload, "Image.Image", NDArray[np.uint8]]
Decoded = tuple[Pixels | SourceError, Shape | None]  # a page; its shape where it has more pixels

SUFFIXES = frozenset(f".{kind}" for kind in (*KINDS, "npy", "pdf"))
TABLE = ".csv"  # of pixels; a folder's are seldom so
MAX_BYTES = 100_000_000  # of a download or of standard input
SMALL_FILE = 1 << 16  # bytes; such a file is read once, where a larger one is opened as needed
TIMEOUT = 20  # seconds without an answer from a server


@dataclass(frozen=True, eq=False)
class Page:
    """One decoded, upright picture: uint8 [H, W] or [H, W, 3] (RGB), with where it came from.

    `number` counts the pages of one source from 1. `shape` is the picture's own height and width,
    which boxes on it are counted in: a large JPEG is decoded with fewer pixels than it has.
    A `glyph` is in MNIST's form already, and the classifier sees it as it is.
    """

    pixels: Pixels
    source: str
    number: int = 1
    shape: Shape = (0, 0)  # stands for that of the pixels
    glyph: bool = False

    def __post_init__(self) -> None:
        if not any(self.shape):
            height, width = self.pixels.shape[:2]
            object.__setattr__(self, "shape", (height, width))


@dataclass(frozen=True)
class Failed:
    """A page that cannot be opened, and why."""

    source: str
    number: int
    why: str


def open_pages(source: Source, max_pixels: int = MAX_PIXELS) -> Iterator[Page]:
    """Open a source page by page: a file, a URL, `-`, `webcam:0`, bytes, a PIL image or an array.

    A TIFF has pages, and so has a PDF; every frame of an animation is one. Arrays are uint8
    [H, W], or [H, W, 3 | 4] in RGB(A) order; a `.npy` file may hold many pictures, as `stack_in`
    tells; a `.csv` file in Kaggle's form holds a glyph in each row.
    Bytes may have a name, as an `Upload`. A picture that has more than `max_pixels` is refused,
    but a large JPEG is reduced first, and a page of a PDF has its own limit.

    Raises:
        SourceError: it cannot be opened or decoded; the message names it. Pages before the one
            that cannot have been given.
    """
    for page in _each(source, max_pixels):
        if isinstance(page, Failed):
            raise SourceError(page.why)
        yield page


def pages_of(source: Source, max_pixels: int = MAX_PIXELS) -> Iterator[Page | Failed]:
    """Open a source as `open_pages` does, but tell what cannot be opened, in its place."""
    number = 0
    try:
        for page in _each(source, max_pixels):
            number = page.number
            yield page
    except SourceError as error:
        yield Failed(name_of(source), number + 1, str(error))


def _each(source: Source, max_pixels: int) -> Iterator[Page | Failed]:
    """Open a source page by page; a broken page of a document does not end it."""
    name, glyphs = name_of(source), is_table(source)
    for number, (pixels, shape) in enumerate(_decoded(source, name, max_pixels), start=1):
        if isinstance(pixels, SourceError):
            yield Failed(name, number, str(pixels))
        else:
            yield Page(pixels, name, number, shape or (0, 0), glyphs)


def name_of(source: Source) -> str:
    """What a source is called in a reading."""
    if isinstance(source, str | Path):
        return "<stdin>" if source == "-" else str(source)
    if isinstance(source, bytes):
        return "<bytes>"
    if isinstance(source, Upload):
        return source.name
    if isinstance(source, np.ndarray):
        return "<array>"
    return str(getattr(source, "filename", "") or "<image>")


def is_url(text: str) -> bool:
    """Whether this names something on the web."""
    return text.lower().startswith(("http://", "https://"))


def is_table(source: Source) -> bool:
    """Whether this is a file with a table of pixels."""
    return suffix_of(source) == TABLE


def suffix_of(source: Source) -> str:
    """The suffix of a file's name, in small letters; "" where there is no file."""
    if not isinstance(source, str | Path) or is_url(str(source)):
        return ""
    return os.path.splitext(source)[1].lower()  # noqa: PTH122 (of a million names)


def missing(source: str) -> str | None:
    """Say why a source cannot be read, as far as that shows without opening it."""
    if source == "-" or is_url(source):
        return None
    if is_webcam(source):
        return not_a_camera(source)
    if os.path.isfile(source):  # noqa: PTH113 (of a million names)
        return None
    try:
        os.stat(source)  # noqa: PTH116 (which may be no path at all)
    except (FileNotFoundError, ValueError):
        return f"{source}: there is no such file"
    except OSError as error:
        return f"{source}: cannot be read: {error.strerror}"
    return f"{source}: expected a file, this is not one"


# --- opening ----------------------------------------------------------------------------------


def _decoded(source: Source, name: str, max_pixels: int) -> Iterator[Decoded]:
    """Pixels of each page of a source, and the page's shape where it has more."""
    if isinstance(source, np.ndarray):
        yield from_array(source, name, max_pixels), None
    elif isinstance(source, Upload):
        yield from _of_file(source.content, name, max_pixels)
    elif isinstance(source, bytes):
        yield from _of_file(source, name, max_pixels)
    elif not isinstance(source, str | Path):
        yield from zip(decode_image(source, name, max_pixels), repeat(None))
    elif is_webcam(name):
        yield take(name), None
    elif is_table(source):
        yield from zip(_from_table(Path(name)), repeat(None))
    elif suffix_of(source) == ".npy":
        yield from zip(_from_stack(Path(source), name, max_pixels), repeat(None))
    else:
        yield from _of_file(_content(source, name), name, max_pixels)


def _of_file(content: Path | bytes, name: str, max_pixels: int) -> Iterator[Decoded]:
    """Decode a document or a picture file."""
    if _is_pdf(content, name):
        yield from zip(draw(content, name), repeat(None))
    else:
        yield from decode(content, name, max_pixels)


def _content(source: str | Path, name: str) -> Path | bytes:
    """Where the bytes of a picture are: in a file, or here."""
    if source == "-":
        if sys.stdin is None:
            raise SourceError(f"{name}: is closed; expected a picture")
        return _limited(sys.stdin.buffer.read(MAX_BYTES + 1), name)
    if isinstance(source, str) and is_url(source):
        return _downloaded(source)
    why = missing(name)
    if why is not None:
        raise SourceError(why)
    try:
        with open(source, "rb") as file:  # noqa: PTH123 (of a million files)
            content = file.read(SMALL_FILE + 1)
    except OSError as error:
        raise SourceError(f"{name}: cannot be read: {error.strerror}") from error
    return content if len(content) <= SMALL_FILE else Path(source)


def _is_pdf(content: Path | bytes, name: str) -> bool:
    try:
        return is_pdf(content)
    except OSError as error:
        raise SourceError(f"{name}: cannot be read: {error.strerror}") from error


def _downloaded(url: str) -> bytes:
    import urllib.request  # 40 ms that only web addresses cost
    from http.client import HTTPException
    from urllib.error import URLError

    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            return _limited(answer.read(MAX_BYTES + 1), url)
    except (HTTPException, OSError, ValueError) as error:
        # A plain URLError only wraps what went wrong; one with an answer, an HTTPError, names it.
        said = first_line(error.reason if type(error) is URLError else error)
        raise SourceError(f"{url}: cannot be fetched: {said}") from error


def _limited(data: bytes, name: str) -> bytes:
    if not data:
        raise SourceError(f"{name}: empty; expected a picture")
    if len(data) > MAX_BYTES:
        raise SourceError(f"{name}: larger than {MAX_BYTES // 1_000_000} MB")
    return data


# --- arrays -----------------------------------------------------------------------------------


def stack_in(shape: tuple[int, ...], dtype: np.dtype[Any], name: str) -> tuple[int, ...]:
    """Say as which pictures a file's array is read: uint8 [N, H, W] or [N, H, W, 3 | 4].

    [N, 784] is N glyphs. Without N it is one picture; a last axis of 1, 3 or 4 is its colours.

    Raises:
        SourceError: there is no picture in it.
    """
    coloured = len(shape) > 2 and shape[-1] in (1, 3, 4)
    axes = len(shape) - coloured
    if dtype != np.uint8 or axes not in (2, 3) or min(shape) < 1:
        raise SourceError(
            f"{name}: expected uint8 [H, W] or [N, H, W], each also with 1, 3 or 4 colours, "
            f"or [N, {PIXELS}], got {dtype} {list(shape)}"
        )
    if shape[1:] == (PIXELS,):
        return shape[0], SIDE, SIDE
    stack = shape if axes == 3 else (1, *shape)
    return stack[:-1] if coloured and shape[-1] == 1 else stack


def from_array(array: NDArray[np.uint8], name: str, max_pixels: int = MAX_PIXELS) -> Pixels:
    """A picture in an array, uint8 [H, W] or [H, W, 3 | 4], without its transparency.

    Raises:
        SourceError: it is another array, or too large.
    """
    plane = array.ndim == 2
    colours = array.ndim == 3 and array.shape[2] in (3, 4)
    if array.dtype != np.uint8 or not (plane or colours) or not array.size:
        raise SourceError(
            f"{name}: expected uint8 [H, W], [H, W, 3] or [H, W, 4], "
            f"got {array.dtype} {list(array.shape)}"
        )
    check_size(array.shape[1], array.shape[0], name, max_pixels)
    return on_paper(array) if array.shape[2:] == (4,) else array


def _from_stack(path: Path, name: str, max_pixels: int) -> Iterator[Pixels]:
    why = missing(str(path))
    if why is not None:
        raise SourceError(why)
    try:
        array = npy.open_memmap(path, mode="r")  # a stack may be larger than the memory
    except Exception as error:  # NumPy lets out whatever it stumbles on in a damaged header
        raise SourceError(f"{name}: not a readable .npy array: {first_line(error)}") from error
    for picture in array.reshape(stack_in(array.shape, array.dtype, name)):
        yield from_array(np.asarray(picture), name, max_pixels)


def _from_table(path: Path) -> Iterator[Pixels]:
    for rows in rows_of(path):
        for i, image in enumerate(rows.images):
            if i in rows.broken:
                raise SourceError(rows.broken[i])
            yield image
