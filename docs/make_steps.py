"""Draws the pictures of `docs/reading-pages.md`: one made-up photo at every step of reading.

    python docs/make_steps.py [--data-dir FOLDER]

The page is written with MNIST's held-out digits; its seed is fixed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from digitreader.finder import HALF, Finder, Found
from digitreader.glyphs import to_glyph
from digitreader.ink import Inked, inked
from digitreader.marks import marks_of
from digitreader.outputs import annotated
from digitreader.reader import Reader
from digitreader.training.synthetic.pages import Range, SyntheticPage, synthetic_page
from digitreader.training.synthetic.writers import writers

IMAGES = Path(__file__).parent / "images"
SEED, KIND = 40, "labelled"
WIDTH = 760  # px
DIGIT, OTHER = (40, 130, 30), (200, 120, 60)  # RGB

Picture = NDArray[np.uint8]


def main() -> None:
    """Draw all steps."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path)
    page = a_page(parser.parse_args().data_dir)
    writing = inked(page.pixels)
    found = Finder.open().find(writing)
    steps = {
        "page": page.pixels,
        "ink": np.repeat(np.rint(255 - 255 * writing.ink).astype(np.uint8)[..., None], 3, axis=2),
        "characters": characters(page.pixels, found),
        "glyphs": glyphs(writing, found),
        "reading": np.asarray(annotated(page.pixels, Reader().read(page.pixels))),
    }
    for i, (name, picture) in enumerate(steps.items(), 1):
        path = IMAGES / f"step_{i}_{name}.jpg"
        cv2.imwrite(str(path), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
        print(path)


def a_page(data_dir: Path | None) -> SyntheticPage:
    rng = np.random.default_rng(SEED)
    hands = writers(part="held-out", data_dir=data_dir)
    return synthetic_page(hands, rng, KIND, Range((480, WIDTH), (34, 40)))


def characters(page: Picture, found: list[Found]) -> Picture:
    """Draw a box around every character: digits green, other writing blue."""
    drawn = page.copy()
    for f in found:
        digit = f.digit > HALF
        box = f.box
        colour = DIGIT if digit else OTHER
        cv2.rectangle(drawn, (box.x, box.y), (box.right, box.bottom), colour, 2 if digit else 1)
    return drawn


def glyphs(page: Inked, found: list[Found]) -> Picture:
    """Lay the digits' glyphs in rows, as the classifier sees them."""
    marks = marks_of(page, [f.box for f in found])
    seen = [to_glyph(m.ink) for m, f in zip(marks, found, strict=True) if f.digit > HALF]
    across = 12
    seen += [np.zeros((28, 28), np.uint8)] * (-len(seen) % across)
    rows = [np.hstack(seen[i : i + across]) for i in range(0, len(seen), across)]
    grid = cv2.resize(np.vstack(rows), None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    return np.repeat(np.asarray(grid, np.uint8)[..., None], 3, axis=2)


if __name__ == "__main__":
    main()
