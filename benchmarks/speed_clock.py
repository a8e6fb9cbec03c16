"""What the parts of the speed benchmark share: how much, how often, and times taken in turn."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from digitreader.training.datasets import Split, load

OURS = "digitreader"
PROGRAM = (sys.executable, "-m", "digitreader")
PICTURE = Path(__file__).parent.parent / "examples" / "tiny_28x28.png"

STOPWATCH = """
import json, os, subprocess, sys, time
start = time.perf_counter()
nothing = subprocess.DEVNULL
process = subprocess.Popen(sys.argv[1:], stdout=nothing, stderr=nothing)
_, status, usage = os.wait4(process.pid, 0)
seconds = time.perf_counter() - start
print(json.dumps([seconds, usage.ru_maxrss, os.waitstatus_to_exitcode(status)]))
"""


@dataclass(frozen=True)
class Plan:
    """Where digits come from, how often all is measured, and how much of what it is in full."""

    data: Path
    runs: int
    scale: float = 1.0
    dataset: str = "mnist"

    def count(self, full: int) -> int:
        """So many of a full count."""
        return max(1, round(self.scale * full))

    def digits(self, count: int) -> Split:
        """Real digits, test images first, and all again where there are too few of them."""
        known = load(self.dataset, self.data / self.dataset)
        parts = [part for part in (known.test, known.train) if part is not None]
        images = np.concatenate([part.images for part in parts])
        targets = np.concatenate([part.targets for part in parts])
        return Split(np.resize(images, (count, *images.shape[1:])), np.resize(targets, count))


def in_turn(
    contestants: Mapping[str, Callable[[], float]], runs: int, *, warm: bool = True
) -> dict[str, list[float]]:
    """Measure all in turn, so that what else the machine does meets all alike.

    A first round, to warm up, does not count.
    """
    samples: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(runs + warm):
        for name, measure in contestants.items():
            samples[name].append(measure())
    return {name: own[warm:] for name, own in samples.items()}


def told(samples: Mapping[str, list[float]], unit: str) -> dict[str, Any]:
    """Median and spread of each, and how many times as fast the first is as each other."""
    medians = {name: median(own) for name, own in samples.items()}
    first, *others = medians
    sign = 1 if unit == "per_second" else -1
    return {
        "runs": len(samples[first]),
        **{
            name: {f"{unit}_median": medians[name], f"{unit}_min_max": [min(own), max(own)]}
            for name, own in samples.items()
        },
        "ratios": {name: (medians[first] / medians[name]) ** sign for name in others},
    }


def seconds_of(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def rate_of(call: Callable[[], object], count: int) -> float:
    """How many a second, where one call does so many."""
    return count / seconds_of(call)


def whole_process(*command: str) -> tuple[float, float]:
    """Wall seconds and peak memory, MB, of a process, by the operating system's own account."""
    # A small process stands between: a child is charged with the peak of the one it is forked from.
    done = subprocess.run(
        [sys.executable, "-c", STOPWATCH, *command], capture_output=True, check=True
    )
    seconds, kilobytes, code = json.loads(done.stdout)
    if code:
        raise SystemExit(f"{' '.join(command)} ended with {code}")
    return seconds, kilobytes / 1024
