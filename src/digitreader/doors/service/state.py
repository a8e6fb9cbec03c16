"""What the routes share: the reader, the pool, and what may be held."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import Depends, Request
from numpy.typing import NDArray

from digitreader import __version__
from digitreader.classifier import BATCH, SHIPPED, shipped_model
from digitreader.doors.service.answers import Refusal
from digitreader.doors.service.bodies import Bodies
from digitreader.doors.service.settings import Settings
from digitreader.doors.service.work import SOON, Batches, Work
from digitreader.reader import Reader
from digitreader.reading import Reading
from digitreader.sources import Upload

AT_ONCE = 32  # small pictures: a tenth of a second's work, where the finder has to look at all

Glyph = NDArray[np.uint8]  # [28, 28]


class Service:
    """Everything that a request needs, made once.

    Raises:
        ModelError: the model is missing or is not one of ours.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.reader = Reader(settings.model, threads=1, max_pixels=settings.max_pixels)
        self.work = Work(settings)
        self.bodies = Bodies(settings)
        self.card = _card(self.reader, settings.model)
        seconds = settings.answer_seconds
        self._small = Batches(self._run_small, AT_ONCE, seconds)
        self._readings = Batches(self._run_readings, BATCH, seconds)
        self._probabilities = Batches(self._run_probabilities, BATCH, seconds)

    def check_ready(self) -> None:
        """Refuse to be called ready while the service ends.

        Raises:
            Refusal: it does.
        """
        if self.work.draining:
            raise Refusal(503, "the service is ending", SOON)

    async def read_small(self, upload: Upload) -> list[Reading]:
        """Read a small picture together with those of other callers."""
        with self.work.room():
            (rows,) = await self._small.do([upload])
            return rows

    async def read_glyphs(self, glyphs: NDArray[np.uint8]) -> Sequence[Reading]:
        """Read glyphs, uint8 [N, 28, 28], ink bright, together with those of other callers."""
        with self.work.room():
            return await self._readings.do(list(glyphs))

    async def classify(self, glyphs: NDArray[np.uint8]) -> Sequence[NDArray[np.float32]]:
        """Give probabilities, [N, K], of glyphs, together with those of other callers."""
        with self.work.room():
            return await self._probabilities.do(list(glyphs))

    async def _run_small(self, uploads: list[Upload]) -> Sequence[list[Reading]]:
        return await self.work.on_thread(lambda: self.reader.read_together(uploads))

    async def _run_readings(self, glyphs: list[Glyph]) -> Sequence[Reading]:
        return await self.work.on_thread(lambda: self.reader.read_glyphs(np.stack(glyphs)))

    async def _run_probabilities(self, glyphs: list[Glyph]) -> Sequence[NDArray[np.float32]]:
        return await self.work.on_thread(lambda: list(self.reader.classify(np.stack(glyphs))))


def _card(reader: Reader, path: Path | None) -> dict[str, Any]:
    """Return what is known of the model: its card, which file it is, and who reads with it."""
    content = (path or shipped_model(SHIPPED)).read_bytes()
    return {
        **reader.card.as_dict(),
        "sha256": hashlib.sha256(content).hexdigest(),
        "digitreader": __version__,
    }


async def service_of(request: Request) -> Service:
    """Return the service that the application was made with."""
    service = request.app.state.service
    assert isinstance(service, Service)
    return service


Given = Annotated[Service, Depends(service_of)]
