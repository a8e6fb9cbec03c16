"""Reads the files that are named on standard input, and says of each what came of it.

A line of JSON each way. A file on which this takes too long, or forever, ends the process.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import cv2

from digitreader.errors import SourceError
from digitreader.reader import Reader

SECONDS = 5  # of a processor, for a page
FOREVER = 300  # s by the clock, of a busy machine


def main() -> None:
    cv2.setNumThreads(1)
    reader = Reader(threads=1)
    for line in sys.stdin:
        path = Path(json.loads(line))
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        signal.alarm(FOREVER)
        start = time.process_time()
        told = read(reader, path)
        told["seconds"] = time.process_time() - start
        told["megabytes"] = peak()
        print(json.dumps(told), flush=True)


def read(reader: Reader, path: Path) -> dict[str, Any]:
    try:
        reading = reader.read(path)
    except SourceError as error:
        return {"error": str(error)}
    except BaseException:
        return {"fault": traceback.format_exc()}
    sure = [digit.label for digit in reading.digits if digit.status == "ok"]
    return {"status": reading.status, "sure": sure}


def peak() -> float:
    """The most memory that this process has had, MB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


if __name__ == "__main__":
    main()
