"""A sheet to write on: places characters, remembers where each digit is, draws boxes and lines."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from digitreader.reading import Box
from digitreader.training.synthetic.hands import PUNCTUATION, Hand
from digitreader.training.synthetic.pens import UPRIGHT, Colour, Ink, Pen, Slope, inked

OTHER = "other"  # the label of what is no digit to be read


@dataclass(frozen=True)
class Written:
    """A character on the page: its label (a digit, or OTHER), its box, its number's name."""

    label: str
    box: Box
    number: int


@dataclass(frozen=True)
class Style:
    """How a line is written."""

    hand: Hand  # of digits
    other: Hand  # of everything else
    pen: Pen
    height: float  # px, of a digit
    gap: float = 0.12  # between neighbours' ink, in heights; below zero they run together
    unsteady: float = 0.03  # of height and of place, in heights
    outsized: float = 0.0  # share of the digits that are much smaller or larger than the others
    slope: Slope = UPRIGHT
    read: bool = True  # digits are to be read: they are handwriting and no part of a word


@dataclass
class _Cursor:
    """Where the next character goes: after x, beside the rightmost ink of each row, [H]."""

    start: float
    base: float
    x: float
    edge: NDArray[np.float64]


class Sheet:
    """What is left of the paper's light, float32 [H, W, 3] in 0–1, and what was written."""

    def __init__(self, left: NDArray[np.float32], rng: np.random.Generator) -> None:
        self.left = left
        self.rng = rng
        self.written: list[Written] = []
        self._numbers = 0

    @property
    def width(self) -> int:
        return int(self.left.shape[1])

    @property
    def height(self) -> int:
        return int(self.left.shape[0])

    def write(self, text: str, x: float, base: float, style: Style) -> Box | None:
        """Write from x, standing on base; return the box of it all, None where nothing fits.

        Neighbours are as far apart as their ink is, not their boxes: a 7 reaches over a 4.
        """
        self._numbers += 1
        cursor = _Cursor(x, base, x, np.full(self.height, -np.inf))
        boxes = [box for c in text if (box := self._character(c, cursor, style)) is not None]
        return around(boxes) if boxes else None

    def stroke(self, points: Iterable[tuple[float, float]], colour: Colour, thick: float) -> None:
        """Draw a line through points, no character."""
        path = np.array(list(points))
        rim = int(thick) + 2
        low = np.clip(np.floor(path.min(axis=0)).astype(int) - rim, 0, (self.width, self.height))
        high = np.clip(np.ceil(path.max(axis=0)).astype(int) + rim, 0, (self.width, self.height))
        layer = np.zeros(np.maximum(high - low, 0)[::-1], np.uint8)
        if not layer.size:
            return
        cv2.polylines(layer, [np.rint((path - low) * 16).astype(np.int32)], isClosed=False,
                      color=255, thickness=max(1, round(thick)), lineType=cv2.LINE_AA,
                      shift=4)  # fmt: skip
        self._stain(np.float32(1 / 255) * layer, int(low[0]), int(low[1]), colour, 1.0)

    def fill(self, box: Box, left: ArrayLike) -> None:
        """Print an area in one colour: what it leaves of the light, [3] in 0–1."""
        rows = slice(max(0, box.y), max(0, box.bottom))
        self.left[rows, max(0, box.x) : max(0, box.right)] = left

    def bow(
        self,
        start: tuple[float, float],
        end: tuple[float, float],
        colour: Colour,
        thick: float,
        wobble: float,
    ) -> None:
        """Draw a line by hand: smooth, but not quite straight."""
        ends = np.array([start, end])
        middle = ends.mean(axis=0) + self.rng.uniform(-wobble, wobble, 2)
        ends = ends + self.rng.uniform(-wobble / 2, wobble / 2, (2, 2))
        t = np.linspace(0, 1, 9)[:, None]
        path = (1 - t) ** 2 * ends[0] + 2 * t * (1 - t) * middle + t**2 * ends[1]
        self.stroke([(float(px), float(py)) for px, py in path], colour, thick)

    def rectangle(self, box: Box, colour: Colour, thick: float, wobble: float = 0.0) -> None:
        """Draw a frame; with a wobble, px, by hand."""
        corners = np.array([[box.x, box.y], [box.right, box.y], [box.right, box.bottom],
                            [box.x, box.bottom], [box.x, box.y]], np.float64)  # fmt: skip
        for a, b in pairwise(corners):
            self.bow((a[0], a[1]), (b[0], b[1]), colour, thick, wobble)

    def _character(self, character: str, cursor: _Cursor, style: Style) -> Box | None:
        """Write one character where the cursor is, and move it on."""
        if character == " ":
            cursor.x += style.height * self.rng.uniform(0.35, 0.6)
            cursor.edge = np.maximum(cursor.edge, cursor.x - style.gap * style.height)
            return None
        digit = character.isdigit()
        hand = style.hand if digit and character in style.hand.characters else style.other
        if character not in hand.characters:
            return None
        shape = hand.draw(character, self.rng)
        size = style.height * (1 + self.rng.uniform(-1, 1) * style.unsteady * 2)
        if digit and self.rng.random() < style.outsized:
            size *= self.rng.uniform(0.65, 1.4)
        # A larger one reaches below the line as well as above, a smaller one hangs.
        hangs = self.rng.uniform(0, 0.7) * (style.height - size) if digit else 0.0
        ink = inked(shape, size, style.pen, style.slope, self.rng)
        gap = style.gap if digit else max(style.gap, 0.05)
        box = self._place(ink, shape.bottom * size + hangs, cursor, style, gap)
        if box is None:
            return None
        self._stain(ink, box.x, box.y, style.pen.colour, style.pen.strength)
        small = character in PUNCTUATION and box.height < 0.5 * size  # nobody takes it for a digit
        if not small:
            readable = digit and style.read and hand is style.hand
            self.written.append(Written(character if readable else OTHER, box, self._numbers))
        return box

    def _place(
        self, ink: Ink, drop: float, cursor: _Cursor, style: Style, gap: float
    ) -> Box | None:
        """Find the place beside what is written so far, and move the cursor; None off the sheet.

        `drop` is how far above the base the character ends, in px.
        """
        height, width = ink.shape
        size = style.height
        foot = cursor.base - drop + self.rng.uniform(-1, 1) * style.unsteady * size
        foot += (cursor.x - cursor.start) * np.tan(style.slope.turn)
        top = round(foot) - height
        if top < 0 or top + height > self.height:
            return None
        rows = slice(top, top + height)
        left = _profile(ink)  # [h], first ink in each row
        near = _spread(cursor.edge, round(0.08 * size))[rows] - left
        beside = np.max(near, initial=-np.inf) + gap * size
        # Where no row is shared, a box may reach under the one before it, but not far.
        at = round(max(beside, cursor.x - 0.35 * size - gap * size, cursor.start))
        if at + width > self.width:
            return None
        right = width - _profile(ink[:, ::-1])
        edge = np.where(np.isfinite(left), at + right, -np.inf)
        cursor.edge[rows] = np.maximum(cursor.edge[rows], edge)
        cursor.x = max(cursor.x, at + width + style.gap * size)
        return Box(at, top, width, height)

    def _stain(self, ink: Ink, x: int, y: int, colour: Colour, strength: float) -> None:
        height, width = ink.shape
        takes = np.float32(strength) * (1 - np.array(colour, np.float32))
        self.left[y : y + height, x : x + width] *= 1 - ink[..., None] * takes


def around(boxes: list[Box]) -> Box:
    """Return the smallest box around all."""
    x, y = min(box.x for box in boxes), min(box.y for box in boxes)
    right, bottom = max(box.right for box in boxes), max(box.bottom for box in boxes)
    return Box(x, y, right - x, bottom - y)


def _profile(ink: Ink) -> NDArray[np.float64]:
    """Column of the first ink in each row, [h]; infinite where there is none."""
    mask = ink > 0.3
    return np.where(mask.any(axis=1), mask.argmax(axis=1), np.inf)


def _spread(edge: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """Greatest value within reach of each row."""
    if reach < 1 or not np.isfinite(edge).any():
        return edge
    padded = np.pad(edge, reach, constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    return np.asarray(windows.max(axis=1), np.float64)
