"""From a digit's ink to its glyph: the 28×28 form MNIST has."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from digitreader.levels import percentile

GLYPH_FORM = 1  # written in a model's metadata; raise it when glyphs change
SIDE = 28  # px
BOX = 20  # px, longest side of the ink in a glyph
BRIGHT, BRIGHT_SHARE = 0.79, 70  # 99% of MNIST's images have 30% of their ink above it
CENTRE = 14.5  # px from the edge: MNIST puts the centre of mass into the middle of pixel 14
OFF_CENTRE = 0.6  # px; MNIST's own rounding leaves up to 0.52


def to_glyph(ink: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Glyph of one digit: float32 [h, w] in 0–1, ink bright → uint8 [28, 28], ink bright.

    A picture that already is in MNIST form stays as it is.
    """
    if is_glyph(ink):
        return np.rint(ink * 255).astype(np.uint8)
    rows, columns = np.nonzero(ink.max(axis=1))[0], np.nonzero(ink.max(axis=0))[0]
    if not rows.size:
        return np.zeros((SIDE, SIDE), np.uint8)
    tight = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return _centred(_bright(_in_box(tight)))


def is_glyph(ink: NDArray[np.float32]) -> bool:
    """Whether the picture already has MNIST's size, box and centre."""
    if ink.shape != (SIDE, SIDE) or not ink.any():
        return False
    rows, columns = np.nonzero(ink.max(axis=1))[0], np.nonzero(ink.max(axis=0))[0]
    longest = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    y, x = centre_of_mass(ink)
    off = max(abs(y - CENTRE), abs(x - CENTRE))
    return bool(BOX - 1 <= longest <= BOX + 1 and off <= OFF_CENTRE and ink.max() > 0.75)


def centre_of_mass(ink: NDArray[np.float32]) -> tuple[float, float]:
    """Row and column of the ink's centre; pixel i reaches from i to i + 1."""
    total = float(ink.sum())
    y = float(ink.sum(axis=1) @ np.arange(ink.shape[0])) / total
    x = float(ink.sum(axis=0) @ np.arange(ink.shape[1])) / total
    return y + 0.5, x + 0.5


def _in_box(tight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Longest side brought to BOX, aspect kept."""
    height, width = tight.shape
    scale = BOX / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.clip(cv2.resize(tight, size, interpolation=how), 0, 1).astype(np.float32)


def _bright(small: NDArray[np.float32]) -> NDArray[np.float32]:
    """Thin and faint strokes made as bright as MNIST's, which are left as they are."""
    usual = percentile(small[small > 0], BRIGHT_SHARE)
    return small if usual >= BRIGHT else np.minimum(small * np.float32(BRIGHT / usual), 1)


def _centred(small: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Pasted with the centre of mass at the middle: float32 [h, w] → uint8 [28, 28]."""
    glyph = np.zeros((SIDE, SIDE), np.uint8)
    height, width = small.shape
    y, x = centre_of_mass(small)
    top = int(np.clip(np.rint(CENTRE - y), 0, SIDE - height))
    left = int(np.clip(np.rint(CENTRE - x), 0, SIDE - width))
    glyph[top : top + height, left : left + width] = np.rint(small * 255)
    return glyph
