"""What reads the parts: this machine's cores, or a Ray cluster. Both write the same files."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from digitreader.batch.items import Part
from digitreader.batch.work import Done, Settings, Worker
from digitreader.errors import DigitReaderError, UsageError, needs_extra

AHEAD = 2  # parts that wait for each worker
ANSWER = 5  # seconds that a cluster may take to


@dataclass(frozen=True)
class Crew:
    """Who reads: so many workers, on a Ray cluster where one is named."""

    workers: int
    address: str | None = None


Engine = Callable[[Iterable[Part], Path, Settings, Crew], Iterator[Done]]


# --- this machine -------------------------------------------------------------------------------


def local(parts: Iterable[Part], out: Path, settings: Settings, crew: Crew) -> Iterator[Done]:
    """Read parts in processes of this machine; yield what came of each as it is done.

    Where a process dies, as when memory runs out, the parts in work are read once more, each
    alone in a process, so that only the one to blame is lost. At Ctrl-C those in work are
    finished first.

    Raises:
        DigitReaderError: some were lost; all others are done.
    """
    queue = iter(parts)
    lost: list[Part] = []
    while True:
        running: dict[int, Part] = {}
        try:
            yield from _side_by_side(queue, running, out, settings, crew.workers)
            break
        except BrokenProcessPool:
            for part in list(running.values()):
                try:
                    yield from _side_by_side(iter([part]), {}, out, settings, 1)
                except BrokenProcessPool:
                    lost.append(part)
    if lost:
        raise DigitReaderError("; ".join(map(_told, lost)) + ". The other parts are done")


def _told(part: Part) -> str:
    of = f"{part.names[0]} … {part.names[-1]}" if part.names else part.path
    return f"part {part.number} ({of}) ended the process that read it"


def _side_by_side(
    queue: Iterator[Part],
    running: dict[int, Part],
    out: Path,
    settings: Settings,
    workers: int,
) -> Iterator[Done]:
    """Keep so many workers busy; `running` holds what they have not done yet, by its number."""
    context = multiprocessing.get_context("spawn")
    futures: set[Future[Done]] = set()
    with ProcessPoolExecutor(workers, context, _begin, (out, settings)) as pool:
        try:
            while True:
                for part in islice(queue, workers * AHEAD - len(running)):
                    running[part.number] = part  # before `submit`, which may find a process dead
                    futures.add(pool.submit(_read, part))
                if not futures:
                    return
                for future in wait(futures, return_when=FIRST_COMPLETED).done:
                    done = future.result()
                    futures.remove(future)
                    del running[done.number]
                    yield done
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            yield from filter(None, map(_finished, futures))
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _finished(future: Future[Done]) -> Done | None:
    """What came of a part after the end of its pool, if it was read."""
    return None if future.cancelled() or future.exception() else future.result()


_worker: Worker | None = None  # of this process, where it is one that reads parts


def _begin(out: Path, settings: Settings) -> None:
    global _worker  # noqa: PLW0603 (a process of a pool has no other place)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's: this part is finished
    end_with_parent()
    _worker = Worker(out, settings)


def end_with_parent() -> None:
    """Have a process of a pool end when the one that began it does, however that ends."""
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _read(part: Part) -> Done:
    assert _worker is not None  # the process began with it
    return _worker.read(part)


# --- a cluster ----------------------------------------------------------------------------------


def ray(parts: Iterable[Part], out: Path, settings: Settings, crew: Crew) -> Iterator[Done]:
    """Read parts by Ray Data, in actors that hold a model each; yield what came of each.

    What is read and `out` must lie where all machines of the cluster see them. The parts of an
    actor that dies are read by another.

    Raises:
        MissingExtraError: Ray is not installed.
        UsageError: there is no cluster at the address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # lesser ones come as exceptions
    with needs_extra("Ray", "ray"):
        import ray as cluster
        from ray import data
    rows = [{"number": part.number, "part": part.as_dict()} for part in parts]
    if not rows:
        return
    _require_answer(crew.address)
    try:
        cluster.init(crew.address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError) as error:
        why = str(error).partition("\n")[0]
        raise UsageError(f"the Ray cluster at {crew.address} lets nobody in: {why}") from error
    data.DataContext.get_current().enable_progress_bars = False  # there is one already
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    told = data.from_items(rows, override_num_blocks=len(rows)).map(
        _actor(out.absolute(), Path.cwd(), settings),
        compute=data.ActorPoolStrategy(size=crew.workers),
        num_cpus=1,
    )
    try:
        for row in told.iter_rows():
            yield Done(**row)
    finally:
        cluster.shutdown()


def _require_answer(address: str | None) -> None:
    """Look whether somebody listens there: Ray itself would try for minutes."""
    host, colon, port = (address or "").rpartition(":")
    if not colon:
        return  # `auto`, or none: Ray finds or starts a cluster here
    try:
        socket.create_connection((host, int(port)), ANSWER).close()
    except (OSError, ValueError) as error:
        raise UsageError(f"no Ray cluster answers at {address}, HOST:PORT ({error})") from error


def _actor(out: Path, folder: Path, settings: Settings) -> type:
    """Return the class of which Ray makes one for each worker, on some machine."""

    class Actor:
        def __init__(self) -> None:
            os.chdir(folder)  # which inputs are named from
            self._worker = Worker(out, settings)

        def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
            return asdict(self._worker.read(Part.from_dict(row["part"])))

    return Actor


ENGINES: dict[str, Engine] = {"local": local, "ray": ray}
