"""Augmentation: how a training digit is varied, as array operations of Keras's backend.

    draws = draw(60_000, np.random.default_rng(0))           # [N, NUMBERS], on the host
    varied = vary(warp, images, draws)                       # compiled, on the device

All that is random comes in as numbers of -1 to 1, so the same draws vary an image in the same
way on every backend, and a teacher sees the very pictures that its student is shown.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import cv2
import numpy as np
from keras import ops
from numpy.typing import NDArray

from digitreader.glyphs import SIDE
from digitreader.training.warps import Warp

Tensor = Any  # Keras ships no types
Draws = NDArray[np.float32]

NODES = 5  # a side of the grid that bends an image
NUMBERS = 14 + 2 * NODES**2  # that vary an image
HARM = 10  # the number among them that harm follows from, as noise does
NOISE = 2**18  # numbers of noise, of which every image takes a stretch


def draw(count: int, rng: np.random.Generator) -> Draws:
    """Draw what varies so many images: float32 [count, NUMBERS] in -1–1."""
    return rng.random((count, NUMBERS), np.float32) * 2 - 1


def vary(warp: Warp, images: Tensor, draws: Tensor) -> Tensor:
    """Vary float32 [B, 28, 28] in 0–1, ink bright, by float32 [B, NUMBERS] in -1–1."""
    if warp.whole:
        return moved(images, draws[:, 5:7], int(warp.shift))
    if warp == Warp():
        return images
    share = (draws[:, 0] + 1) / 2 if warp.graded else ops.ones_like(draws[:, 0])
    varied = sampled(images, *_places(warp, share, draws[:, 1:7], draws[:, 14:]))
    if warp.thinner or warp.thicker:
        low, high = -warp.thinner, warp.thicker
        varied = stroked(varied, share * (low + (high - low) * (draws[:, 7] + 1) / 2))
    if warp.fading:
        varied = varied * (1 - warp.fading * (draws[:, 8, None, None] + 1) / 2)
    if warp.noise:
        sigma = warp.noise * (draws[:, 9] + 1) / 2
        varied = ops.clip(varied + sigma[:, None, None] * _noise(draws[:, HARM]), 0, 1)
    return varied * _kept(warp.erased, draws[:, 11:14]) if warp.erased else varied


def _places(warp: Warp, share: Tensor, bends: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
    """Where each pixel of the result comes from, as x and y: [B, SIDE²] each."""
    angle = np.pi / 180 * warp.rotation * share * bends[:, 0]
    size = 1 + warp.zoom * share * bends[:, 1]
    stretch = ops.sqrt(1 + warp.stretch * share * bends[:, 2])
    shear = warp.shear * share * bends[:, 3]
    cos, sin = ops.cos(angle)[:, None], ops.sin(angle)[:, None]  # [B, 1]
    wide, high = (size * stretch)[:, None], (size / stretch)[:, None]
    columns, rows = wide * COLUMNS, high * ROWS  # about the middle: [B, SIDE²]
    columns = columns + shear[:, None] * rows
    middle = (SIDE - 1) / 2 + warp.shift * bends[:, 4:6]  # [B, 2]
    x = cos * columns - sin * rows + middle[:, :1]
    y = sin * columns + cos * rows + middle[:, 1:]
    if not warp.elastic:
        return x, y
    bent = ops.matmul(ops.reshape(grid, (-1, NODES**2)), _SPREAD)
    bent = warp.elastic * share[:, None, None] * ops.reshape(bent, (-1, 2, SIDE**2))
    return x + bent[:, 0], y + bent[:, 1]


def moved(images: Tensor, draws: Tensor, pixels: int) -> Tensor:
    """Move [B, 28, 28] by whole pixels, at most so many, as [B, 2] say; what leaves is lost."""
    wide = SIDE + 2 * pixels
    rim = (pixels, pixels)
    padded = ops.reshape(ops.pad(images, ((0, 0), rim, rim)), (-1,))
    steps = ops.cast(ops.floor((draws + 1) / 2 * (2 * pixels + 1)), "int32")  # [B, 2]
    steps = ops.minimum(steps, 2 * pixels)
    first = wide**2 * ops.arange(ops.shape(images)[0], dtype="int32")
    first = first + steps[:, 1] * wide + steps[:, 0]  # [B]
    window = (np.arange(SIDE)[:, None] * wide + np.arange(SIDE)).astype(np.int32)
    return ops.take(padded, first[:, None, None] + window, axis=0)


def sampled(images: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Bilinear samples of [B, 28, 28] at places in px, [B, SIDE²] each; outside there is none."""
    wide = SIDE + 2  # with a rim
    x, y = ops.clip(x, -1, SIDE) + 1, ops.clip(y, -1, SIDE) + 1
    left, top = ops.minimum(ops.floor(x), SIDE), ops.minimum(ops.floor(y), SIDE)
    padded = ops.pad(images, ((0, 0), (1, 2), (1, 2)))
    # The four pixels around each place lie side by side, so that one look fetches them all.
    corners = [padded[:, i : i + wide, j : j + wide] for i in (0, 1) for j in (0, 1)]
    around = ops.reshape(ops.stack(corners, axis=-1), (-1, 4))  # [B * wide², 4]
    first = wide**2 * ops.arange(ops.shape(images)[0], dtype="int32")[:, None]
    fetched = ops.take(around, first + ops.cast(top * wide + left, "int32"), axis=0)
    right, below = x - left, y - top  # shares
    upper = fetched[..., 0] + right * (fetched[..., 1] - fetched[..., 0])
    lower = fetched[..., 2] + right * (fetched[..., 3] - fetched[..., 2])
    return ops.reshape(upper + below * (lower - upper), (-1, SIDE, SIDE))


def stroked(images: Tensor, edge: Tensor) -> Tensor:
    """Move the edges of the strokes of [B, 28, 28] out (positive) or in, by [B] shares of a px."""
    padded = ops.pad(images, ((0, 0), (1, 1), (1, 1)))
    beside = [padded[:, i : i + SIDE, j : j + SIDE] for i, j in ((0, 1), (2, 1), (1, 0), (1, 2))]
    brightest = darkest = images
    for neighbours in beside:
        brightest = ops.maximum(brightest, neighbours)
        darkest = ops.minimum(darkest, neighbours)
    out, inside = ops.relu(edge)[:, None, None], ops.relu(-edge)[:, None, None]
    return images + out * (brightest - images) + inside * (darkest - images)


def _noise(where: Tensor) -> Tensor:
    """Normal noise from a place in the stock, [B] of -1–1: [B, 28, 28]."""
    first = ops.cast((where + 1) / 2 * (NOISE - SIDE**2 - 1), "int32")
    picked = ops.take(_stock(), first[:, None] + np.arange(SIDE**2, dtype=np.int32), axis=0)
    return ops.reshape(picked, (-1, SIDE, SIDE))


@cache
def _stock() -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(NOISE, np.float32)


def _kept(erased: float, draws: Tensor) -> Tensor:
    """One but in a square, somewhere, of up to a share of the sides: [B, 3] → [B, 28, 28]."""
    half = erased * SIDE * (draws[:, 0, None] + 1) / 4  # [B, 1]
    middle = SIDE / 2 * draws[:, 1:]  # [B, 2], about the image's
    within = (ops.abs(COLUMNS - middle[:, :1]) < half) & (ops.abs(ROWS - middle[:, 1:]) < half)
    return ops.reshape(1 - ops.cast(within, "float32"), (-1, SIDE, SIDE))


ROWS, COLUMNS = (np.indices((SIDE, SIDE)).reshape(2, -1) - (SIDE - 1) / 2).astype(np.float32)


def spread(nodes: int) -> NDArray[np.float32]:
    """What each node of a grid, so many a side, adds to each pixel: [nodes², SIDE²]."""
    grids = np.eye(nodes**2, dtype=np.float32).reshape(-1, nodes, nodes)
    size = (SIDE, SIDE)
    return np.stack([cv2.resize(g, size, interpolation=cv2.INTER_CUBIC).ravel() for g in grids])


_SPREAD = spread(NODES)
