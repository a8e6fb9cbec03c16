"""Everything that is about speed, each number beside its peers, in one run.

    python benchmarks/speed.py                            # all of it; an hour on two cores
    python benchmarks/speed.py --only files ray           # only some, the others' results stay
    python benchmarks/speed.py --scale 0.001 --runs 1     # a look whether it works; nothing is kept

Each part runs in a process of its own. Contestants take turns, after a first round that does not
count but on Ray; what is told is the median, and how many times as fast ours is as each other.
Networks that others run are not trained: time does not depend on weights. A part is written to
`benchmarks/results/speed.json` as it is done, with the load of the minute before it, which should
be near 0 unless another part was measured then; the cost against size is drawn to
`docs/images/speed.png`.
"""

from __future__ import annotations

import argparse
import json
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from digitreader.outputs import write_json_file
from machine import describe
from sets import add_data
from speed_clock import Plan

RESULT = Path(__file__).parent / "results" / "speed.json"
VERSIONS = ("onnxruntime", "keras", "tensorflow-cpu", "ai-edge-litert", "numpy", "pillow",
            "opencv-python-headless", "pyarrow")  # fmt: skip


@dataclass(frozen=True)
class Part:
    """What is measured, as the result calls it; the function that does; whether on one core."""

    title: str
    home: str
    function: str
    pinned: bool = False


PARTS: dict[str, Part] = {
    "classify": Part("glyphs a second on one core", "speed_glyphs", "together", pinned=True),
    "glyph": Part("one glyph in process, ms", "speed_glyphs", "alone"),
    "cold": Part("one picture, cold", "speed_cold", "cold"),
    "files": Part("picture files a second in a batch", "speed_batch", "picture_files"),
    "parquet": Part("MNIST from Parquet to Parquet", "speed_batch", "from_parquet"),
    "million": Part("a million digits in a batch", "speed_batch", "a_million"),
    "ray": Part("a batch on Ray", "speed_batch", "on_ray"),
    "page": Part("a page of 200 digits", "speed_pages", "full_page"),
    "stages": Part("where the time goes", "speed_stages", "stages"),
    "growth": Part("cost against size", "speed_growth", "growth"),
}


def main() -> None:
    """Measure what is asked for, print it and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data(parser)
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--runs", type=int, default=7, help="of everything that is not long")
    parser.add_argument("--scale", type=float, default=1.0, help="of all counts; 1 is in full")
    options = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # what is installed is not compiled each time
    plan = Plan(options.data, options.runs, options.scale)
    for name in options.only:
        title = PARTS[name].title
        told = {"load_before": round(os.getloadavg()[0], 1), **apart(name, plan)}
        print(title, json.dumps(told, indent=1), flush=True)
        if plan.scale == 1:
            keep(title, told)


def apart(name: str, plan: Plan) -> dict[str, Any]:
    """Measure a part in a process of its own, which has one core where it is to be pinned."""
    begin = _pin if PARTS[name].pinned else None
    with ProcessPoolExecutor(1, get_context("spawn"), begin) as pool:
        return pool.submit(_measured, name, plan).result()


def _pin() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def _measured(name: str, plan: Plan) -> dict[str, Any]:
    part = PARTS[name]
    told: dict[str, Any] = getattr(import_module(part.home), part.function)(plan)
    return told


def keep(title: str, told: dict[str, Any]) -> None:
    """Write a part's result down beside those of others."""
    kept = json.loads(RESULT.read_text("utf-8")) if RESULT.exists() else {}
    about = {"command": "python benchmarks/speed.py", "machine": describe(*VERSIONS)}
    write_json_file({**kept, **about, title: told}, RESULT)


if __name__ == "__main__":
    main()
