"""Draws the pictures of `docs/reading-pages.md`: one made-up photo at every step of reading.

    python docs/make_steps.py [--data-dir FOLDER]

The page is written with MNIST's held-out digits; its seed is fixed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from digitreader.reader import Reader
from digitreader.sources import Page
from digitreader.steps import steps_of
from digitreader.training.synthetic.pages import Range, SyntheticPage, synthetic_page
from digitreader.training.synthetic.writers import writers

IMAGES = Path(__file__).parent / "images"
SEED, KIND = 40, "labelled"
WIDTH = 760  # px


def main() -> None:
    """Draw all steps."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path)
    page = Page(a_page(parser.parse_args().data_dir).pixels, "made up")
    steps = steps_of(page, Reader().read_page(page))
    for i, (name, picture) in enumerate(steps.items(), 1):
        path = IMAGES / f"step_{i}_{name}.jpg"
        cv2.imwrite(str(path), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
        print(path)


def a_page(data_dir: Path | None) -> SyntheticPage:
    rng = np.random.default_rng(SEED)
    hands = writers(part="held-out", data_dir=data_dir)
    return synthetic_page(hands, rng, KIND, Range((480, WIDTH), (34, 40)))


if __name__ == "__main__":
    main()
