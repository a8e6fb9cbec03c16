"""The bounded pool that reads: who may come in, how long it takes, and how it ends."""

from __future__ import annotations

import asyncio
from bisect import bisect
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from time import monotonic
from typing import Generic, TypeVar

from digitreader.detection import Layout
from digitreader.doors.service.answers import Refusal
from digitreader.doors.service.metrics import INSIDE
from digitreader.doors.service.settings import Settings
from digitreader.reader import Reader
from digitreader.reading import Reading
from digitreader.sources import Page, Upload, pages_of

S = TypeVar("S")
T = TypeVar("T")
SOON = 1  # s, after which a refused caller may try again: a full queue of small pictures is read


class Work:
    """Runs what was let in, on a few threads; there is room for few more, and the rest is refused.

    `draining` is set when the service is told to end: what is inside is finished.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pool = ThreadPoolExecutor(settings.threads, "reading")
        self._turn = asyncio.Semaphore(settings.threads)
        self._inside = 0
        self.draining = False

    def check_room(self) -> None:
        """Refuse a request before its body is read.

        Raises:
            Refusal: as many as may wait do.
        """
        if self._inside >= self._settings.threads + self._settings.queue:
            raise Refusal(503, "too many requests are waiting; try again soon", SOON)

    async def do(self, call: Callable[[float], T]) -> T:
        """Run a call on a thread of the pool; it is given the time, monotonic, to be ready by.

        Raises:
            Refusal: there is no room, or its turn did not come in time.
        """
        deadline = monotonic() + self._settings.answer_seconds

        def in_time() -> T:
            if monotonic() > deadline:
                raise too_late()
            return call(deadline)

        with self.room():
            async with self._turn:  # who waits here is not in the way of small pictures
                return await self.on_thread(in_time)

    @contextmanager
    def room(self) -> Iterator[None]:
        """Take a place inside until the request is answered.

        Raises:
            Refusal: there is none.
        """
        self.check_room()
        self._inside += 1
        INSIDE.inc()
        try:
            yield
        finally:
            self._inside -= 1
            INSIDE.dec()

    async def on_thread(self, call: Callable[[], T]) -> T:
        """Run a call for those who have a place, as soon as a thread is free."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, call)

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(cancel_futures=True)


def too_late() -> Refusal:
    """Say that a request has waited for longer than it may."""
    return Refusal(503, "its turn did not come in time; try again later", SOON)


@dataclass(frozen=True, eq=False)
class Waiting(Generic[S, T]):
    """Things of one caller, who is given the answer, if they are taken by the deadline."""

    things: Sequence[S]
    answer: asyncio.Future[Sequence[T]]
    deadline: float  # monotonic


class Batches(Generic[S, T]):
    """Small things of several callers read in one run.

    No one waits for company: what comes while a run goes on is the next. A run of many takes a
    fifth less time a glyph, half a picture's in MNIST's form, and one trip to a thread instead of
    many.
    """

    def __init__(
        self, run: Callable[[list[S]], Awaitable[Sequence[T]]], most: int, seconds: float
    ) -> None:
        self._run = run
        self._most = most  # things a run
        self._seconds = seconds  # to wait
        self._waiting: list[Waiting[S, T]] = []
        self._running: asyncio.Task[None] | None = None

    async def do(self, things: Sequence[S]) -> Sequence[T]:
        """Give what the run gives for these things: a value for each.

        Raises:
            Refusal: their turn did not come in time.
        """
        answer: asyncio.Future[Sequence[T]] = asyncio.get_running_loop().create_future()
        self._waiting.append(Waiting(things, answer, monotonic() + self._seconds))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run_all())
        return await answer

    async def _run_all(self) -> None:
        while self._waiting:
            together = self._next()
            if not together:
                continue
            try:
                values = await self._run([one for some in together for one in some.things])
            except Exception as error:
                _refuse(together, error)
                continue
            start = 0
            for some in together:
                if not some.answer.done():  # its caller may have been cancelled
                    some.answer.set_result(values[start : start + len(some.things)])
                start += len(some.things)

    def _next(self) -> list[Waiting[S, T]]:
        """Take the first of those that wait, and what fits beside; refuse who waited too long."""
        ends = list(accumulate(len(some.things) for some in self._waiting))
        count = max(1, bisect(ends, self._most))
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        now = monotonic()
        _refuse([some for some in taken if some.deadline < now], too_late())
        return [some for some in taken if some.deadline >= now]


def _refuse(waiting: Sequence[Waiting[S, T]], error: Exception) -> None:
    for some in waiting:
        if not some.answer.done():
            some.answer.set_exception(error)


def readings(
    reader: Reader, uploads: Sequence[Upload], layout: Layout, settings: Settings, deadline: float
) -> Iterator[Reading]:
    """Read as many pages as may be, and no more after the deadline, which is monotonic.

    Where there are more, the last row says so, with status `error`.
    """
    over = ""
    pages = (page for upload in uploads for page in pages_of(upload, settings.max_pixels))
    for number, page in enumerate(pages, start=1):
        if over:
            why = f"{page.source}: {over}"
            yield Reading.failed(page.source, page.number, reader.model, why)
            return
        yield reader.read_page(page, layout) if isinstance(page, Page) else reader.failed(page)
        if number == settings.max_pages:
            over = f"only {number} pages of a request are read; send this and the rest in another"
        elif monotonic() > deadline:
            over = "not read, the time was over; send this and the rest in another request"
