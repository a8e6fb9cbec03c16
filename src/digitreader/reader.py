"""The one path from a picture to a reading; every door goes through here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from digitreader.cells import DIGITS, Found
from digitreader.classifier import Classifier
from digitreader.detection import LAYOUTS, Candidate, Detector, Layout, Seen, alone
from digitreader.errors import SourceError, UsageError
from digitreader.finder import HALF, Finder
from digitreader.pictures import MAX_PIXELS
from digitreader.pixel_csv import ink_bright, rows_of
from digitreader.reading import DIGIT_LABELS, Box, Digit, DigitStatus, Reading, ReadingStatus
from digitreader.ready_glyphs import glyphs_among
from digitreader.sources import Failed, Page, Source, is_table, name_of, open_pages, pages_of

if TYPE_CHECKING:
    from PIL import Image

CLASSIFIER = 0.22  # the classifier's share in a digit's label; the finder, which sees the
# surroundings, has the rest


class Reader:
    """Reads digits with one model. Safe to share between threads.

    Args:
        model: an `.onnx` file made by `digitreader train`; None means the one that ships.
        min_confidence: digits with less are called unsure; None leaves it to the model.
        threads: that look at a page; 0 means one for each core. Where many pages are read at
            the same time, one each is faster.
        max_pixels: a picture that has more is refused; a large JPEG is reduced first, and a page
            of a PDF has its own limit.

    Raises:
        ModelError: the model is missing or is not one of ours.
        UsageError: `min_confidence` is no probability.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        min_confidence: float | None = None,
        threads: int = 0,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        if min_confidence is not None and not 0 <= min_confidence <= 1:
            raise UsageError(f"min_confidence is {min_confidence}; expected 0 to 1")
        self._classifier = Classifier.open(model)
        self._max_pixels = max_pixels
        self.card = card = self._classifier.card
        self.model = card.name
        self.labels = card.labels
        self._reads_digits = card.labels == DIGIT_LABELS
        self._detector = Detector(Finder.open(threads=threads), digits_only=self._reads_digits)
        self._unsure_below = card.unsure_below if min_confidence is None else min_confidence

    def read(self, source: Source, layout: Layout = "auto") -> Reading:
        """Read a picture: a path, a URL, bytes, a PIL image, or uint8 [H, W] or [H, W, 3 | 4].

        `layout` is `single` (the one main digit), `page` (all of them) or `auto`: a page, or
        where no digit is found on it, and in small pictures, the main one.

        Raises:
            SourceError: the picture cannot be opened, or has several pages.
            UsageError: there is no such layout.
        """
        pages = list(islice(open_pages(source, self._max_pixels), 2))
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
                for page, reading in self._read(source, layout):
                    number = reading.page
                    yield page, reading
            except SourceError as error:
                yield None, Reading.failed(name_of(source), number + 1, self.model, str(error))

    def read_together(
        self, sources: Iterable[Source], layout: Layout = "auto"
    ) -> list[list[Reading]]:
        """Read every page of every source, a list for each, and classify all digits together.

        What cannot be read is a reading with status `error`, as of `read_many`.
        """
        opened = [self._opened(source) for source in sources]
        pages = [page for some in opened for page in some if isinstance(page, Page)]
        readings = iter(self.read_batch(pages, layout))
        return [
            [next(readings) if isinstance(one, Page) else one for one in some] for some in opened
        ]

    def _opened(self, source: Source) -> list[Page | Reading]:
        """Open a source's pages; of a table, which is read many rows at a time, the readings."""
        if is_table(source):
            return list(self.read_many([source]))
        pages = pages_of(source, self._max_pixels)
        return [page if isinstance(page, Page) else self.failed(page) for page in pages]

    def failed(self, page: Failed) -> Reading:
        """Return the reading of a page that cannot be opened."""
        return Reading.failed(page.source, page.number, self.model, page.why)

    def _read(self, source: Source, layout: Layout) -> Iterator[tuple[Page | None, Reading]]:
        if is_table(source):
            yield from self._read_table(name_of(source))
            return
        for page in pages_of(source, self._max_pixels):
            if isinstance(page, Failed):
                yield None, self.failed(page)
            else:
                yield page, self.read_page(page, layout)

    def _read_table(self, name: str) -> Iterator[tuple[Page | None, Reading]]:
        """Read many rows at a time; one that is broken is a reading with status `error`."""
        number = 0
        for rows in rows_of(Path(name)):
            readings = self.read_glyphs(ink_bright(rows.images), name, number + 1)
            for i, reading in enumerate(readings):
                number += 1
                if i in rows.broken:
                    yield None, Reading.failed(name, number, self.model, rows.broken[i])
                    continue
                yield Page(rows.images[i], name, number, glyph=True), reading

    def read_glyphs(
        self, glyphs: NDArray[np.uint8], source: str = "<array>", first: int = 1
    ) -> list[Reading]:
        """Read glyphs, uint8 [N, 28, 28], ink bright, as pages numbered from `first`.

        Raises:
            ValueError: the array has another shape or type.
        """
        return self._readings([alone(source, i, glyph) for i, glyph in enumerate(glyphs, first)])

    def read_page(self, page: Page, layout: Layout = "auto") -> Reading:
        """Read a page that is decoded already."""
        return self.read_batch([page], layout)[0]

    def read_batch(self, pages: Sequence[Page], layout: Layout = "auto") -> list[Reading]:
        """Read pages that are decoded already, as one by one, but classify their digits together.

        Many small pictures are read several times as fast so.
        """
        if layout not in LAYOUTS:
            raise UsageError(f"layout is {layout!r}; expected {', '.join(LAYOUTS)}")
        ready = glyphs_among([page.pixels for page in pages]) if layout != "page" else {}
        seen = [self._see(page, layout, ready.get(i)) for i, page in enumerate(pages)]
        return self._readings(seen)

    def _see(self, page: Page, layout: Layout, glyph: NDArray[np.uint8] | None) -> Seen:
        """Find what is to be read on a page that is not known to be a glyph."""
        if page.glyph:
            glyph = ink_bright(page.pixels[np.newaxis])[0]
        if glyph is not None:
            return alone(page.source, page.number, glyph)
        return self._detector.detect(page, layout)

    def _readings(self, pages: list[Seen]) -> list[Reading]:
        """Classify what was found on pages, and put each page together."""
        candidates = [one for page in pages for one in page.candidates]
        boxes = [box for page in pages for box in page.boxes]
        digits = self._digits(candidates, boxes)
        return [self._reading(page, [next(digits) for _ in page.candidates]) for page in pages]

    def _reading(self, page: Seen, digits: list[Digit]) -> Reading:
        """Put a page's digits together, line by line, number by number."""
        found = _in_context(digits)
        lines = [[[found[i] for i in number] for number in line] for line in page.lines]
        ordered = tuple(digit for line in lines for number in line for digit in number)
        texts = tuple(text for line in lines if (text := _text(line)))
        return Reading(page.source, page.number, _status(ordered), texts, ordered, self.model)

    def classify(self, glyphs: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Calibrated probabilities of glyphs, uint8 [N, 28, 28], ink bright: float32 [N, K].

        Raises:
            ValueError: the array has another shape or type.
        """
        return self._classifier.probabilities(glyphs)

    def explain(self, digit: Digit) -> Image.Image:
        """Draw a digit's glyph, and beside it what on it speaks for each of its likeliest classes.

        Raises:
            ModelError: the model has no activation maps.
        """
        from digitreader.explain import explanation

        return explanation(self._classifier, digit.glyph, digit.top3)

    def _agreed(
        self, read: NDArray[np.float32], candidates: list[Candidate]
    ) -> NDArray[np.float32]:
        """Weigh the classifier's probabilities, [N, K], with the finder's.

        A row sums to the probability that it is a digit at all. A model of other characters
        stands alone: the finder knows digits only.
        """
        if not self._reads_digits:
            return read
        agreed = read.copy()
        for i, one in enumerate(candidates):
            if one.found is not None:
                agreed[i] = _together(read[i], one.found)
        return agreed

    def _digits(self, candidates: list[Candidate], boxes: list[Box]) -> Iterator[Digit]:
        """Say what each candidate is; what can be done for all at once is."""
        if not candidates:
            return
        glyphs = [one.glyph for one in candidates]
        rows = self._agreed(self.classify(np.stack(glyphs)), candidates)  # [N, K]
        likely = np.argsort(-rows, axis=1, kind="stable")[:, :3].tolist()
        is_one = (rows.sum(axis=1) >= HALF).tolist()
        yield from map(self._digit, boxes, glyphs, rows, likely, is_one)

    def _digit(
        self,
        box: Box,
        glyph: NDArray[np.uint8],
        probabilities: NDArray[np.float32],
        likely: list[int],
        is_one: bool,
    ) -> Digit:
        top3 = tuple((self.labels[i], float(probabilities[i])) for i in likely)
        label, confidence = top3[0]
        if not is_one:
            return Digit(None, confidence, probabilities, top3, box, glyph, "not_a_digit")
        status: DigitStatus = "ok" if confidence >= self._unsure_below else "unsure"
        return Digit(label, confidence, probabilities, top3, box, glyph, status)


def read(source: Source, layout: Layout = "auto") -> Reading:
    """Read a picture with the model that ships; see `Reader.read`."""
    return _shipped_reader().read(source, layout)


@cache
def _shipped_reader() -> Reader:
    return Reader()


def _together(read: NDArray[np.float32], found: Found) -> NDArray[np.float32]:
    """Geometric mean of what classifier and finder say, as far as it is a digit: float32 [10]."""
    seen = found.classes[:DIGITS] / max(found.digit, 1e-9)
    logs = CLASSIFIER * np.log(read + 1e-6) + (1 - CLASSIFIER) * np.log(seen + 1e-6)
    powers = np.exp(logs - logs.max())
    return np.asarray(found.digit * powers / powers.sum(), np.float32)


def _text(line: list[list[Digit]]) -> str:
    """Return a line as a reader would say it, without what is no digit."""
    numbers = ("".join(digit.label or "" for digit in number) for number in line)
    return " ".join(number for number in numbers if number)


def _in_context(digits: list[Digit]) -> list[Digit]:
    """Call none sure where most are not: in noise and damage a few look like digits by chance.

    It changes nothing on 90 synthetic pages, 17 real ones and the examples.
    """
    if 2 * sum(digit.status == "ok" for digit in digits) >= len(digits):
        return digits
    return [replace(one, status="unsure") if one.status == "ok" else one for one in digits]


def _status(digits: tuple[Digit, ...]) -> ReadingStatus:
    if not digits:
        return "empty"
    for status in ("ok", "not_a_digit"):
        if all(digit.status == status for digit in digits):
            return status
    return "unsure"
