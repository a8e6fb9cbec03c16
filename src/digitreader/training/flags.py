"""Flagged ones: MNIST's plain strokes given the flag that much of the world writes them with."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from digitreader.glyphs import to_glyph

Images = NDArray[np.uint8]


def flagged(ones: Images, rng: np.random.Generator) -> Images:
    """Give ones the flag, and some the foot, that much of the world writes them with.

    Few of MNIST's writers did, and a network that saw only theirs reads a flagged 1 as a 7. With
    a broad pen the flag runs into the stem, so the pen varies too; every seventh stays plain.
    uint8 [N, 28, 28], glyphs of plain ones, in; the same form out.
    """
    out = np.empty_like(ones)
    for i, one in enumerate(ones):
        angle, length = np.deg2rad(rng.uniform(30, 65)), rng.uniform(0.2, 0.6)
        foot = rng.uniform(0.15, 0.35) if rng.random() < 0.3 else 0.0
        broad = _stroked(one, rng.uniform(-1, 2.5))  # broader pens than MNIST's, too
        styled = _with_flag(broad, angle, length, foot) if rng.random() < 0.85 else broad
        out[i] = to_glyph(np.float32(1 / 255) * styled)
    return out


def _with_flag(one: Images, angle: float, length: float, foot: float) -> Images:
    """Draw the flag from the top of the stroke, down to the left, and the foot across its end."""
    rows = np.flatnonzero((one > 127).any(axis=1))
    if not rows.size:
        return one
    top, bottom = int(rows[0]), int(rows[-1])
    height = bottom - top + 1
    middle = {y: float(np.flatnonzero(one[y] > 127).mean()) for y in (top, bottom)}
    along = float(np.hypot(height, middle[top] - middle[bottom]))
    pen = max(1, round(0.8 * float(one.sum()) / 255 / along))  # the smoothed edge adds the rest
    drawn = one.copy()
    start = np.array([middle[top], top + pen / 2])
    tip = start + height * length * np.array([-np.cos(angle), np.sin(angle)])
    _line(drawn, start, tip, pen)
    if foot:
        centre = np.array([middle[bottom], bottom - pen / 2])
        reach = np.array([height * foot, 0.0])
        _line(drawn, centre - reach, centre + reach, pen)
    return drawn


def _line(image: Images, a: NDArray[np.float64], b: NDArray[np.float64], pen: int) -> None:
    start, end = ([round(float(v) * 16) for v in point] for point in (a, b))
    cv2.line(image, start, end, 255, pen, cv2.LINE_AA, 4)


_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)


def _stroked(image: Images, edge: float) -> Images:
    """Move the edges of the strokes out (positive) or in, by so many pixels."""
    change = cv2.dilate if edge > 0 else cv2.erode
    left = edge if edge > 0 else -0.6 * edge  # a whole pixel off both sides is often the stroke
    while left > 0:
        share = min(left, 1.0)
        image = cv2.addWeighted(image, 1 - share, change(image, _CROSS), share, 0)  # type: ignore[assignment]
        left -= share
    return image
