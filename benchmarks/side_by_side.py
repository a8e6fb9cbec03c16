"""Trainings side by side, each on cores of its own.

Small networks gain little from a second core: two of them, a core each, are done sooner than one
after the other on both.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from multiprocessing.queues import Queue
from typing import Any

from digitreader.batch.engines import end_with_parent
from digitreader.training.recipes import Recipe


def side_by_side(
    work: Callable[..., dict[str, Any]], jobs: Iterable[tuple[Any, ...]], workers: int
) -> Iterator[dict[str, Any]]:
    """Call `work` for each job, so many at a time; yield what it returns as each is done."""
    context = get_context("spawn")
    shares: Queue[int] = context.Queue()
    for share in range(workers):
        shares.put(share)
    with ProcessPoolExecutor(workers, context, _take_cores, (shares, workers)) as pool:
        for future in as_completed([pool.submit(work, *job) for job in jobs]):
            yield future.result()


def not_done(
    wanted: Iterable[tuple[str, Recipe]], rows: Iterable[dict[str, Any]]
) -> list[tuple[str, Recipe]]:
    """Return the named recipes that no row is of, in their form of today."""
    done = [(row["name"], Recipe.from_dict(row["recipe"])) for row in rows]
    return [pair for pair in wanted if pair not in done]


def _take_cores(shares: Queue[int], workers: int) -> None:
    """Give a process its share of the cores, where the system can do that; end it with ours."""
    end_with_parent()
    share = shares.get()
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[share::workers] or cores)
