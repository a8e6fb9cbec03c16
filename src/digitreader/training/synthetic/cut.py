"""Glyphs cut from synthetic pages: what the classifier will be given, remains of neighbours too."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from digitreader.glyphs import to_glyph
from digitreader.ink import inked
from digitreader.marks import marks_of
from digitreader.reading import Box
from digitreader.training.datasets import Split
from digitreader.training.synthetic.hands import Hands
from digitreader.training.synthetic.pages import Range, synthetic_page
from digitreader.training.synthetic.sheet import OTHER

BOUNDS = Range(side=(240, 640), digit=(18.0, 64.0))
OFF = 0.05  # of a box's sides that the finder may be off at each edge
LEAST_INK = 12.0  # mean of a glyph in 0–255; with less the writing was too faint to be seen


def cut_glyphs(hands: Hands, count: int, seed: int) -> Split:
    """Cut so many digits out of pages, as the reader would: the same again for the same seed."""
    images: list[NDArray[np.uint8]] = []
    targets: list[int] = []
    number = 0
    while len(images) < count:
        rng = np.random.default_rng((seed, 4, number))
        number += 1
        page = synthetic_page(hands, rng, bounds=BOUNDS)
        if not page.digits:
            continue
        boxes = [_about(mark.box, page.pixels.shape, rng) for mark in page.written]
        for mark, cut in zip(page.written, marks_of(inked(page.pixels), boxes), strict=True):
            glyph = to_glyph(cut.ink)
            if mark.label != OTHER and glyph.mean() > LEAST_INK:
                images.append(glyph)
                targets.append(int(mark.label))
    return Split(np.stack(images[:count]), np.array(targets[:count], np.int64))


def _about(box: Box, shape: tuple[int, ...], rng: np.random.Generator) -> Box:
    """A box as the finder would give it."""
    off = rng.uniform(-OFF, OFF, 4) * (box.width, box.height, box.width, box.height)
    left, top = max(0, round(box.x + off[0])), max(0, round(box.y + off[1]))
    right = min(shape[1], max(left + 2, round(box.right + off[2])))
    bottom = min(shape[0], max(top + 2, round(box.bottom + off[3])))
    return Box(left, top, max(1, right - left), max(1, bottom - top))
