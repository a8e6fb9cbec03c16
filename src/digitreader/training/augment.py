"""New digits from old: random small changes to a batch of training images.

Every number is a bound; each image draws its own value uniformly within it. The same random
generator gives the same batch, so a run can be repeated and resumed exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from digitreader.errors import UsageError
from digitreader.glyphs import SIDE, to_glyph

Images = NDArray[np.uint8]
Augmentation = Callable[[Images, np.random.Generator], Images]


@dataclass(frozen=True)
class Warp:
    """How far an image may be bent, and how its strokes may change."""

    rotation: float = 0.0  # degrees, either way
    shift: float = 0.0  # pixels, either way
    zoom: float = 0.0  # share of the size, either way
    shear: float = 0.0  # share of the height, either way
    stretch: float = 0.0  # share of the width against the height, either way
    elastic: float = 0.0  # pixels that the nodes of a 5×5 grid move (Simard et al. 2003, coarser)
    thinner: float = 0.0  # pixels that a stroke's edge may move in
    thicker: float = 0.0  # pixels that it may move out
    fading: float = 0.0  # share of the brightness that may go
    noise: float = 0.0  # standard deviation in grey levels
    graded: bool = False  # each image draws a share of it all first: few are bent in every way

    def __call__(self, images: Images, rng: np.random.Generator) -> Images:
        """Return changed copies: uint8 [N, 28, 28], ink bright."""
        n = len(images)
        share = rng.uniform(0, 1, n) if self.graded else np.ones(n)
        matrices = self._matrices(share, rng)  # [N, 2, 3]
        grids = rng.uniform(-self.elastic, self.elastic, (n, 5, 5, 2)) * share[:, None, None, None]
        edges = rng.uniform(-self.thinner, self.thicker, n) * share
        out = np.empty_like(images)
        for i, image in enumerate(images):
            out[i] = _stroked(_bent(image, matrices[i], grids[i]), edges[i])
        return self._lit(out, rng)

    def _matrices(
        self, share: NDArray[np.float64], rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """From output to input coordinates, about the middle of the image: [N, 2, 3]."""
        n = len(share)
        angle = np.deg2rad(share * rng.uniform(-self.rotation, self.rotation, n))
        size = 1 + share * rng.uniform(-self.zoom, self.zoom, n)
        stretch = np.sqrt(1 + share * rng.uniform(-self.stretch, self.stretch, n))
        shear = share * rng.uniform(-self.shear, self.shear, n)
        cos, sin = np.cos(angle), np.sin(angle)
        a = np.stack([cos, -sin, sin, cos], 1).reshape(n, 2, 2)
        a = a @ np.stack([np.ones(n), shear, np.zeros(n), np.ones(n)], 1).reshape(n, 2, 2)
        a = a * np.stack([size * stretch, size / stretch], 1)[:, None, :]  # [N, 2, 2]
        middle = np.full((2, 1), (SIDE - 1) / 2)
        moved = rng.uniform(-self.shift, self.shift, (n, 2, 1))
        return np.concatenate([a, middle + moved - a @ middle], axis=2)  # [N, 2, 3]

    def _lit(self, images: Images, rng: np.random.Generator) -> Images:
        if not (self.fading or self.noise):
            return images
        light = 1 - rng.uniform(0, self.fading, (len(images), 1, 1))
        sigma = rng.uniform(0, self.noise, (len(images), 1, 1))
        lit = images * light + rng.standard_normal(images.shape) * sigma
        return np.clip(np.rint(lit), 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Shift:
    """Move by whole pixels, at most `pixels` either way: the cheapest change that helps."""

    pixels: int

    def __call__(self, images: Images, rng: np.random.Generator) -> Images:
        """Return moved copies: uint8 [N, 28, 28]; what leaves the frame is lost."""
        p = self.pixels
        padded = np.pad(images, ((0, 0), (p, p), (p, p)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (SIDE, SIDE), axis=(1, 2))
        dy, dx = rng.integers(0, 2 * p + 1, (2, len(images)))
        moved: Images = windows[np.arange(len(images)), dy, dx]  # [N, 28, 28]
        return moved


def unchanged(images: Images, rng: np.random.Generator) -> Images:
    """Return the images as they are."""
    del rng
    return images


AUGMENTATIONS: dict[str, Augmentation] = {
    "none": unchanged,
    "shift": Shift(2),
    "classic": Warp(rotation=10, shift=2.8, zoom=0.1),
    "strong": Warp(
        rotation=6,  # 15° and a shear of 0.2 made sevens of ones
        shift=2.5,
        zoom=0.1,
        shear=0.08,
        stretch=0.3,
        elastic=0.7,
        thinner=1.0,
        thicker=1.0,
        fading=0.4,
        noise=8,
        graded=True,
    ),
}


def named(name: str) -> Augmentation:
    """Return the augmentation of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in AUGMENTATIONS:
        known = ", ".join(AUGMENTATIONS)
        raise UsageError(f"no augmentation is called {name!r}; there are: {known}")
    return AUGMENTATIONS[name]


_ROWS, _COLUMNS = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)


def _bent(image: Images, matrix: NDArray[np.float64], grid: NDArray[np.float64]) -> Images:
    """Sample the image through one affine map and a smooth displacement."""
    field = cv2.resize(grid.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    m = matrix.astype(np.float32)
    x = m[0, 0] * _COLUMNS + m[0, 1] * _ROWS + m[0, 2] + field[..., 0]  # [28, 28]
    y = m[1, 0] * _COLUMNS + m[1, 1] * _ROWS + m[1, 2] + field[..., 1]
    return np.asarray(cv2.remap(image, x, y, cv2.INTER_LINEAR), np.uint8)


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
