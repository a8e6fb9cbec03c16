"""Draws the example pictures: strokes of a pen on paper, in the forms people's pictures come in.

    python examples/make_examples.py

The digits are curves through a few points each, moved a little at random, so no data set is
needed. `expected.csv` lists what each picture says; the tests and `make demo` read them.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

HERE = Path(__file__).parent
Picture = NDArray[np.float32]  # [H, W], 0 paper … 1 ink
Stroke = list[tuple[float, float]]  # points in a box of width 1 and height 1.5, y down

DIGITS: dict[str, list[Stroke]] = {
    "0": [[(0.55, 0.02), (0.15, 0.35), (0.08, 0.95), (0.4, 1.45), (0.8, 1.2), (0.92, 0.6),
           (0.75, 0.12), (0.45, 0.05)]],
    "1": [[(0.25, 0.35), (0.45, 0.18), (0.58, 0.02), (0.56, 0.7), (0.52, 1.48)]],
    "2": [[(0.1, 0.35), (0.3, 0.06), (0.7, 0.05), (0.85, 0.4), (0.55, 0.9), (0.1, 1.42)],
          [(0.1, 1.42), (0.5, 1.38), (0.95, 1.44)]],
    "3": [[(0.12, 0.18), (0.45, 0.0), (0.82, 0.2), (0.72, 0.55), (0.4, 0.68)],
          [(0.4, 0.68), (0.8, 0.78), (0.9, 1.12), (0.55, 1.46), (0.08, 1.3)]],
    "4": [[(0.6, 0.02), (0.35, 0.5), (0.05, 0.95)], [(0.05, 0.95), (0.5, 0.93), (0.98, 0.9)],
          [(0.7, 0.45), (0.68, 1.0), (0.66, 1.48)]],
    "5": [[(0.85, 0.04), (0.5, 0.05), (0.2, 0.07)], [(0.2, 0.07), (0.17, 0.35), (0.14, 0.62)],
          [(0.14, 0.62), (0.5, 0.5), (0.85, 0.75), (0.82, 1.2), (0.45, 1.47), (0.08, 1.33)]],
    "6": [[(0.75, 0.03), (0.35, 0.35), (0.12, 0.9), (0.25, 1.38), (0.65, 1.45), (0.86, 1.1),
           (0.62, 0.8), (0.28, 0.92), (0.16, 1.12)]],
    "7": [[(0.08, 0.08), (0.45, 0.07), (0.9, 0.05)], [(0.9, 0.05), (0.62, 0.65), (0.4, 1.48)]],
    "8": [[(0.78, 0.2), (0.48, 0.0), (0.2, 0.22), (0.38, 0.58), (0.78, 0.95), (0.75, 1.35),
           (0.42, 1.48), (0.14, 1.2), (0.36, 0.82), (0.72, 0.5), (0.8, 0.22)]],
    "9": [[(0.85, 0.3), (0.5, 0.02), (0.15, 0.3), (0.25, 0.68), (0.6, 0.72), (0.85, 0.35)],
          [(0.86, 0.3), (0.82, 0.8), (0.68, 1.48)]],
}  # fmt: skip


def smooth(points: Stroke, steps: int = 16) -> NDArray[np.float64]:
    """Return a Catmull-Rom curve through the points: [n, 2]."""
    p = np.array([points[0], *points, points[-1]])  # [k + 2, 2]
    t = np.linspace(0, 1, steps)[:, None]
    parts = [
        0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2
               + (3 * b - a - 3 * c + d) * t**3)
        for a, b, c, d in zip(p, p[1:], p[2:], p[3:], strict=False)
    ]  # fmt: skip
    return np.concatenate(parts)


def write(  # noqa: PLR0913, PLR0917 (a pen has this many settings)
    page: Picture,
    text: str,
    x: float,
    y: float,
    height: float,
    pen: float,
    rng: np.random.Generator,
) -> None:
    """Write a number on a page, its top left corner at x, y; all in pixels."""
    unit = height / 1.5
    for character in text:
        if character != " ":
            slant = rng.uniform(-0.05, 0.15)
            for stroke in DIGITS[character]:
                moved = np.array(stroke) + rng.normal(0, 0.018, (len(stroke), 2))
                curve = smooth([(px - slant * (py - 0.75), py) for px, py in moved])
                line = np.rint((curve * unit + (x, y + rng.normal(0, 0.01) * unit)) * 8)
                cv2.polylines(page, [line.astype(np.int32)], False, 1.0,
                              max(1, round(pen)), cv2.LINE_AA, 3)  # fmt: skip
        x += unit * (1.35 + rng.uniform(-0.05, 0.12))


def blank(width: int, height: int) -> Picture:
    return np.zeros((height, width), np.float32)


def on_paper(
    ink: NDArray[np.floating], paper: NDArray[np.floating] | float, pen: float
) -> NDArray[np.uint8]:
    """Mix paper and pen, both grey levels 0–255, by how much ink there is."""
    return np.clip(np.rint(paper * (1 - ink) + pen * ink), 0, 255).astype(np.uint8)


def single(text: str, size: int, pen: float, rng: np.random.Generator) -> Picture:
    page = blank(size, size)
    write(page, text, size * 0.32, size * 0.2, size * 0.6, pen, rng)
    return page


def seven(rng: np.random.Generator) -> Image.Image:
    """A 7 with a felt pen on white."""
    return Image.fromarray(on_paper(single("7", 200, 11, rng), 255, 20))


def chalk(rng: np.random.Generator) -> Image.Image:
    """A 4 in chalk on a blackboard: light on dark, thin and large."""
    ink = single("4", 640, 14, rng) * rng.uniform(0.7, 1, (640, 640)).astype(np.float32)
    board = 45 + rng.normal(0, 4, (640, 640)).astype(np.float32)
    return Image.fromarray(on_paper(ink, board, 225))


def pencil(rng: np.random.Generator) -> Image.Image:
    """A faint, small 2 in pencil, off-centre, on cream paper with the shadow of a hand."""
    height, width = 480, 640
    ink = blank(width, height)
    write(ink, "2", 420, 250, 110, 5, rng)
    edge = np.linspace(-1, 1, width)[None, :] + np.linspace(-0.6, 0.6, height)[:, None]
    light = 0.72 + 0.28 / (1 + np.exp(edge * 9))  # [H, W]
    grain = rng.normal(0, 2.0, (height, width))
    levels = [on_paper(0.55 * ink, p * light + grain, 90) for p in (246.0, 238.0, 214.0)]
    return Image.fromarray(np.stack(levels, axis=2))


def sticker(rng: np.random.Generator) -> Image.Image:
    """A 3 in blue on a transparent picture."""
    alpha = np.rint(single("3", 160, 9, rng) * 255).astype(np.uint8)
    colour = np.broadcast_to(np.array([25, 60, 170], np.uint8), (160, 160, 3))
    return Image.fromarray(np.dstack([colour, alpha]))


def scan(rng: np.random.Generator) -> Image.Image:
    """A 5 as a 16-bit scan."""
    grey = on_paper(single("5", 240, 8, rng), 240, 40)
    return Image.fromarray(grey.astype(np.uint16) * 257)


def tiny(rng: np.random.Generator) -> Image.Image:
    """A 6 in 28×28 pixels, light on dark, as MNIST has them."""
    small = cv2.resize(single("6", 280, 24, rng), (28, 28), interpolation=cv2.INTER_AREA)
    return Image.fromarray(on_paper(np.asarray(small, np.float32), 0, 255))


def postcode(rng: np.random.Generator) -> Image.Image:
    """A postcode with a ballpoint pen."""
    ink = blank(520, 170)
    write(ink, "90210", 40, 40, 90, 6, rng)
    levels = [on_paper(ink, 250, pen) for pen in (20, 30, 120)]
    return Image.fromarray(np.stack(levels, axis=2))


def page(rng: np.random.Generator) -> Image.Image:
    """A page of numbers in three lines, one with a wide gap, in uneven light."""
    height, width = 700, 900
    ink = blank(width, height)
    for i, line in enumerate(("314159", "2026 11 21", "8067")):
        write(ink, line, 70, 80 + 200 * i, 85, 6, rng)
    light = 0.78 + 0.22 * np.linspace(0, 1, width)[None, :] * np.linspace(0.4, 1, height)[:, None]
    grain = rng.normal(0, 2.5, (height, width))
    return Image.fromarray(on_paper(ink, 235 * light + grain, 50))


def empty(rng: np.random.Generator) -> Image.Image:
    """A sheet with nothing on it but its grain and a shadow."""
    light = 0.8 + 0.2 * np.linspace(0, 1, 400)[None, :] * np.ones((300, 1))
    return Image.fromarray(on_paper(blank(400, 300), 230 * light + rng.normal(0, 3, (300, 400)), 0))


PICTURES: dict[str, tuple[Callable[[np.random.Generator], Image.Image], str]] = {
    "felt_pen.png": (seven, "7"),
    "chalk.jpg": (chalk, "4"),
    "pencil_in_shadow.jpg": (pencil, "2"),
    "transparent.png": (sticker, "3"),
    "scan_16_bit.png": (scan, "5"),
    "tiny_28x28.png": (tiny, "6"),
    "postcode.png": (postcode, "90210"),
    "page.jpg": (page, "314159|2026 11 21|8067"),
    "empty_sheet.jpg": (empty, ""),
}


def main() -> None:
    """Draw every picture and write down what it says."""
    for seed, (name, (draw, _)) in enumerate(PICTURES.items()):
        draw(np.random.default_rng(seed)).save(HERE / name, quality=85)
    with (HERE / "expected.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["file", "lines"])
        writer.writerows([name, lines] for name, (_, lines) in PICTURES.items())


if __name__ == "__main__":
    main()
