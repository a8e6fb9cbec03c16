"""How a page was read, in pictures: the page, its ink, its characters, their glyphs."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from digitreader.cells import Found
from digitreader.finder import HALF, Finder
from digitreader.glyphs import SIDE
from digitreader.ink import inked, working_copy
from digitreader.outputs import annotated
from digitreader.reading import Reading
from digitreader.sources import Page

DIGIT, OTHER = (40, 130, 30), (60, 120, 200)  # RGB
ACROSS = 12  # glyphs a row
ZOOM = 2  # a glyph's pixels in a picture

Picture = NDArray[np.uint8]  # [H, W, 3]


def steps_of(page: Page, reading: Reading) -> dict[str, Picture]:
    """Draw a page at every step of its reading: RGB, uint8 [H, W, 3] each, by name, in order."""
    pixels = working_copy(page.pixels)
    colours = pixels if pixels.ndim == 3 else np.repeat(pixels[..., np.newaxis], 3, axis=2)
    writing = inked(pixels)
    return {
        "page": colours,
        "ink": _grey(np.rint(255 - 255 * writing.ink)),
        "characters": _characters(colours, Finder.open().find(writing)),
        "glyphs": _glyphs(reading),
        "reading": np.asarray(annotated(page.pixels, reading, page.shape)),
    }


def _grey(levels: NDArray[np.float32] | Picture) -> Picture:
    """Grey levels 0–255, [H, W], as RGB."""
    return np.repeat(levels.astype(np.uint8)[..., np.newaxis], 3, axis=2)


def _characters(page: Picture, found: list[Found]) -> Picture:
    """Draw a box around every character: digits green, other writing blue."""
    drawn = page.copy()
    for f in found:
        digit, box = f.digit > HALF, f.box
        colour, line = (DIGIT, 2) if digit else (OTHER, 1)
        cv2.rectangle(drawn, (box.x, box.y), (box.right, box.bottom), colour, line)
    return drawn


def _glyphs(reading: Reading) -> Picture:
    """Lay the digits' glyphs in rows, as the classifier sees them."""
    blank = np.zeros((SIDE, SIDE), np.uint8)
    seen = [digit.glyph for digit in reading.digits] or [blank]
    across = min(ACROSS, len(seen))
    seen += [blank] * (-len(seen) % across)
    rows = [np.hstack(seen[i : i + across]) for i in range(0, len(seen), across)]
    return _grey(np.vstack(rows).repeat(ZOOM, axis=0).repeat(ZOOM, axis=1))
