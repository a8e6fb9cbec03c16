"""What was read in a session, and its download."""

from __future__ import annotations

import io
from collections.abc import Sequence

from digitreader.outputs import write_csv, write_json
from digitreader.reading import Reading
from digitreader.sources import Page

Pages = list[tuple[Page | None, Reading]]  # each page that was read; None where there was none


class History:
    """Every picture that was read, in order; one that is read again keeps its place."""

    def __init__(self) -> None:
        self._pages: dict[str, Pages] = {}

    def find(self, key: str) -> Pages | None:
        """Return what was read under this key."""
        return self._pages.get(key)

    def keep(self, key: str, pages: Pages) -> Pages:
        """Remember what was read, in place of what was read under this key before."""
        self._pages[key] = pages
        return pages

    @property
    def readings(self) -> list[Reading]:
        return [reading for pages in self._pages.values() for _, reading in pages]

    def as_csv(self, labels: Sequence[str]) -> str:
        """Return a row a digit, as `digitreader read --format csv` writes it."""
        stream = io.StringIO()
        write_csv(self.readings, stream, labels)
        return stream.getvalue()

    def as_json(self) -> str:
        """Return an object a page, as `digitreader read --format json` writes it."""
        stream = io.StringIO()
        write_json(self.readings, stream, ())
        return stream.getvalue()
