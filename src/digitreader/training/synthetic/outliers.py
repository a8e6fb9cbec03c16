"""Glyphs that are no digit: what a classifier must see to say so (Hendrycks et al. 2019).

Letters and signs by hand and in print, letters that nobody writes, scribbles, two digits in one,
and textures. Letters that look like a digit by themselves are left out.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from digitreader.glyphs import to_glyph
from digitreader.training.datasets import Split
from digitreader.training.synthetic.hands import (
    Hands,
    Shape,
    StrokeHand,
    invented_letter,
    rounded,
)
from digitreader.training.synthetic.pens import Slope, inked, some_pen, tight
from digitreader.training.synthetic.texts import some_letter

Ink = NDArray[np.float32]
DRAWN = 40.0  # px, a digit's height beside them

Make = Callable[[Hands, Split, np.random.Generator], Ink]


def outliers(hands: Hands, digits: Split, count: int, seed: int) -> NDArray[np.uint8]:
    """Make so many glyphs, uint8 [count, 28, 28], ink bright: the same again for the same seed."""
    rng = np.random.default_rng((seed, 5))
    shares = np.array([share for share, _ in KINDS.values()])
    kinds = rng.choice(len(KINDS), count, p=shares / shares.sum())
    makers = [make for _, make in KINDS.values()]
    return np.stack([to_glyph(makers[kind](hands, digits, rng)) for kind in kinds])


def _by_hand(hands: Hands, digits: Split, rng: np.random.Generator) -> Ink:
    del digits
    hand = hands.letters[rng.integers(len(hands.letters))]
    return _penned(hand.draw(some_letter(hand, rng), rng), rng)


def _in_print(hands: Hands, digits: Split, rng: np.random.Generator) -> Ink:
    del digits
    hand = hands.print[rng.integers(len(hands.print))]
    return _penned(hand.draw(some_letter(hand, rng), rng), rng)


def _invented(hands: Hands, digits: Split, rng: np.random.Generator) -> Ink:
    del hands, digits
    return _penned(StrokeHand({"a": invented_letter(rng)}).draw("a", rng), rng)


def _scribble(hands: Hands, digits: Split, rng: np.random.Generator) -> Ink:
    """A line that wanders over itself."""
    del hands, digits
    steps = rng.normal(0, 30, (rng.integers(6, 14), 2))
    path = rounded(50 + np.cumsum(steps, axis=0) * rng.uniform(0.3, 1))
    return _penned(StrokeHand({"a": [path.astype(np.float32)]}).draw("a", rng), rng)


def _pair(hands: Hands, digits: Split, rng: np.random.Generator) -> Ink:
    """Two digits side by side, that nobody cut apart."""
    del hands
    both = [tight(np.float32(1 / 255) * digits.images[rng.integers(len(digits))]) for _ in range(2)]
    high = max(len(ink) for ink in both)
    left, right = (np.pad(ink, ((high - len(ink), 0), (0, 0))) for ink in both)  # on one line
    gap = np.zeros((high, rng.integers(0, 4)), np.float32)
    return np.hstack([left, gap, right])


def _texture(hands: Hands, digits: Split, rng: np.random.Generator) -> Ink:
    """Blots, stripes or grain, in a square or across the whole picture."""
    del hands, digits
    side = int(rng.integers(20, 60))
    if rng.random() < 0.5:
        rough = rng.standard_normal((side, side), np.float32)
        field = cv2.GaussianBlur(rough, (0, 0), rng.uniform(0.6, 8))
    else:
        rows, columns = np.indices((side, side), np.float32)
        turn, wave = rng.uniform(0, np.pi), rng.uniform(4, 20)
        field = np.sin((np.cos(turn) * rows + np.sin(turn) * columns) * 2 * np.pi / wave)
    field = field - np.quantile(field, rng.uniform(0.2, 0.8))
    return np.asarray(np.clip(0.5 + field / (field.std() + 1e-6), 0, 1), np.float32)


def _penned(shape: Shape, rng: np.random.Generator) -> Ink:
    slope = Slope(float(rng.normal(0, 0.15)), float(rng.normal(0, 0.1)))
    return inked(shape, DRAWN, some_pen(rng), slope, rng)


KINDS: dict[str, tuple[float, Make]] = {  # how often, and how
    "by hand": (0.35, _by_hand),
    "in print": (0.1, _in_print),
    "invented": (0.25, _invented),
    "scribble": (0.1, _scribble),
    "pair": (0.12, _pair),
    "texture": (0.08, _texture),
}
