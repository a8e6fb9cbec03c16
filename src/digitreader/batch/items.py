"""What a batch is made of: parts, and the items in them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digitreader.sources import Failed, Page, Upload, pages_of


@dataclass(frozen=True)
class Part:
    """Some items of one input, which become one file of rows.

    It names its items and holds none of them, so it is small, can be sent to another machine, and
    can be read again after a kill.
    """

    number: int
    kind: str  # of `plan.KINDS`
    path: str = ""  # the file that the items are in; "" where they are files themselves
    start: int = 0  # of a table: the first row, from 0,
    stop: int = 0  # and the one after the last
    offset: int = 0  # of text: where the first row begins
    names: tuple[str, ...] = ()  # of files, or of an archive's members
    spans: tuple[tuple[int, int], ...] = ()  # in a tar: where a member's bytes are, how many,
    plain: str = ""  # and the file that they are in: the tar itself, or what it unpacks to
    why: str = ""  # an input cannot be read

    @property
    def size(self) -> int:
        """Items in it."""
        return len(self.names) or self.stop - self.start or 1

    def as_dict(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if value or key == "number"}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Part:
        names, spans = values.get("names", ()), values.get("spans", ())
        return cls(**values | {"names": tuple(names), "spans": tuple(map(tuple, spans))})


@dataclass(frozen=True, eq=False)
class Glyphs:
    """Rows of a table of glyphs, uint8 [N, 28, 28], ink bright; `broken` says why one is none."""

    images: NDArray[np.uint8]
    source: str
    first: int  # the first row's number, from 1
    broken: dict[int, str]


Item = Page | Failed | Glyphs


def page_in_row(picture: Upload, source: str, row: int) -> Page | Failed:
    """The one page of an encoded picture that stands in a table's row."""
    pages = list(pages_of(picture))
    match pages:
        case [Page() as page]:
            return replace(page, source=source, number=row)
        case [Failed() as failed]:
            return Failed(source, row, failed.why)
    return Failed(source, row, f"{picture.name}: expected one picture, it has {len(pages)} pages")
