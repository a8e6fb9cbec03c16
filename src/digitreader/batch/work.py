"""One part read: its items in, a file of rows out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import cv2

from digitreader.batch.items import Glyphs, Item, Part
from digitreader.batch.plan import items_of
from digitreader.detection import Layout
from digitreader.errors import AS_ESCAPES
from digitreader.outputs import FORMATS
from digitreader.reader import Reader
from digitreader.reading import Reading
from digitreader.sources import Failed, Page
from digitreader.writing import writing

AT_ONCE = 250  # pages whose digits are classified together,
PIXELS_AT_ONCE = 4_000_000  # or fewer, where they are large
DRAFTS = "_drafts"  # what begins with _ is no data, to whoever reads the folder as a whole


@dataclass(frozen=True)
class Settings:
    """How a batch is read: all its parts alike."""

    model: str | None = None
    layout: Layout = "auto"
    min_confidence: float | None = None
    form: str = "parquet"  # of outputs.FORMATS


@dataclass(frozen=True)
class Done:
    """What came of a part."""

    number: int
    rows: int
    failed: int
    digits: int


def file_of(number: int, settings: Settings) -> str:
    """What a part's file is called."""
    return f"part-{number:06}{FORMATS[settings.form].suffixes[0]}"


class Worker:
    """Reads parts, one after the other, on one thread.

    Raises:
        ModelError: the model is missing or is not one of ours.
    """

    def __init__(self, out: Path, settings: Settings) -> None:
        cv2.setNumThreads(1)
        self._out = out
        self._settings = settings
        self._reader = Reader(settings.model, min_confidence=settings.min_confidence, threads=1)

    def read(self, part: Part) -> Done:
        """Read a part and write its file, which appears under its name when it is whole.

        The same part read again, here or on another machine, makes the same file.

        Raises:
            WriteError: it cannot be written.
        """
        form = FORMATS[self._settings.form]
        path = self._out / file_of(part.number, self._settings)
        draft = self._out / DRAFTS / f"{path.name}.{uuid4().hex}"
        counted = _Counted(self._readings(items_of(part)))
        with writing(path):
            draft.parent.mkdir(exist_ok=True)  # but not what it is in: that may have gone
            try:
                with (
                    draft.open("wb")
                    if form.binary
                    else draft.open("w", encoding="utf-8", errors=AS_ESCAPES, newline="")
                ) as stream:
                    form.write(counted, stream, self._reader.labels)
                    stream.flush()
                    os.fsync(stream.fileno())  # or the name may outlive a power cut, and be empty
                draft.replace(path)
            finally:
                draft.unlink(missing_ok=True)
        return Done(part.number, counted.rows, counted.failed, counted.digits)

    def _readings(self, items: Iterable[Item]) -> Iterator[Reading]:
        """Read items in order, some at a time."""
        waiting: list[Page | Failed] = []
        pixels = 0
        for item in items:
            if isinstance(item, Glyphs):
                yield from self._waiting(waiting)
                waiting, pixels = [], 0
                yield from self._glyphs(item)
                continue
            waiting.append(item)
            pixels += item.pixels.size if isinstance(item, Page) else 0
            if len(waiting) == AT_ONCE or pixels > PIXELS_AT_ONCE:
                yield from self._waiting(waiting)
                waiting, pixels = [], 0
        yield from self._waiting(waiting)

    def _waiting(self, items: list[Page | Failed]) -> Iterator[Reading]:
        pages = [item for item in items if isinstance(item, Page)]
        readings = iter(self._reader.read_batch(pages, self._settings.layout))
        for item in items:
            yield next(readings) if isinstance(item, Page) else self._reader.failed(item)

    def _glyphs(self, rows: Glyphs) -> Iterator[Reading]:
        readings = self._reader.read_glyphs(rows.images, rows.source, rows.first)
        for i, reading in enumerate(readings):
            if i in rows.broken:
                yield self._reader.failed(Failed(rows.source, reading.page, rows.broken[i]))
            else:
                yield reading


class _Counted:
    """Readings passed on, and counted."""

    def __init__(self, readings: Iterator[Reading]) -> None:
        self._readings = readings
        self.rows = self.failed = self.digits = 0

    def __iter__(self) -> Iterator[Reading]:
        for reading in self._readings:
            self.rows += 1
            self.failed += reading.status == "error"
            self.digits += len(reading.digits)
            yield reading
