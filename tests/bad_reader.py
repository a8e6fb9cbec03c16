"""Reads the files that are named on standard input, and says of each what came of it.

A line of JSON each way. Each file is read as `read` does, and what a batch can take apart as
`batch` does, too. A file on which this takes too long, or forever, ends the process.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
import time
import traceback
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from digitreader.batch.plan import KINDS, plan
from digitreader.batch.work import Settings, Worker, file_of
from digitreader.errors import SourceError
from digitreader.reader import Reader

SECONDS = 5  # of a processor, for a file; a PDF's other process has limits of its own
FOREVER = 300  # s by the clock, of a busy machine
SETTINGS = Settings(form="jsonl")
MANY = tuple(suffix for kind in KINDS.values() for suffix in kind.suffixes)


def main() -> None:
    with TemporaryDirectory() as folder:
        reader, worker = Reader(threads=1), Worker(Path(folder), SETTINGS)
        for line in sys.stdin:
            path = Path(json.loads(line))
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            signal.alarm(FOREVER)
            start = seconds()
            told: dict[str, Any] = {}
            try:
                told["rows"] = [row_of_read(reader, path)]
                if path.name.lower().endswith(MANY):
                    told["rows"] += rows_of_batch(worker, path, Path(folder))
            except BaseException:
                told["fault"] = traceback.format_exc()
            told["seconds"] = seconds() - start
            told["megabytes"] = peak()
            print(json.dumps(told), flush=True)


def row_of_read(reader: Reader, path: Path) -> dict[str, Any]:
    try:
        return reader.read(path).as_dict()
    except SourceError as error:
        return {"status": "error", "error": str(error), "digits": []}


def rows_of_batch(worker: Worker, path: Path, folder: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    with TemporaryDirectory() as scratch:
        for part in plan([str(path)], 500, Path(scratch)):
            worker.read(part)
            written = folder / file_of(part.number, SETTINGS)
            rows += map(json.loads, written.read_text(encoding="utf-8").splitlines())
    return rows


def seconds() -> float:
    """What this process and those that it had for PDFs took of a processor so far."""
    return time.process_time() + sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])


def peak() -> float:
    """The most memory that this process has had, and with it the largest of its own, MB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return (of_itself() + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) * unit / 1e6


def of_itself() -> int:
    """Where Linux says so: what `getrusage` gives includes what the parent had before."""
    told = Path("/proc/self/status")
    if told.exists():
        return int(told.read_text(encoding="ascii").split("VmHWM:")[1].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
