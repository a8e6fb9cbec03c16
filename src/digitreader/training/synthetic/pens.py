"""Pens: how a character's shape becomes ink of some size, thickness and slant on a page."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from digitreader.training.synthetic.hands import HEIGHT, Shape

Colour = tuple[float, float, float]  # share of the paper's red, green and blue that is left
Ink = NDArray[np.float32]

BLACK: Colour = (0.1, 0.1, 0.12)
BLUE: Colour = (0.15, 0.2, 0.55)
RED: Colour = (0.85, 0.15, 0.2)
GREEN: Colour = (0.1, 0.45, 0.2)


@dataclass(frozen=True)
class Pen:
    """What a writer holds."""

    colour: Colour
    strength: float = 1.0  # share of the light it takes; a hard pencil takes a fifth
    edge: float = 0.4  # where the softened shape is cut: less is a broader stroke
    monoline: float = 0.0  # px at HEIGHT; a ballpoint's even width, 0 keeps the shape's own
    grain: float = 0.0  # share of the ink that the paper's grain keeps off, as with pencils


@dataclass(frozen=True)
class Slope:
    """How a hand leans: `slant` is columns per row upwards, `turn` the angle in radians."""

    slant: float = 0.0
    turn: float = 0.0


UPRIGHT = Slope()


def some_pen(rng: np.random.Generator) -> Pen:
    """Draw a pen: mostly dark, now and then a pencil or a coloured one."""
    colours = (BLACK, BLACK, BLACK, BLUE, BLUE, RED, GREEN)
    strength = 1.0 if rng.random() < 0.6 else float(rng.uniform(0.18, 1.0))
    return Pen(
        colours[rng.integers(len(colours))],
        strength,
        edge=float(rng.uniform(0.25, 0.55)),
        monoline=float(rng.uniform(2.5, 9)) if rng.random() < 0.4 else 0.0,
        grain=float(rng.uniform(0.2, 0.7)) if rng.random() < 0.2 else 0.0,
    )


def inked(shape: Shape, height: float, pen: Pen, slope: Slope, rng: np.random.Generator) -> Ink:
    """Draw a shape with a pen where digits are `height` px high: float32 [h, w] in 0–1.

    The result is cut tight, and not empty unless the shape is.
    """
    high = max(2.0, height * (shape.top - shape.bottom))
    scale = high / shape.ink.shape[0]
    drawn = _turned(_penned(shape.ink, pen), 2 * scale, slope)  # at twice the size
    half = (max(1, drawn.shape[1] // 2), max(1, drawn.shape[0] // 2))
    ink = np.asarray(cv2.resize(drawn, half, interpolation=cv2.INTER_AREA), np.float32)
    if pen.grain:
        ink *= 1 - pen.grain * _grain(ink.shape, rng)
    return tight(ink)


def tight(ink: Ink) -> Ink:
    """Cut the empty rim off."""
    mask = ink > 0.15
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return ink
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _penned(ink: Ink, pen: Pen) -> Ink:
    """Change the stroke's width: float32 [h, w] at HEIGHT."""
    rim = 6
    wide = np.pad(ink, rim)
    if pen.monoline:
        inside = cv2.distanceTransform((wide > 0.4).astype(np.uint8), cv2.DIST_L2, 5)
        depth = cv2.GaussianBlur(inside, (0, 0), 1.0)
        from_middle = cv2.dilate(depth, np.ones((9, 9), np.uint8)) - depth  # px
        line = np.clip(pen.monoline / 2 - from_middle + 0.5, 0, 1) * np.clip(2 * depth, 0, 1)
        return np.asarray(line, np.float32)
    soft = cv2.GaussianBlur(wide, (0, 0), 0.03 * HEIGHT)
    cut = pen.edge * min(1.0, float(soft.max()) / 0.8)  # thin fonts keep their strokes
    return np.asarray(np.clip((soft - cut) * 6 + 0.5, 0, 1), np.float32)


def _turned(ink: Ink, scale: float, slope: Slope) -> Ink:
    """Scale, slant and turn about the middle: float32 [h, w] → [h', w'], nothing cut off."""
    height, width = ink.shape
    cos, sin = np.cos(slope.turn), np.sin(slope.turn)
    matrix = scale * np.array([[cos, -sin], [sin, cos]]) @ np.array([[1, -slope.slant], [0, 1]])
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]]) @ matrix.T
    low, size = corners.min(axis=0), np.ptp(corners, axis=0)
    moved = np.hstack([matrix, -low[:, None]]).astype(np.float32)
    target = (max(2, int(np.ceil(size[0]))), max(2, int(np.ceil(size[1]))))
    return np.asarray(cv2.warpAffine(ink, moved, target, flags=cv2.INTER_LINEAR), np.float32)


def _grain(shape: tuple[int, ...], rng: np.random.Generator) -> Ink:
    """Speckles of 1–2 px: float32 [h, w] in 0–1."""
    speckle = rng.random(shape, np.float32)
    return np.asarray(cv2.GaussianBlur((speckle > 0.6).astype(np.float32), (0, 0), 0.6), np.float32)
