"""Harm that pictures come to, drawn over training digits: noise, light, lines, drops, smears.

Like `augment.py` it is array operations of Keras's backend on float32 [B, 28, 28] in 0–1, ink
bright, and all that is random follows from a number of -1 to 1 for each image. The kinds are
those that classifiers of clean digits fail on (Mu & Gilmer 2019), at strengths drawn anew for
every image; where a batch is harmed, each kind harms the same number of its images.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from digitreader.glyphs import SIDE
from digitreader.training.augment import COLUMNS, ROWS, sampled, spread

Tensor = Any  # Keras ships no types

STOCK = 2**18  # random numbers, of which every image takes a stretch
SMEAR = 7  # samples along a smear
TILT = (-0.5, 0.5), (-0.5, 0.5), (0.9, 1.6)  # radians, share of the height, pixels for one


def harmed(images: Tensor, places: Tensor, share: float) -> Tensor:
    """Harm the last images of a batch, so large a share of it; `places`, [B], are of -1–1."""
    n = ops.shape(images)[0]
    each = of_each_kind(n, share)
    first = n - each * len(HARMS)
    parts = [images[:first]]
    for i, harm in enumerate(HARMS):
        part = slice(first + i * each, first + (i + 1) * each)
        parts.append(ops.clip(harm(images[part], Chance(places[part])), 0, 1))
    return ops.concatenate(parts)


def kinds(count: int, share: float) -> NDArray[np.int64]:
    """How each place of a batch is harmed, [count]: 0 for not at all, else the kind's number."""
    each = of_each_kind(count, share)
    numbers = [count - each * len(HARMS), *[each] * len(HARMS)]
    return np.repeat(np.arange(len(HARMS) + 1), numbers)


def of_each_kind(count: int, share: float) -> int:
    """How many images of a batch come to each kind of harm: together no more than the share."""
    return count * round(1000 * share) // (1000 * len(HARMS))


class Chance:
    """Random numbers for each of some images, [b], which follow from their places in a stock."""

    def __init__(self, places: Tensor) -> None:
        self._next = ops.cast((places + 1) / 2 * (STOCK - 4 * SIDE**2), "int32")  # [b]

    def uniform(self, low: float, high: float) -> Tensor:
        """One for each image: [b, 1, 1]."""
        return low + (high - low) * self.numbers(1)[:, :, None]

    def pixels(self) -> Tensor:
        """One for each pixel, in 0–1: [b, 28, 28]."""
        return ops.reshape(self.numbers(SIDE**2), (-1, SIDE, SIDE))

    def clouds(self, nodes: int) -> Tensor:
        """A smooth field through random values at so many nodes a side: [b, 28, 28]."""
        return ops.reshape(ops.matmul(self.numbers(nodes**2), _spread(nodes)), (-1, SIDE, SIDE))

    def numbers(self, count: int) -> Tensor:
        """So many for each image, in 0–1: [b, count]."""
        picked = ops.take(_stock(), self._next[:, None] + np.arange(count, dtype=np.int32), axis=0)
        self._next = self._next + count
        return picked


def tilted(images: Tensor, chance: Chance) -> Tensor:
    """Turned, slanted, smaller or larger, more than people write."""
    angle, shear, size = (chance.uniform(low, high)[:, 0] for low, high in TILT)  # [b, 1]
    cos, sin = size * ops.cos(angle), size * ops.sin(angle)
    columns = COLUMNS + shear * ROWS
    middle = (SIDE - 1) / 2
    return sampled(images, cos * columns - sin * ROWS + middle, sin * columns + cos * ROWS + middle)


def noisy(images: Tensor, chance: Chance) -> Tensor:
    """Noise everywhere, or more of it where there is ink."""
    amount, everywhere = chance.uniform(0.1, 1.2), chance.uniform(0, 1)
    noise = chance.pixels() + chance.pixels() - 1  # triangular, about 0
    return images + amount * noise * (everywhere + (1 - everywhere) * images)


def peppered(images: Tensor, chance: Chance) -> Tensor:
    """Single pixels turned black or white."""
    hit = chance.pixels() < chance.uniform(0, 0.3)
    return ops.where(hit, ops.cast(chance.pixels() < 0.5, "float32"), images)


def misted(images: Tensor, chance: Chance) -> Tensor:
    """Light on the ground: even, or clouds of two sizes."""
    light, fine = chance.uniform(0, 0.7), chance.uniform(0, 1)
    clouds = (chance.clouds(4) + fine * chance.clouds(9)) / (1 + fine)
    strength = chance.uniform(0.3, 2)
    cloudy = (images + strength * clouds) / (1 + 0.7 * strength)
    return ops.where(chance.uniform(0, 1) < 0.5, images + light, cloudy)


def banded(images: Tensor, chance: Chance) -> Tensor:
    """A band across it, anyhow turned, is inverted."""
    _, aside = _turned(chance)
    half = chance.uniform(1.5, 6)
    return ops.where(ops.abs(aside - chance.uniform(-8, 8)) < half, 1 - images, images)


def lined(images: Tensor, chance: Chance) -> Tensor:
    """A line across it: bright or dark, straight or jagged, whole or in pieces."""
    along, aside = _turned(chance)
    reach, length = chance.uniform(-2.5, 2.5), chance.uniform(3, 10)
    off = ops.abs(aside - chance.uniform(-9, 9) - reach * _waves(along, length))
    off = off / ops.sqrt(1 + (4 * reach / length) ** 2)  # at right angles to its slopes
    line = ops.clip(chance.uniform(0.9, 1.5) - off, 0, 1)
    whole = _waves(along, chance.uniform(2, 7)) < chance.uniform(-0.5, 2)
    colour = ops.cast(chance.uniform(0, 1) < 0.8, "float32")
    return images + line * ops.cast(whole, "float32") * (colour - images)


def spattered(images: Tensor, chance: Chance) -> Tensor:
    """Drops that cover it, all bright or all dark."""
    drops = ops.clip((chance.clouds(12) - chance.uniform(0.6, 0.9)) * 10, 0, 1)
    colour = ops.cast(chance.uniform(0, 1) < 0.5, "float32")
    return images + drops * (colour - images)


def smeared(images: Tensor, chance: Chance) -> Tensor:
    """The mean along a short line: motion, or a lens that is out of focus one way."""
    angle = np.pi * chance.uniform(0, 1)[:, 0]  # [b, 1]
    length = chance.uniform(1, 9)[:, 0]
    middle = (SIDE - 1) / 2
    seen = [
        sampled(images, COLUMNS + middle + step * length * ops.cos(angle),
                ROWS + middle + step * length * ops.sin(angle))
        for step in np.linspace(-0.5, 0.5, SMEAR)
    ]  # fmt: skip
    return ops.mean(ops.stack(seen), axis=0)


def scattered(images: Tensor, chance: Chance) -> Tensor:
    """Pixels that change places with those around them, as through rough glass."""
    reach = chance.uniform(0.5, 3)[:, 0]  # [b, 1]
    x, y = (reach * (2 * chance.numbers(SIDE**2) - 1) for _ in range(2))  # [b, SIDE²]
    middle = (SIDE - 1) / 2
    seen = sampled(_softened(images), COLUMNS + middle + x, ROWS + middle + y)
    return seen + chance.uniform(0.3, 1) * (_softened(seen) - seen)


def outlined(images: Tensor, chance: Chance) -> Tensor:
    """The edges of its strokes alone, on either side of them."""
    bright, dark = _greatest(images), -_greatest(-images)
    outside = chance.uniform(0, 1) < 0.5
    edges = ops.where(outside, bright - images, images - dark)
    return ops.clip((edges - chance.uniform(0.1, 0.5)) * 10, 0, 1)


HARMS: tuple[Callable[[Tensor, Chance], Tensor], ...] = (
    tilted, noisy, peppered, misted, banded, lined, spattered, smeared, scattered, outlined,
)  # fmt: skip


def _turned(chance: Chance) -> tuple[Tensor, Tensor]:
    """Each pixel's place along a line of any direction through the middle, and off it, in px."""
    angle = np.pi * chance.uniform(0, 1)
    rows, columns = (np.reshape(places, (SIDE, SIDE)) for places in (ROWS, COLUMNS))
    cos, sin = ops.cos(angle), ops.sin(angle)
    return cos * columns + sin * rows, cos * rows - sin * columns


def _waves(along: Tensor, length: Tensor) -> Tensor:
    """A triangular wave of -1 to 1."""
    phase = along / length
    return 4 * ops.abs(phase - ops.floor(phase + 0.5)) - 1


def _softened(images: Tensor) -> Tensor:
    """The mean of each pixel and its eight neighbours."""
    return ops.average_pool(images[..., None], 3, 1, "same")[..., 0]


def _greatest(images: Tensor) -> Tensor:
    """The maximum of each pixel and its eight neighbours."""
    return ops.max_pool(images[..., None], 3, 1, "same")[..., 0]


@cache
def _stock() -> NDArray[np.float32]:
    return np.random.default_rng(1).random(STOCK, np.float32)


@cache
def _spread(nodes: int) -> NDArray[np.float32]:
    return spread(nodes)
