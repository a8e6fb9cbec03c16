"""Pictures that are glyphs already, told from others many at a time.

MNIST's own images, and those of everybody who made theirs like them, need no search for ink and no
finder: a page of 28×28 whose clean ink is the picture itself. Finding that out picture by picture,
by the way every page goes, takes a millisecond; here it takes a few microseconds. What is told here
follows from `ink.inked` and `glyphs.is_glyph`, and is never more than they would say: a picture
that is not told here goes the usual way.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from digitreader.glyphs import BOX, CENTRE, OFF_CENTRE, SIDE
from digitreader.ink import (
    BETWEEN,
    LEAST_CONTRAST,
    PAPER_SHARE,
    SAME_LEVEL,
    SPECK_AREA,
    SPECKS,
    STRONG,
)

Glyph = NDArray[np.uint8]
Glyphs = NDArray[np.uint8]
CLEAN = 0.9  # of the paper, that has no noise at all


def glyphs_among(pictures: Sequence[Glyph]) -> dict[int, Glyph]:
    """Return the glyphs of those pictures, by their places, that are glyphs in either polarity.

    Pictures are uint8 [H, W] or [H, W, 3], of any size; glyphs uint8 [28, 28], ink bright.
    """
    small = [i for i, picture in enumerate(pictures) if picture.shape == (SIDE, SIDE)]
    if not small:
        return {}
    found = np.stack([pictures[i] for i in small])  # [N, 28, 28]
    found = np.where(_has_bright_paper(found)[:, None, None], 255 - found, found)
    ready = _is_clean(found) & _is_in_place(found)
    if ready.any():
        ready[ready] = ~_is_grainy(found[ready])
    return {small[i]: found[i] for i in np.flatnonzero(ready)}


def _has_bright_paper(pictures: Glyphs) -> NDArray[np.bool_]:
    """Whether most of the border is bright."""
    border = np.ones((SIDE, SIDE), bool)
    border[1:-1, 1:-1] = False
    return np.asarray(2 * _count(pictures[:, border] > 127) > np.count_nonzero(border))


def _is_clean(glyphs: Glyphs) -> NDArray[np.bool_]:
    """Whether the paper is even, has no noise, and the strokes need no brightening."""
    flat = glyphs.reshape(len(glyphs), -1)  # [N, 784]
    border = np.concatenate(
        [glyphs[:, 0], glyphs[:, -1], glyphs[:, :, 0], glyphs[:, :, -1]], axis=1
    )
    zero = _count(flat == 0)
    paper = _count(flat <= SAME_LEVEL)
    between = _count(flat <= 3 * SAME_LEVEL) - paper
    quiet = _count(flat < 2 * SAME_LEVEL)  # what the noise is measured on
    strokes = _count(flat > 255 * LEAST_CONTRAST)
    strong = _count(flat >= 255 * STRONG)
    return np.asarray(
        (2 * _count(border == 0) > border.shape[1])
        & (paper > PAPER_SHARE * flat.shape[1])
        & (between < BETWEEN * paper)
        & (zero > CLEAN * quiet + 1)
        & (strong > 0.05 * strokes + 1)
    )


def _count(true: NDArray[np.bool_]) -> NDArray[np.uint16]:
    """How many are true of each row: [N, up to 65,535] → [N]."""
    return np.asarray(np.add.reduce(true, axis=1, dtype=np.uint16))


def _is_in_place(glyphs: Glyphs) -> NDArray[np.bool_]:
    """Whether the ink has MNIST's box and centre; see `glyphs.is_glyph`."""
    reach, mass = [], []
    for axis in (1, 2):
        sums = np.add.reduce(glyphs, axis=axis, dtype=np.uint16)  # [N, 28]
        some = sums > 0
        first, last = some.argmax(axis=1), SIDE - 1 - some[:, ::-1].argmax(axis=1)
        reach.append(last - first + 1)
        mass.append(sums @ np.arange(SIDE) / np.maximum(sums.sum(axis=1), 1) + 0.5)
    longest = np.maximum(*reach)
    off = np.maximum(*(np.abs(centre - CENTRE) for centre in mass))
    # A hair less than is_glyph allows: it sums in another order.
    return np.asarray((abs(longest - BOX) <= 1) & (off <= OFF_CENTRE - 1e-3))


def _is_grainy(glyphs: Glyphs) -> NDArray[np.bool_]:
    """Whether a glyph is strewn with specks."""
    grainy = _tops(glyphs) >= SPECKS - 1
    if grainy.any():
        grainy[grainy] = _specks(glyphs[grainy]) >= SPECKS - 1  # the paper may count as one
    return grainy


def _tops(glyphs: Glyphs) -> NDArray[np.uint16]:
    """How many pieces a glyph may have at most: pixels with no ink before, nor above, them."""
    ink = np.pad(glyphs > 0, ((0, 0), (1, 0), (1, 1)))
    here, above = ink[:, 1:], ink[:, :-1]
    joined = here[..., :-2] | above[..., :-2] | above[..., 1:-1] | above[..., 2:]
    return _count((here[..., 1:-1] & ~joined).reshape(len(glyphs), -1))


def _specks(glyphs: Glyphs) -> NDArray[np.int64]:
    """How many of a glyph's pieces are specks: all are laid below each other, a row apart."""
    height = SIDE + 1
    tall = np.zeros((len(glyphs), height, SIDE), np.uint8)
    tall[:, :SIDE] = glyphs > 0
    _, _, stats, _ = cv2.connectedComponentsWithStats(tall.reshape(-1, SIDE), connectivity=8)
    small = stats[1:][stats[1:, cv2.CC_STAT_AREA] < SPECK_AREA]
    return np.bincount(small[:, cv2.CC_STAT_TOP] // height, minlength=len(glyphs))
