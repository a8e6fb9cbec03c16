"""Whether the service stays as it is, under requests of all kinds, for long.

    python benchmarks/soak.py [--minutes 30] [--load 0.8] [--workers 1]

The kinds are those of `MIX`: pictures large and small, forms, JSON, tensors, and what is broken,
half sent or never there. First as many are sent as are answered, which is full load; then a share
of that, evenly, while memory, threads and file handles of the service are looked at every second.
They are compared between two quarters of the time, the second and the last: what grows for as long
as it is asked shows there, and what is made once, at the start, does not. Exit code 1: something
has grown, or an answer was not the expected one. Written to `benchmarks/results/soak.json`.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import random
import socket
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from digitreader.outputs import write_json_file
from machine import describe, models
from service import EXAMPLES, family, service

HERE = Path(__file__).parent
CALLERS = 8  # threads that send, each on a connection of its own
CALIBRATION = 20  # s at full load; a tenth of the time, where that is less
PATIENCE = 60  # s for an answer
MORE_MEMORY = 1.05  # times the second quarter's, in the last; allocators wander by some percent
MORE_HANDLES = 2  # open files and threads: connections come and go

TINY = (EXAMPLES / "tiny_28x28.png").read_bytes()
POSTCODE = (EXAMPLES / "postcode.png").read_bytes()
PAGE = (EXAMPLES / "page.jpg").read_bytes()
BLANK = [[0] * 28] * 28
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "multipart/form-data; boundary=x"}
PNG = {"Content-Type": "image/png"}
INFER = "/v2/models/digits/infer"


@dataclass(frozen=True)
class Kind:
    """A request: how often it comes, and what is answered."""

    weight: int
    method: str
    path: str
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    sent: float = 1.0  # share of the body; less than all is broken off, and not answered


def form_of(*files: bytes) -> bytes:
    """Lay files in a form."""
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="../%d.png"\r\n\r\n'
    parts = (head % i + content + b"\r\n" for i, content in enumerate(files))
    return b"".join(parts) + b"--x--\r\n"


def as_json(value: object) -> bytes:
    """Write a value as a body."""
    return json.dumps(value).encode()


def tensor(pixels: list[int]) -> bytes:
    """Ask by the open inference protocol."""
    shape = [1, 28, 28]
    return as_json({"inputs": [{"name": "glyphs", "shape": shape, "datatype": "UINT8",
                                "data": pixels}]})  # fmt: skip


IN_BASE64 = as_json({"images": [{"data": base64.b64encode(TINY).decode(), "name": "7.png"}]})
MIX = {
    "small picture": Kind(30, "POST", "/read", 200, TINY, PNG),
    "number": Kind(10, "POST", "/read", 200, POSTCODE, PNG),
    "page": Kind(1, "POST", "/read", 200, PAGE, {"Content-Type": "image/jpeg"}),
    "form": Kind(8, "POST", "/read", 200, form_of(TINY, b"broken", TINY), FORM),
    "base64": Kind(10, "POST", "/read", 200, IN_BASE64, JSON),
    "glyphs": Kind(10, "POST", "/classify", 200, as_json({"glyphs": [BLANK] * 3}), JSON),
    "tensor": Kind(10, "POST", INFER, 200, tensor([0] * 784), JSON),
    "broken picture": Kind(5, "POST", "/read", 200, TINY[:60], PNG),
    "nothing": Kind(3, "POST", "/read", 400, b"", PNG),
    "deep JSON": Kind(3, "POST", "/read", 422, b"[" * 50_000, JSON),
    "bad base64": Kind(3, "POST", "/read", 422, as_json({"images": [{"data": "…"}]}), JSON),
    "wrong kind": Kind(3, "POST", "/read", 415, TINY, {"Content-Type": "text/html"}),
    "half a body": Kind(3, "POST", "/read", 0, POSTCODE, PNG, sent=0.5),
    "new paths": Kind(3, "GET", "/{random}", 404),
    "metrics": Kind(2, "GET", "/metrics", 200),
    "card": Kind(1, "GET", "/model", 200),
}


def main() -> None:
    """Measure, print and write down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--load", type=float, default=0.8, help="share of full load")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--output", type=Path, default=HERE / "results" / "soak.json")
    options = parser.parse_args()
    seconds = 60 * options.minutes
    with service(options.workers) as (url, process):
        callers = Callers(url)
        full = callers.send(min(CALIBRATION, seconds / 10), None)
        watch = Watch(process.pid)
        asked = options.load * full
        answered = callers.send(seconds, asked)
        samples = watch.end()
    found = compared(samples)
    result = {
        "command": f"python benchmarks/soak.py --minutes {options.minutes:g}",
        "models": models(),
        "machine": describe("fastapi", "uvicorn", "onnxruntime"),
        "workers": options.workers,
        "minutes": options.minutes,
        "requests_per_second": {"full load": full, "asked": asked, "answered": answered},
        "requests": dict(callers.counts),
        "unexpected": dict(callers.unexpected),
        "second_and_last_quarter": found,
        "samples": thinned(samples),
    }
    write_json_file(result, options.output)
    print(json.dumps({key: value for key, value in result.items() if key != "samples"}, indent=2))
    grown = [name for name, (before, after) in found.items() if after > allowed(name, before)]
    if grown or callers.unexpected:
        sys.exit(f"grown: {', '.join(grown) or 'nothing'}; unexpected: {dict(callers.unexpected)}")


class Callers:
    """Threads that send requests of all kinds, and count what is answered."""

    def __init__(self, url: str) -> None:
        self._host, _, port = url.removeprefix("http://").partition(":")
        self._port = int(port)
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()
        self.unexpected: Counter[str] = Counter()

    def send(self, seconds: float, rate: float | None) -> float:
        """Send for so long, at a rate a second or as fast as can be; return the rate answered."""
        before, began = self.counts.total(), time.monotonic()
        moments = self._moments(began + seconds, rate)
        threads = [threading.Thread(target=self._call, args=(moments, i)) for i in range(CALLERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return (self.counts.total() - before) / (time.monotonic() - began)

    def _moments(self, end: float, rate: float | None) -> Iterator[float]:
        """When to send, one after the other; what is late is sent at once."""
        at = time.monotonic()
        while at < end and time.monotonic() < end:
            yield at
            at = at + 1 / rate if rate else time.monotonic()

    def _call(self, moments: Iterator[float], seed: int) -> None:
        rng = random.Random(seed)
        connection = HTTPConnection(self._host, self._port, timeout=PATIENCE)
        names, weights = list(MIX), [kind.weight for kind in MIX.values()]
        while True:
            with self._lock:
                at = next(moments, None)
            if at is None:
                break
            time.sleep(max(0.0, at - time.monotonic()))
            (name,) = rng.choices(names, weights)
            status = self._answer(connection, MIX[name], rng)
            with self._lock:
                self.counts[name] += 1
                if status != MIX[name].status:
                    self.unexpected[f"{name}: {status}"] += 1
        connection.close()

    def _answer(self, connection: HTTPConnection, kind: Kind, rng: random.Random) -> int:
        """Send a request; return the answer's status, 0 where it was broken off."""
        if kind.sent < 1:
            return self._broken_off(kind)
        path = kind.path.replace("{random}", f"{rng.getrandbits(64):x}")
        for _ in range(2):  # a connection that was idle may have been closed meanwhile
            try:
                connection.request(kind.method, path, kind.body or None, kind.headers)
                answer = connection.getresponse()
                answer.read()
                return answer.status
            except (HTTPException, OSError):
                connection.close()
        return -1

    def _broken_off(self, kind: Kind) -> int:
        head = f"{kind.method} {kind.path} HTTP/1.1\r\nHost: x\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in kind.headers.items())
        head += f"Content-Length: {len(kind.body)}\r\n\r\n"
        part = kind.body[: int(kind.sent * len(kind.body))]
        with suppress(OSError), socket.create_connection((self._host, self._port), PATIENCE) as own:
            own.sendall(head.encode() + part)
        return 0


# ---------------------------------------------------------------- what the service takes

Sample = dict[str, float]


class Watch:
    """Looks at a process and those that it started, every second."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._samples: list[Sample] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def end(self) -> list[Sample]:
        """Stop, and give all that was seen."""
        self._over.set()
        self._thread.join()
        return self._samples

    def _look(self) -> None:
        while not self._over.wait(1):
            seen = [taken(process) for process in family(self._root)]
            self._samples.append({name: sum(each[name] for each in seen) for name in TAKEN})


TAKEN: dict[str, Callable[[Path], float]] = {
    "memory_mb": lambda own: int(line_of(own, "VmRSS")) / 1024,
    "threads": lambda own: int(line_of(own, "Threads")),
    "handles": lambda own: len(os.listdir(own / "fd")),  # noqa: PTH208 (links that may go)
}


def taken(process: int) -> Sample:
    """What a process takes now."""
    return {name: look(Path(f"/proc/{process}")) for name, look in TAKEN.items()}


def line_of(own: Path, name: str) -> str:
    """A value of a process's status."""
    return (own / "status").read_text().split(f"{name}:")[1].split()[0]


def compared(samples: list[Sample]) -> dict[str, tuple[float, float]]:
    """The median of each in the second and in the last quarter of the time."""
    quarter = len(samples) // 4
    parts = samples[quarter : 2 * quarter], samples[-quarter:]
    return {
        name: (round(before, 1), round(after, 1))
        for name in TAKEN
        for before, after in [[statistics.median(each[name] for each in part) for part in parts]]
    }


def allowed(name: str, before: float) -> float:
    """How much there may be at the end."""
    return before * MORE_MEMORY if name == "memory_mb" else before + MORE_HANDLES


def thinned(samples: list[Sample], most: int = 60) -> list[Sample]:
    """Some of many samples, evenly."""
    step = max(1, len(samples) // most)
    return [{name: round(value, 1) for name, value in each.items()} for each in samples[::step]]


if __name__ == "__main__":
    main()
