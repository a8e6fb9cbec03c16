"""Where the time goes: of a small picture file in a batch, of a full page, of a cold start."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import cv2
import numpy as np

from digitreader.batch.items import Part
from digitreader.batch.plan import items_of
from digitreader.finder import Finder
from digitreader.ink import inked, working_copy
from digitreader.outputs import write_parquet
from digitreader.reader import Reader
from digitreader.ready_glyphs import glyphs_among
from digitreader.sources import Page, open_pages
from speed_batch import written
from speed_clock import PICTURE, PROGRAM, Plan, in_turn, seconds_of, whole_process
from speed_pages import DIGITS, page, save

FILES = 250  # that a batch reads together
LIBRARIES = "import numpy, cv2, onnxruntime, PIL.PngImagePlugin"
OURS = "digitreader.reader, digitreader.doors.read_cli"
STARTS = {
    "Python": (sys.executable, "-c", "pass"),
    "NumPy": (sys.executable, "-c", "import numpy"),
    "OpenCV, ONNX Runtime, Pillow": (sys.executable, "-c", LIBRARIES),
    "the command line": (sys.executable, "-c", f"{LIBRARIES}, {OURS}"),
    "the models, the picture, the table": (*PROGRAM, "read", str(PICTURE)),
}

Times = dict[str, float]  # s


def stages(plan: Plan) -> dict[str, Times]:
    """Microseconds of a file of 28×28, milliseconds of a page, and of a cold start."""
    with TemporaryDirectory() as folder:
        cores = cv2.getNumThreads()
        cv2.setNumThreads(1)  # as in a batch
        a_file = of_files(written(plan.digits(FILES).images, Path(folder) / "png"), plan)
        cv2.setNumThreads(cores)
        a_page = of_page(save(page(plan, DIGITS), Path(folder) / "page.jpg"), plan)
    commands = {name: partial(_wall, command) for name, command in STARTS.items()}
    return {
        "file, µs": {stage: 1e6 * seconds / FILES for stage, seconds in a_file.items()},
        "page, ms": {stage: 1000 * seconds for stage, seconds in a_page.items()},
        "cold start, ms": {
            stage: 1000 * seconds for stage, seconds in steps(_medians(commands, plan)).items()
        },
    }


def of_files(files: list[Path], plan: Plan) -> Times:
    """Seconds of each stage, for all files."""
    reader, part = Reader(threads=1), Part(0, "files", names=tuple(map(str, files)))
    pages = [item for item in items_of(part) if isinstance(item, Page)]
    glyphs = np.stack([item.pixels for item in pages])  # [N, 28, 28]
    readings = reader.read_batch(pages)
    stages = {
        "open and decode": lambda: list(items_of(part)),
        "tell that it is a glyph": lambda: glyphs_among(list(glyphs)),
        "classify": lambda: reader.classify(glyphs),
        "find its box, make its reading": lambda: reader.read_batch(pages),
        "write": lambda: write_parquet(readings, io.BytesIO(), reader.labels),
    }
    taken = _medians({name: partial(seconds_of, call) for name, call in stages.items()}, plan)
    taken["find its box, make its reading"] -= taken["tell that it is a glyph"] + taken["classify"]
    return taken


def of_page(file: Path, plan: Plan) -> Times:
    """Seconds of each stage of one page."""
    reader, finder = Reader(), Finder.open()
    pixels = next(open_pages(file)).pixels
    writing = inked(working_copy(pixels))
    stages = {
        "open and decode": lambda: list(open_pages(file)),
        "find the ink": lambda: inked(working_copy(pixels)),
        "find the characters": lambda: finder.find(writing),
        "cut out, classify, put in lines": lambda: reader.read(file),
    }
    taken = _medians({name: partial(seconds_of, call) for name, call in stages.items()}, plan)
    *others, last = taken
    taken[last] -= sum(taken[name] for name in others)
    return taken


def steps(whole: Times) -> Times:
    """What each adds to the one before."""
    (first, start), *_ = whole.items()
    return {first: start} | {
        name: seconds - before for (_, before), (name, seconds) in pairwise(whole.items())
    }


def _medians(contestants: Mapping[str, Callable[[], float]], plan: Plan) -> Times:
    return {name: median(own) for name, own in in_turn(contestants, plan.runs).items()}


def _wall(command: tuple[str, ...]) -> float:
    return whole_process(*command)[0]
