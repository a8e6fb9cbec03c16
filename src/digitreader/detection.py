"""What is to be read on a page: its characters, found and cut out, but not yet classified."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from digitreader.cells import DIGITS, Found
from digitreader.finder import HALF, Finder, Looks
from digitreader.glyphs import is_glyph, to_glyph
from digitreader.ink import Inked, inked, working_copy
from digitreader.layout import in_lines, on_page
from digitreader.main_digit import main_digit
from digitreader.marks import marks_of
from digitreader.pieces import SMALL, box_of, centrality, shared_part
from digitreader.reading import Box
from digitreader.sources import Page

Layout = Literal["auto", "single", "page"]
LAYOUTS = get_args(Layout)

ALONE = 0.9  # of the ink: what has so much is the picture's one character
WIDEST = 0.6  # of a digit's width its height is at least
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


class Detector:
    """Finds what is to be read on a page; `digits_only` says whether letters are not."""

    def __init__(self, finder: Finder, *, digits_only: bool) -> None:
        self._finder = finder
        self._digits_only = digits_only

    def detect(self, page: Page, layout: Layout) -> Seen:
        """Find and cut out the page's characters, and say how they stand in lines."""
        writing = inked(working_copy(page.pixels))
        marks = self._marks(writing, layout)
        lines = in_lines([mark.box for mark in marks])
        boxes = [on_page(mark.box, writing.ink.shape, page.shape) for mark in marks]
        return Seen(page.source, page.number, marks, boxes, lines)

    def _marks(self, page: Inked, layout: Layout) -> list[Candidate]:
        """Return what is to be read: the main character, or all of the page's."""
        if layout == "auto" and not self._digits_only and _is_alone(page.ink):
            layout = "single"
        looks: Looks = {}
        if layout == "page" or (layout == "auto" and max(page.ink.shape) >= SMALL):
            marks = self._all_marks(page, looks)
            if marks or layout == "page":
                return marks
            return [mark for mark in self._main_mark(page, looks) if mark.found is not None]
        return [mark.taken_for_a_digit() for mark in self._main_mark(page, looks)]

    def _all_marks(self, page: Inked, looks: Looks) -> list[Candidate]:
        found = self._finder.find(page, looks=looks)
        marks = marks_of(page, [f.box for f in found])
        return [
            Candidate(mark.box, to_glyph(mark.ink), f)
            for mark, f in zip(marks, found, strict=True)
            if (f.digit if self._digits_only else f.character) > HALF
        ]

    def _main_mark(self, page: Inked, looks: Looks) -> list[Candidate]:
        """Return the main character alone; where others touch it, the finder tells them apart."""
        main = main_digit(page.ink)
        if main is None:
            return []
        height = max(main.box.height, WIDEST * main.box.width)
        # To the classifier's own form the finder only adds errors.
        found = [] if is_glyph(page.ink) else self._finder.find(page, height, looks)
        if not found:
            return [Candidate(main.box, to_glyph(main.ink), None)]
        best = max(range(len(found)), key=lambda i: _prominence(found[i], page.ink.shape))
        if shared_part(main.box, found[best].box) < HALF:
            main = marks_of(page, [f.box for f in found])[best]
        return [Candidate(main.box, to_glyph(main.ink), found[best])]


def _is_alone(ink: NDArray[np.float32]) -> bool:
    """Whether one character has nearly all ink: a large letter's parts look like small ones."""
    main = main_digit(ink)
    return main is not None and float(main.ink.sum()) > ALONE * float(ink.sum())


def _prominence(found: Found, shape: tuple[int, ...]) -> float:
    """How sure, central and large a character is in its picture."""
    return found.character * centrality(found.box, shape) * found.box.height
