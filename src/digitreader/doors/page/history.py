"""What was read in a session, and its download."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from digitreader.outputs import write_csv, write_json
from digitreader.reading import Digit, Reading
from digitreader.sources import Page

Pages = list[tuple[Page | None, Reading]]  # each page that was read; None where there was none


class History:
    """Every picture that was read, in order; one that is read again keeps its place."""

    def __init__(self) -> None:
        self._pages: dict[str, Pages] = {}
        self._labels: dict[str, tuple[str, ...]] = {}  # of the model that read

    def find(self, key: str) -> Pages | None:
        """Return what was read under this key."""
        return self._pages.get(key)

    def keep(self, key: str, pages: Pages, labels: tuple[str, ...]) -> Pages:
        """Remember what a model read, in place of what was read under this key before."""
        self._pages[key], self._labels[key] = pages, labels
        return pages

    @property
    def readings(self) -> list[Reading]:
        return [reading for pages in self._pages.values() for _, reading in pages]

    def as_csv(self) -> str:
        """Return a row a digit, as `digitreader read --format csv` writes it.

        Each label of any model has a column; under one that a model does not know stands 0.
        """
        labels = list(dict.fromkeys(label for own in self._labels.values() for label in own))
        readings = (
            _under(labels, self._labels[key], reading)
            for key, pages in self._pages.items()
            for _, reading in pages
        )
        stream = io.StringIO()
        write_csv(readings, stream, labels)
        return stream.getvalue()

    def as_json(self) -> str:
        """Return an object a page, as `digitreader read --format json` writes it."""
        stream = io.StringIO()
        write_json(self.readings, stream, ())
        return stream.getvalue()


def _under(labels: Sequence[str], own: Sequence[str], reading: Reading) -> Reading:
    """Return a reading whose probabilities, in its own labels' order, are in that of others."""
    places = [labels.index(label) for label in own]

    def moved(digit: Digit) -> Digit:
        probabilities = np.zeros(len(labels), np.float32)
        probabilities[places] = digit.probabilities
        return replace(digit, probabilities=probabilities)

    return replace(reading, digits=tuple(map(moved, reading.digits)))
