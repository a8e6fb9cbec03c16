"""What is drawn on synthetic pages without being a character: figures, scribbles, underlines."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from digitreader.reading import Box
from digitreader.training.synthetic.hands import rounded
from digitreader.training.synthetic.pens import Colour, some_pen
from digitreader.training.synthetic.sheet import Sheet

Points = NDArray[np.float64]  # [N, 2] as x, y in px


def scribble(sheet: Sheet, size: float) -> None:
    """Draw a line that wanders, with corners or without; `size` is a digit's height in px."""
    rng = sheet.rng
    start = rng.uniform(0, (sheet.width, sheet.height))
    steps = rng.normal(0, size * rng.uniform(0.2, 1.5), (rng.integers(1, 9), 2))
    path = np.concatenate([start[None], start + np.cumsum(steps, axis=0)])
    _draw(sheet, rounded(path) if rng.random() < 0.5 else path, size)


def figure(sheet: Sheet, size: float) -> None:
    """Draw an envelope, a polygon or an ellipse, larger than any character around it."""
    rng = sheet.rng
    reach = size * rng.uniform(0.8, 2.5, 2)
    centre = rng.uniform(0, (sheet.width, sheet.height))
    kind = rng.choice(("envelope", "polygon", "ellipse"))
    if kind == "envelope":
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1], [0, 0.2], [1, -1]])
    else:
        count = 40 if kind == "ellipse" else int(rng.integers(3, 7))
        turns = np.linspace(0, 2 * np.pi, count + 1) + rng.uniform(0, 2 * np.pi)
        corners = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    shaken = corners + rng.normal(0, 0.03, corners.shape)
    shaken[-1] = corners[-1] if kind == "envelope" else shaken[0]
    _draw(sheet, centre + reach * shaken, size)


def underline(sheet: Sheet, box: Box, colour: Colour) -> None:
    """Draw a line under what was written in a box, or through its feet."""
    rng = sheet.rng
    below = box.bottom + rng.uniform(0.0, 0.15) * box.height
    rise = rng.uniform(-0.03, 0.03) * box.width
    sheet.stroke([(box.x - 4, below), (box.right + 4, below + rise)], colour,
                 box.height * rng.uniform(0.03, 0.1))  # fmt: skip


def _draw(sheet: Sheet, path: Points, size: float) -> None:
    points = [(float(x), float(y)) for x, y in path]
    sheet.stroke(points, some_pen(sheet.rng).colour, size * sheet.rng.uniform(0.03, 0.2))
