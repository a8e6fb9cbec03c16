"""What is to be read on a page: its characters, found and cut out, but not yet classified."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from digitreader.cells import DIGITS, Found
from digitreader.pieces import box_of
from digitreader.reading import Box

HARDLY = 0.005  # probability from which a picture is taken to show the one digit that it should


@dataclass(frozen=True, eq=False)
class Candidate:
    """A character to read: its box in ink pixels, its glyph, what the finder made of it."""

    box: Box
    glyph: NDArray[np.uint8]
    found: Found | None

    def taken_for_a_digit(self) -> Candidate:
        """Make it a digit if it may be one: by itself, a 1 might as well be an l."""
        if self.found is None or self.found.digit < HARDLY:
            return self
        classes = self.found.classes.copy()
        classes[:DIGITS] /= self.found.digit
        classes[DIGITS:] = 0
        return Candidate(self.box, self.glyph, Found(self.found.box, classes))


@dataclass(frozen=True, eq=False)
class Seen:
    """All that is to be read on a page: candidates, their boxes in page pixels, how they stand."""

    source: str
    number: int
    candidates: list[Candidate]
    boxes: list[Box]
    lines: list[list[list[int]]]


def alone(source: str, number: int, glyph: NDArray[np.uint8]) -> Seen:
    """Return a page that is one glyph, ink bright."""
    box = box_of(glyph > 0)
    if not box.width:
        return Seen(source, number, [], [], [])
    return Seen(source, number, [Candidate(box, glyph, None)], [box], [[[0]]])
