"""How many pictures the service reads, how soon, and what it does when there are too many.

    python benchmarks/service.py [--seconds 30] [--overload-seconds 300]

The requests come from hey (`apt-get install hey`), on the same machine: it keeps a rate, where wrk
goes as fast as it is answered. Two pictures are sent: a digit of MNIST's form as PNG, which the
classifier reads at once, and one of 28×28 that is not, at which the finder looks, too. In turn:
as fast as 20 connections can; 200 requests a second; for long, up to five times as many as were
read in the first part, from 200 connections; 5 s later, again as fast as can be; and SIGTERM in
the middle of 200 a second. A connection waits for its answer, so fewer are sent than hey is asked
for. It keeps a million answers, so where there are more the overload's rate is a lower bound; its
connections are dealt to the workers as they come, evenly or not, which makes "as fast as can be"
differ by a fifth from run to run. Written to `benchmarks/results/service.json`.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from PIL import Image

import digitreader
from digitreader.outputs import write_json_file
from machine import describe, models

HERE = Path(__file__).parent
EXAMPLES = HERE.parent / "examples"
RATE = 200  # requests a second, at which the time to an answer is measured
CONNECTIONS = 20
CALLERS = 4  # at that rate; hey has all of them send at the same moment, so more are a burst
GLYPH = "glyph.png"
CROWD = 200  # connections of the overload
TOO_MUCH = 5  # times what is read a second
PAUSE = 5  # s after the overload
WARM = 3  # s


def main() -> None:
    """Measure, print and write down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=30, help="of each part but the overload")
    parser.add_argument("--overload-seconds", type=int, default=300)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--output", type=Path, default=HERE / "results" / "service.json")
    options = parser.parse_args()
    if not shutil.which("hey"):
        raise SystemExit("expected the load generator hey: apt-get install hey")
    result: dict[str, Any] = {
        "command": "python benchmarks/service.py",
        "models": models(),
        "machine": describe("fastapi", "uvicorn", "onnxruntime"),
        "workers": options.workers,
        "seconds": options.seconds,
        "overload_seconds": options.overload_seconds,
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, picture in pictures(Path(folder)).items():
            result[name] = measured(picture, options.workers, options.seconds)
            print(name, result[name])
        glyph = Path(folder) / GLYPH
        sustained = result["MNIST form"]["flat out"]["answers_per_second"]
        result["overload"] = overload(glyph, options, sustained)
        print("overload", result["overload"])
        result["SIGTERM"] = ended(glyph, options, Path(folder) / "access.log")
        print("SIGTERM", result["SIGTERM"])
    write_json_file(result, options.output)


def pictures(folder: Path) -> dict[str, Path]:
    """Write the pictures to send: by what they are."""
    page = digitreader.read(EXAMPLES / "postcode.png")
    Image.fromarray(page.digits[0].glyph).save(folder / GLYPH)
    return {"MNIST form": folder / GLYPH, "28×28": EXAMPLES / "tiny_28x28.png"}


def measured(picture: Path, workers: int, seconds: int) -> dict[str, Any]:
    """Send one picture as fast as it is read, then at a fixed rate."""
    with service(workers) as (url, _):
        hey(url, picture, WARM, CONNECTIONS)
        flat_out = hey(url, picture, seconds, CONNECTIONS)
        at_rate = hey(url, picture, seconds, CALLERS, RATE)
    return {"flat out": flat_out, f"{RATE} a second": at_rate}


def overload(picture: Path, options: argparse.Namespace, sustained: float) -> dict[str, Any]:
    """Send far more than can be read, watch the memory, and see whether all is well after."""
    with service(options.workers) as (url, process):
        hey(url, picture, WARM, CONNECTIONS)
        memory = Memory(process)
        told = hey(url, picture, options.overload_seconds, CROWD, TOO_MUCH * sustained)
        told["memory_mb"] = memory.end()
        time.sleep(PAUSE)
        after = hey(url, picture, options.seconds, CONNECTIONS)
    share = after["answers_per_second"] / sustained
    return {**told, f"{PAUSE} s later": after, "share_of_full_speed": share}


def ended(picture: Path, options: argparse.Namespace, log: Path) -> dict[str, Any]:
    """End the service under load, and compare what it answered with what arrived.

    Who connects after the end is refused, or reset if that happens in the same moment; a request
    is lost that the service took, and so has a line in its log, but of which no answer came.
    """
    with service(options.workers, log) as (url, process):
        timer = threading.Timer(options.seconds / 2, process.terminate)
        timer.start()
        told = hey(url, picture, options.seconds, CONNECTIONS, RATE)
        code = process.wait(60)
    taken = log.read_text().count('"path": "/read"')
    return {**told, "taken": taken, "lost": taken - sum(told["statuses"].values()), "code": code}


@contextmanager
def service(
    workers: int, log: Path = Path(os.devnull)
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run the service on a free port."""
    command = [sys.executable, "-m", "digitreader", "serve", "--port", "0"]
    command += ["--workers", str(workers)]
    with (
        log.open("w") as out,
        subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE, text=True) as process,
    ):
        assert process.stderr is not None
        url = process.stderr.readline().split()[3].rstrip(";")
        urlopen(f"{url}/readyz").close()
        try:
            yield url, process
        finally:
            process.send_signal(signal.SIGTERM)


def hey(
    url: str, picture: Path, seconds: float, connections: int, rate: float = 0
) -> dict[str, Any]:
    """Send a picture again and again, and count the answers by their status.

    A rate of 0 is as fast as they are answered. The times are of all answers, in ms.
    """
    command = ["hey", "-z", f"{seconds}s", "-c", str(connections), "-m", "POST"]
    command += ["-T", "image/png", "-D", str(picture), "-t", "60"]
    command += ["-q", f"{rate / connections:.3f}"] if rate else []
    out = subprocess.run([*command, f"{url}/read"], capture_output=True, text=True, check=True)
    text = out.stdout
    statuses = {k: int(n) for k, n in re.findall(r"^\s+\[(\d{3})\]\t(\d+) responses", text, re.M)}
    errors = text.partition("Error distribution:")[2]
    times = re.findall(r"(\d+)%+ in ([\d.]+) secs", text)
    return {
        "asked_per_second": rate or None,
        "answers_per_second": statuses.get("200", 0) / seconds,
        "statuses": statuses,
        "errors": counted(re.findall(r"^\s+\[(\d+)\]\t(.+)$", errors, re.M)),
        "ms": {f"p{share}": round(1000 * float(time), 1) for share, time in times},
    }


def counted(errors: list[tuple[str, str]]) -> dict[str, int]:
    """Errors by what they say, without the ports in it."""
    told: dict[str, int] = {}
    for count, words in errors:
        kind = re.sub(r".*: (\S.*)$", r"\1", words.strip())
        told[kind] = told.get(kind, 0) + int(count)
    return told


class Memory:
    """Watches the memory of a process and of those that it started, every second."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._root = process.pid
        self._samples: list[float] = []
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._sample)
        self._watch.start()

    def end(self) -> dict[str, float]:
        """Stop, and tell the memory in MB after a tenth of the time, at the end, and at most."""
        self._over.set()
        self._watch.join()
        settled = self._samples[len(self._samples) // 10 :]
        ends = {"first": settled[0], "last": settled[-1]}
        return {**ends, "least": min(settled), "most": max(settled)}

    def _sample(self) -> None:
        while not self._over.wait(1):
            self._samples.append(round(sum(map(resident, family(self._root))), 1))


def family(root: int) -> list[int]:
    """Return a process and its children."""
    children = Path(f"/proc/{root}/task/{root}/children").read_text().split()
    return [root, *map(int, children)]


def resident(process: int) -> float:
    """Memory of a process, MB."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


if __name__ == "__main__":
    main()
