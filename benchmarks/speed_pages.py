"""A page of paper full of digits through `digitreader read`, beside RapidOCR and Tesseract.

The page is A4 at 300 dpi, white, 2480×3508 px, a JPEG file as scanners write it. On it stand
MNIST's test digits, 50 px high (4 mm), in numbers of five, in rows spread over the page.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from digitreader.reader import Reader
from digitreader.reading import Box
from peers import Rapid, Tesseract, digits_in, in_rows
from scores import Found, count_lines, count_marks
from sets import Case
from speed_clock import OURS, PROGRAM, Plan, in_turn, seconds_of, told, whole_process

SHAPE = (3508, 2480)
GLYPH = 70  # px that MNIST's 28 become
PITCH, GAP = 56, 80  # px from digit to digit, and more from number to number
ROW = 92  # px from row to row
MARGIN = 150
NUMBER = 5  # digits
QUALITY = 90
DIGITS = 200
SAMPLE = 10_000  # digits to draw from: MNIST's test images
TESSERACT, RAPID = "Tesseract", "RapidOCR"

Pixels = NDArray[np.uint8]


def page(plan: Plan, count: int) -> Case:
    """A page of so many digits, about a thousand at most: uint8 [3508, 2480]."""
    some = plan.digits(SAMPLE)
    chosen = np.random.default_rng(8).permutation(SAMPLE)[:count]
    paper = np.full(SHAPE, 255, np.uint8)
    digits: list[Found] = []
    rows: dict[int, str] = {}
    for (x, y), i in zip(_places(count), chosen, strict=True):
        ink = cv2.resize(some.images[i], (GLYPH, GLYPH), interpolation=cv2.INTER_CUBIC)
        under = paper[y : y + GLYPH, x : x + GLYPH]
        np.minimum(under, 255 - ink, out=under)
        label = str(some.targets[i])
        left, top, width, height = cv2.boundingRect((ink > 64).astype(np.uint8))
        digits.append(Found(label, Box(x + left, y + top, width, height)))
        rows[y] = rows.get(y, "") + label
    return Case(f"{count} digits", paper, tuple(rows.values()), tuple(digits))


def _places(count: int) -> list[tuple[int, int]]:
    """Corners of so many digits, number by number, spread over the page."""
    height, width = SHAPE
    step = NUMBER * PITCH + GAP
    lefts = range(MARGIN, width - MARGIN - step + GAP + 1, step)
    tops = range(MARGIN, height - MARGIN - ROW + 1, ROW)
    slots = [(x, y) for y in tops for x in lefts]
    numbers = -(-count // NUMBER)
    used = np.linspace(0, len(slots) - 1, numbers).round().astype(int)
    every = [(slots[i][0] + j * PITCH, slots[i][1]) for i in used for j in range(NUMBER)]
    return every[:count]


def full_page(plan: Plan) -> dict[str, Any]:
    """Seconds for a page of 200 digits, and what was right on it.

    Ours and Tesseract are whole programs, from their start to their end; RapidOCR has started.
    """
    case = page(plan, plan.count(DIGITS))
    assert case.digits is not None
    readers: dict[str, Callable[[Path], tuple[str, ...]]] = {}
    if not Rapid.missing():
        readers[RAPID] = _rapid()
    if not Tesseract.missing():
        readers[TESSERACT] = _tesseract
    with TemporaryDirectory() as folder:
        file = save(case, Path(folder) / "page.jpg")
        ours = Reader().read(file)
        lines = {OURS: ours.lines, **{name: read(file) for name, read in readers.items()}}
        calls: dict[str, Callable[[], float]] = {
            OURS: lambda: whole_process(*PROGRAM, "read", str(file))[0],
            **{name: partial(seconds_of, partial(read, file)) for name, read in readers.items()},
        }
        samples = in_turn(calls, plan.runs)
    found = [Found(digit.label or "", digit.box) for digit in ours.digits]
    return {
        **told(samples, "seconds"),
        "lines": {name: count_lines(case.lines, own)._asdict() for name, own in lines.items()},
        "digits": count_marks(case.digits, found)._asdict(),
    }


def save(case: Case, file: Path) -> Path:
    """Write a page as a JPEG file."""
    Image.fromarray(np.asarray(case.picture)).save(file, quality=QUALITY)
    return file


def _rapid() -> Callable[[Path], tuple[str, ...]]:
    engine: Any = import_module("rapidocr").RapidOCR(params={"Global.log_level": "error"})

    def read(file: Path) -> tuple[str, ...]:
        said = engine(str(file))
        if said.boxes is None:
            return ()
        places = [(box[:, 0].min(), box[:, 1].min(), box[:, 1].max()) for box in said.boxes]
        return digits_in(in_rows([(t, *p) for t, p in zip(said.txts, places, strict=True)]))

    return read


def _tesseract(file: Path) -> tuple[str, ...]:
    command = ["tesseract", str(file), "-", "--psm", "6", *Tesseract.WHITELIST]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return digits_in(done.stdout.splitlines())
