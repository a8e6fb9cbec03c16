"""Reads sets of pictures with several processes, each picture made or opened where it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.progress import track

from digitreader.reader import Reader
from nothing import EMPTY
from scores import Answer, Found, Outcome
from sets import PAGED, SINGLE, Case, MakeSet, Pictures, mnist

SETS: dict[str, MakeSet] = {"mnist test": mnist, **SINGLE, **PAGED, **EMPTY}

Ways = dict[str, Answer]  # what was read, by each way of reading
Engine = Callable[[Case, Pictures], Ways]
MakeEngine = Callable[[], Engine]  # called once in each process
OURS = "digitreader"


@dataclass(frozen=True)
class Run:
    """Which pictures: from this folder, the test's or the held-out ones, with so many processes."""

    data: Path
    held_out: bool = False
    workers: int = 2
    limit: int | None = None  # pictures of each set, for trying out


def outcomes(name: str, make: MakeEngine, run: Run, chosen: Sequence[int] | None = None,
             title: str = "") -> list[Outcome]:  # fmt: skip
    """Read a set's pictures, all or those chosen, in order."""
    everything = range(SETS[name](run.data, run.held_out).count)
    numbers = list(everything if chosen is None else chosen)[: run.limit]
    context = get_context("spawn")  # a fork of a process with threads may hang
    begin = (make, run.data, run.held_out)
    with ProcessPoolExecutor(run.workers, context, _begin, begin) as pool:
        done = pool.map(_read, ((name, i) for i in numbers), chunksize=1 + len(numbers) // 400)
        return list(_watched(done, title or name, len(numbers)))


def sample(name: str, run: Run, most: int) -> list[int]:
    """At most so many of a set's pictures, always the same."""
    count = SETS[name](run.data, run.held_out).count
    chosen = np.random.default_rng(6).permutation(count)[:most]
    return sorted(chosen.tolist())


def _watched(done: Iterable[Outcome], title: str, total: int) -> Iterable[Outcome]:
    console = Console(stderr=True)
    return track(done, title.ljust(32), total, console=console, transient=True,
                 disable=not console.is_terminal)  # fmt: skip


class OurReader:
    """Reads with one of our models, the shipped one where none is named."""

    def __init__(self, model: Path | None) -> None:
        self._reader = Reader(model)

    def __call__(self, case: Case, pictures: Pictures) -> Ways:
        """Read as a user would, the file or the array itself."""
        reading = self._reader.read(case.picture, pictures.layout)
        digits = tuple(
            Found(digit.label or "", digit.box, digit.status)
            for digit in reading.digits
            if digit.status in ("ok", "unsure")
        )
        return {OURS: Answer(reading.lines, digits)}


_ENGINES: list[tuple[Engine, Path, bool]] = []  # of this worker process


def _begin(make: MakeEngine, data: Path, held_out: bool) -> None:
    cv2.setNumThreads(1)
    _ENGINES.append((make(), data, held_out))


def _read(job: tuple[str, int]) -> Outcome:
    name, i = job
    engine, data, held_out = _ENGINES[0]
    pictures = _opened(name, data, held_out)
    case = pictures.case(i)
    return Outcome(case.name, case.kind, case.lines, case.digits, engine(case, pictures))


@lru_cache(maxsize=4)
def _opened(name: str, data: Path, held_out: bool) -> Pictures:
    return SETS[name](data, held_out)
