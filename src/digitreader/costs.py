"""What it would take to decode a picture file, told from its header: too much is refused.

A file of 40 bytes may be a picture of 100 million pixels, and one of a megabyte may keep its
decoder busy for an hour. The limits let through what cameras, scanners and programs write.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from itertools import islice
from mmap import ACCESS_READ, mmap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

MILLION = 1_000_000
FRAME = 40 * MILLION  # px that are laid over others; Pillow holds up to five such, 4 bytes each
# values that a JPEG in several scans may have, one for each colour of a px: all are held, 2 bytes
# each, and 100 million px in CMYK would take 1 GB.
IN_SCANS = 300 * MILLION
SCANS = 200  # of one colour each; 14 are usual
SCANNED = 3000 * MILLION  # px of all scans; 100 million take up to 0.1 s
BY_PYTHON = 2 * MILLION  # bytes that Pillow decodes in Python, at 0.7 to 1.4 s a million
COMMENTS = 1000  # between pixels that are written as text; for each Pillow copies up to 1 MB

MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")  # in a JPEG, what is no data
BARE = (b"\x01", b"\xd8")  # markers after which there is no length
SCAN, END = b"\xda", b"\xd9"


def too_costly(image: Image.Image) -> str | None:
    """Say what is too much of an image that Pillow has opened, and not decoded yet.

    Raises:
        UnidentifiedImageError: it has a format that is not read; Pillow knows many more.
    """
    from PIL import UnidentifiedImageError

    if image.format not in CHECKS:
        raise UnidentifiedImageError
    return CHECKS[image.format](image)


def _frames(image: Any) -> str | None:
    """Whether frames that are laid over each other are too large.

    WebP's decoder does so with a single one, and a GIF of that size is none that one scans.
    """
    still = image.format == "PNG" and not image.is_animated
    if still or image.width * image.height <= FRAME:
        return None
    return f"more than {FRAME // MILLION} million pixels, too many for an animation, GIF or WebP"


def _scans(image: Any) -> str | None:
    """Whether a JPEG in several scans, as progressive ones are, has too many for its size."""
    with _content(image) as content:
        colours = _colours(content)
        if next(colours, 0) == image.layers and "progressive" not in image.info:
            return None  # the first scan is the last
        scans = image.layers + sum(islice(colours, SCANS))
    pixels = image.width * image.height
    if pixels * image.layers <= IN_SCANS and scans <= SCANS and scans * pixels <= SCANNED:
        return None
    return "a JPEG in too many scans for its size; save it anew, not as a progressive one"


def _colours(jpeg: mmap | memoryview) -> Iterator[int]:
    """How many colours there are in each scan."""
    at = 0
    while (marker := MARKER.search(jpeg, at)) and marker[1] != END:
        at = marker.end()
        if marker[1] == SCAN:
            yield jpeg[at + 2]
        if marker[1] not in BARE:
            at += int.from_bytes(jpeg[at : at + 2])


def _by_python(image: Any) -> str | None:
    """Whether a file of a rare kind is large: run-length coded, written as text, of odd depth."""
    if image.tile[0][0] not in ("bmp_rle", "ppm", "ppm_plain"):
        return None
    with _content(image) as content:
        if len(content) > BY_PYTHON:
            return f"more than {BY_PYTHON // MILLION} MB in a form that takes long; save it as PNG"
        comments = image.tile[0][0] == "ppm_plain" and bytes(content).count(b"#")
    return f"more than {COMMENTS} comments between its pixels" if comments > COMMENTS else None


@contextmanager
def _content(image: Any) -> Iterator[mmap | memoryview]:
    """Give the bytes of an image's file."""
    if isinstance(image.fp, BytesIO):
        with image.fp.getbuffer() as content:
            yield content
    else:
        with mmap(image.fp.fileno(), 0, access=ACCESS_READ) as content:
            yield content


CHECKS: dict[str | None, Callable[[Any], str | None]] = {
    "PNG": _frames,
    "GIF": _frames,
    "WEBP": _frames,
    "JPEG": _scans,
    "MPO": _scans,
    "PPM": _by_python,
    "BMP": _by_python,
    "TIFF": lambda image: None,  # what its decoders take is what its pixels do
}
