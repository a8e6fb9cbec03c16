"""The one path from a picture to a reading; every door goes through here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from digitreader.classifier import Classifier
from digitreader.errors import SourceError
from digitreader.glyphs import to_glyph
from digitreader.ink import ink_of, working_copy
from digitreader.layout import Layout, find_digits, on_page
from digitreader.reading import Box, Digit, DigitStatus, Reading, ReadingStatus
from digitreader.sources import Page, Source, name_of, open_pages


class Reader:
    """Reads digits with one model. Safe to share between threads.

    Args:
        model: an `.onnx` file made by `digitreader train`; None means the one that ships.
        min_confidence: digits with less are called unsure; None leaves it to the model.

    Raises:
        ModelError: the model is missing or is not one of ours.
    """

    def __init__(
        self, model: str | Path | None = None, *, min_confidence: float | None = None
    ) -> None:
        self._classifier = Classifier.open(model)
        card = self._classifier.card
        self.model = card.name
        self.labels = card.labels
        self._unsure_below = card.unsure_below if min_confidence is None else min_confidence

    def read(self, source: Source, layout: Layout = "auto") -> Reading:
        """Read a picture: a path, a URL, bytes, a PIL image, or uint8 [H, W] or [H, W, 3 | 4].

        `layout` is `single` (the one main digit), `page` (all of them) or `auto`.

        Raises:
            SourceError: the picture cannot be opened, or has several pages.
        """
        pages = list(islice(open_pages(source), 2))
        if len(pages) > 1:
            raise SourceError(
                f"{name_of(source)}: has several pages; read_many reads them one by one"
            )
        return self.read_page(pages[0], layout)

    def read_many(self, sources: Iterable[Source], layout: Layout = "auto") -> Iterator[Reading]:
        """Read every page of every source, in order, as they are ready.

        A source that cannot be read gives a reading with status `error`, and the rest go on.
        """
        return (reading for _, reading in self.read_pages(sources, layout))

    def read_pages(
        self, sources: Iterable[Source], layout: Layout = "auto"
    ) -> Iterator[tuple[Page | None, Reading]]:
        """As `read_many`, with the page that was read; None where there was none to read."""
        for source in sources:
            number = 0
            try:
                for page in open_pages(source):
                    number = page.number
                    yield page, self.read_page(page, layout)
            except SourceError as error:
                yield None, Reading.failed(name_of(source), number + 1, self.model, str(error))

    def read_page(self, page: Page, layout: Layout = "auto") -> Reading:
        """Read a page that is decoded already."""
        ink = ink_of(working_copy(page.pixels))  # [h, w]
        lines = find_digits(ink, layout)
        marks = [mark for line in lines for mark in line.marks]
        glyphs = np.array([to_glyph(mark.ink) for mark in marks], np.uint8).reshape(-1, 28, 28)
        boxes = [on_page(mark.box, ink.shape, page.pixels.shape) for mark in marks]
        probabilities = self.classify(glyphs)  # [N, K]
        digits = tuple(map(self._digit, boxes, glyphs, probabilities))
        labels = (digit.label for digit in digits)
        text = tuple(
            " ".join("".join(islice(labels, len(number))) for number in line.numbers)
            for line in lines
        )
        return Reading(page.source, page.number, _status(digits), text, digits, self.model)

    def classify(self, glyphs: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Calibrated probabilities of glyphs, uint8 [N, 28, 28], ink bright: float32 [N, K].

        Raises:
            ValueError: the array has another shape or type.
        """
        return self._classifier.probabilities(glyphs)

    def _digit(
        self, box: Box, glyph: NDArray[np.uint8], probabilities: NDArray[np.float32]
    ) -> Digit:
        order = np.argsort(-probabilities, kind="stable")[:3]
        top3 = tuple((self.labels[i], float(probabilities[i])) for i in order)
        label, confidence = top3[0]
        status: DigitStatus = "ok" if confidence >= self._unsure_below else "unsure"
        return Digit(label, confidence, probabilities, top3, box, glyph, status)


def read(source: Source, layout: Layout = "auto") -> Reading:
    """Read a picture with the model that ships; see `Reader.read`."""
    return _shipped_reader().read(source, layout)


@cache
def _shipped_reader() -> Reader:
    return Reader()


def _status(digits: tuple[Digit, ...]) -> ReadingStatus:
    if not digits:
        return "empty"
    return "ok" if all(digit.status == "ok" for digit in digits) else "unsure"
