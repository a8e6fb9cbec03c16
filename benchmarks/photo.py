"""One photo of 12 megapixels, thirty digits on ruled paper by a lamp, and how fast it is read.

A process of its own, that has imported what reading needs and no more, reads the file again and
again: its time is what a user waits for the second picture, its peak memory what one must have.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from digitreader.reading import Box
from digitreader.training.synthetic.pens import BLUE, Pen, Slope
from digitreader.training.synthetic.sheet import Sheet, Style
from scores import Found, count_lines, count_marks
from sets import Case, truth, writers

SHAPE = (3000, 4000)
ROWS, DIGITS = 6, 5
RULE = 410  # px from one ruled line to the next
QUALITY = 90  # of the JPEG, as telephones' cameras have it

READ_AGAIN = """
import json, sys, time
from pathlib import Path
from digitreader.reader import Reader
reader = Reader(sys.argv[3] if len(sys.argv) > 3 else None)
seconds = []
for _ in range(int(sys.argv[2]) + 1):
    start = time.perf_counter()
    reading = reader.read(sys.argv[1])
    seconds.append(time.perf_counter() - start)
status = Path("/proc/self/status")
if status.exists():  # of this program alone; getrusage counts the one it was started from, too
    peak = int(status.read_text().split("VmHWM:")[1].split()[0])
else:
    import resource
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak //= 1024 if sys.platform == "darwin" else 1
digits = [[d.label, list(d.box), d.status] for d in reading.digits if d.status != "not_a_digit"]
heavy = [name for name in ("keras", "tensorflow", "matplotlib") if name in sys.modules]
print(json.dumps({"seconds": seconds[1:], "peak_mb": peak / 1024, "lines": reading.lines,
                  "digits": digits, "heavy": heavy}))
"""


def measure(data: Path, held_out: bool, model: Path | None, runs: int) -> dict[str, Any]:
    """Make the photo, read it in a process of its own, and compare digits, boxes and lines."""
    case = photo(data, held_out)
    assert isinstance(case.picture, np.ndarray)
    assert case.digits is not None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photo.jpg"
        encoded = cv2.imencode(".jpg", case.picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        path.write_bytes(encoded[1].tobytes())
        arguments = [str(path), str(runs), *([str(model)] if model else [])]
        command = [sys.executable, "-c", READ_AGAIN, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        size = path.stat().st_size
    told = json.loads(done.stdout)
    assert not told["heavy"], f"reading imported {told['heavy']}"
    found = [Found(label, Box(*box), status) for label, box, status in told["digits"]]
    return {
        "picture": f"{SHAPE[1]}×{SHAPE[0]} JPEG, {size / 1e6:.1f} MB",
        "runs": runs,
        "seconds_median": median(told["seconds"]),
        "seconds_min_max": [min(told["seconds"]), max(told["seconds"])],
        "peak_mb": told["peak_mb"],
        "digits": count_marks(case.digits, found)._asdict(),
        "lines": count_lines(case.lines, told["lines"])._asdict(),
    }


def photo(data: Path, held_out: bool) -> Case:
    """Write the page, light it and photograph it: uint8 [3000, 4000, 3]."""
    rng = np.random.default_rng((7, held_out))
    height, width = SHAPE
    sheet = Sheet(np.ones((height, width, 3), np.float32), rng)
    for y in range(RULE, height, RULE):
        sheet.stroke([(0, y), (width, y + 12)], (0.6, 0.75, 0.95), 6)
    hands = writers(data, held_out).digits
    for row in range(ROWS):
        style = Style(hands[rng.integers(len(hands))], hands[0], Pen(BLUE, 0.9, edge=0.5),
                      float(rng.uniform(215, 290)), gap=0.25, slope=Slope(0.08, 0.0))  # fmt: skip
        text = "".join(str(digit) for digit in rng.integers(0, 10, DIGITS))
        sheet.write(text, width * rng.uniform(0.05, 0.4), (row + 1.0) * RULE + 30, style)
    light = lamp(SHAPE, rng)
    page = sheet.left * np.array([0.87, 0.85, 0.78], np.float32) * light[..., None]
    levels = cv2.GaussianBlur(page, (0, 0), 1.5) * 255
    levels = levels + 2.5 * rng.standard_normal(levels.shape, np.float32)
    pixels = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    by_row = [sheet.written[i : i + DIGITS] for i in range(0, len(sheet.written), DIGITS)]
    lines = tuple("".join(mark.label for mark in marks) for marks in by_row)
    return Case("photo", pixels, lines, truth(tuple(sheet.written)))


def lamp(shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """Light that fades from one corner, and the shadow of a head across: float32 [H, W] in 0–1."""
    height, width = shape
    rows, columns = np.indices(shape, np.float32)
    away = np.hypot((columns / width - 0.15), (rows / height - 0.1))
    beyond = columns - width * 0.4 + 0.5 * (rows - height * 0.5)  # px past the shadow's edge
    shadow = 0.4 / (1 + np.exp(-np.clip(beyond / (0.02 * width), -30, 30)))
    fibres = cv2.GaussianBlur(rng.standard_normal(shape, np.float32), (0, 0), 1.0)
    return np.asarray((1 - 0.3 * away) * (1 - shadow) * (1 + 0.01 * fibres), np.float32)
