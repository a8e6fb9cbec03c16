"""Fifteen ways in which pictures of digits come to harm, after MNIST-C.

Mu & Gilmer 2019, "MNIST-C: A Robustness Benchmark for Computer Vision": the same fifteen, at the
strengths that its authors chose so that people read the digits as before. Written anew from the
paper's description; numbers drawn at random differ from theirs.

Each takes uint8 [N, 28, 28], ink bright, and gives the same form; the same seed, the same harm.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
Grey = NDArray[np.float32]  # one picture, [28, 28] in 0–1
Random = np.random.Generator

SIDE = 28
SHOTS = 3.0  # photons of a bright pixel
IMPULSES = 0.17  # share of the pixels that turn black or white
GLASS = (0.7, 1, 2)  # deviation of the blur, reach of the swaps, rounds of them
MOTION = 9  # px of the smear
SHEAR = 0.4
SHRUNK = 0.7  # of the sides
TURNED = 0.4  # radians
BRIGHTER = 0.5
MOVED = 3  # px
STRIPE = slice(10, 18)  # columns that are inverted
FOG = 1.5  # against 1 of the picture's own light
DOTS = 3  # px between two of a dotted line
ZIGZAGS = 8  # corners of a zigzag


def shot_noise(image: Grey, rng: Random) -> Grey:
    """Few photons: Poisson noise."""
    return np.asarray(rng.poisson(image * SHOTS) / SHOTS, np.float32)


def impulse_noise(image: Grey, rng: Random) -> Grey:
    """Single pixels turned black or white."""
    hit = rng.random(image.shape) < IMPULSES
    return np.where(hit, rng.integers(0, 2, image.shape), image).astype(np.float32)


def glass_blur(image: Grey, rng: Random) -> Grey:
    """Neighbouring pixels swapped, as seen through rough glass."""
    deviation, reach, rounds = GLASS
    glass = cv2.GaussianBlur(image, (0, 0), deviation)
    for _ in range(rounds):
        steps = rng.integers(-reach, reach + 1, (SIDE, SIDE, 2))
        for y in range(reach, SIDE - reach):
            for x in range(reach, SIDE - reach):
                dy, dx = steps[y, x]
                here, there = float(glass[y, x]), float(glass[y + dy, x + dx])
                glass[y, x], glass[y + dy, x + dx] = there, here
    return np.asarray(cv2.GaussianBlur(glass, (0, 0), deviation), np.float32)


def motion_blur(image: Grey, rng: Random) -> Grey:
    """Smeared along a line."""
    turn = rng.uniform(-np.pi / 4, np.pi / 4)
    reach = (MOTION - 1) / 2 * np.array([np.cos(turn), np.sin(turn)])
    kernel = np.zeros((MOTION, MOTION), np.uint8)
    middle = (MOTION - 1) / 2
    ends = [[round(float(v) * 16) for v in middle + side * reach] for side in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 255, 1, cv2.LINE_AA, 4)
    smear = kernel.astype(np.float32)
    return np.asarray(cv2.filter2D(image, -1, smear / smear.sum()), np.float32)


def shear(image: Grey, rng: Random) -> Grey:
    """Slanted, to one side or the other."""
    return _mapped(image, np.array([[1, _sign(rng) * SHEAR], [0, 1]]))


def scale(image: Grey, rng: Random) -> Grey:
    """Smaller than digits are."""
    del rng
    return _mapped(image, np.eye(2) / SHRUNK)


def rotate(image: Grey, rng: Random) -> Grey:
    """Turned, either way."""
    turn = _sign(rng) * TURNED
    return _mapped(image, np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]))


def brightness(image: Grey, rng: Random) -> Grey:
    """Everything brighter, the ground too."""
    del rng
    return image + np.float32(BRIGHTER)


def translate(image: Grey, rng: Random) -> Grey:
    """Off the middle, on both axes."""
    return _mapped(image, np.eye(2), np.array([_sign(rng), _sign(rng)]) * MOVED)


def stripe(image: Grey, rng: Random) -> Grey:
    """A broad stripe down the middle inverted."""
    del rng
    striped = image.copy()
    striped[:, STRIPE] = 1 - striped[:, STRIPE]
    return striped


def fog(image: Grey, rng: Random) -> Grey:
    """Fractal noise laid over it: octaves, each twice as fine and half as strong."""
    mist = np.zeros((SIDE, SIDE), np.float32)
    for octave in range(5):
        side = 2 ** (octave + 1)
        coarse = rng.random((side, side), np.float32) / 2**octave
        mist += cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    mist = (mist - mist.min()) / np.ptp(mist)
    return np.asarray((image + FOG * mist) / (1 + FOG), np.float32)


def spatter(image: Grey, rng: Random) -> Grey:
    """Drops that cover it, some bright and some dark."""
    drops = cv2.GaussianBlur(rng.normal(0.65, 0.3, (SIDE, SIDE)).astype(np.float32), (0, 0), 1.2)
    wet = np.clip((drops - 0.72) * 12, 0, 1)
    colour = np.float32(rng.integers(0, 2)) * 0.9
    return np.asarray(image * (1 - wet) + colour * wet, np.float32)


def dotted_line(image: Grey, rng: Random) -> Grey:
    """A dotted line across it."""
    a, b = _across(rng)
    drawn = image.copy()
    for t in np.arange(0, 1, DOTS / max(float(np.hypot(*(b - a))), 1)):
        x, y = np.clip(np.rint(a + t * (b - a)), 0, SIDE - 1).astype(int)
        drawn[y, x] = 1
    return drawn


def zigzag(image: Grey, rng: Random) -> Grey:
    """A zigzag across it."""
    a, b = _across(rng)
    along = np.linspace(a, b, ZIGZAGS + 1)  # [ZIGZAGS + 1, 2]
    aside = np.array([-(b - a)[1], (b - a)[0]]) / max(float(np.hypot(*(b - a))), 1)
    along[1:-1] += 1.6 * aside * np.where(np.arange(ZIGZAGS - 1) % 2, 1, -1)[:, None]
    canvas = np.zeros((SIDE, SIDE), np.uint8)
    points = np.rint(along * 16).astype(np.int32)
    cv2.polylines(canvas, [points], False, 255, 1, cv2.LINE_AA, 4)
    return np.asarray(np.maximum(image, np.float32(1 / 255) * canvas), np.float32)


def canny_edges(image: Grey, rng: Random) -> Grey:
    """The outlines alone (Canny 1986)."""
    del rng
    soft = cv2.GaussianBlur(np.rint(image * 255).astype(np.uint8), (0, 0), 1)
    return np.asarray(np.float32(1 / 255) * cv2.Canny(soft, 50, 100), np.float32)


CORRUPTIONS: dict[str, Callable[[Grey, Random], Grey]] = {
    harm.__name__.replace("_", " "): harm
    for harm in (
        shot_noise, impulse_noise, glass_blur, motion_blur, shear, scale, rotate, brightness,
        translate, stripe, fog, spatter, dotted_line, zigzag, canny_edges,
    )
}  # fmt: skip


def corrupted(name: str, images: Images, seed: int = 0) -> Images:
    """Harm all images in one way: uint8 [N, 28, 28] in and out."""
    rng = np.random.default_rng((seed, list(CORRUPTIONS).index(name)))
    harm = CORRUPTIONS[name]
    out = np.empty_like(images)
    for i, image in enumerate(images):
        harmed = harm(np.float32(1 / 255) * image, rng)
        out[i] = np.rint(255 * np.clip(harmed, 0, 1))
    return out


def _sign(rng: Random) -> int:
    return int(rng.choice((-1, 1)))


def _across(rng: Random) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two points, x and y in px, on the left and on the right."""
    left = np.array([rng.uniform(0, 5), rng.uniform(2, SIDE - 3)])
    right = np.array([rng.uniform(SIDE - 6, SIDE - 1), rng.uniform(2, SIDE - 3)])
    return left, right


def _mapped(image: Grey, matrix: NDArray[np.float64], moved: object = 0.0) -> Grey:
    """Sample through a matrix about the middle: from places in the result to those in it."""
    middle = np.full(2, (SIDE - 1) / 2)
    offset = middle - matrix @ (middle + np.asarray(moved, np.float64))
    whole = np.hstack([matrix, offset[:, None]]).astype(np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(image, whole, (SIDE, SIDE), flags=flags), np.float32)
