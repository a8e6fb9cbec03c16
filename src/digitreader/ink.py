"""From pixels to ink: bright where the pen was, whatever the polarity and the light of the page.

The page's own brightness is estimated and divided out, so a shadow or a grey corner is not ink.
An evenly lit page needs no estimate, and there the result is linear: an MNIST picture gives
its pixels / 255 exactly, and so does its inverse.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from digitreader.levels import nearest_percentile, percentile

WORKING_SIDE = 1600  # px; a digit 1% of the page high still has 16 px, 12 MP becomes 2 MP
LIGHT_SIDE = 400  # px; the light of a page is smooth, so it is estimated on a small copy
SAME_LEVEL = 8  # grey levels; JPEG ringing and scanner noise stay within it
PAPER_SHARE = 0.4  # of the picture, that is even paper at least, where its rim is
BETWEEN = 0.15  # of the paper, that is a shadow at most
NOISE_SHARE = 90  # percent of the paper that measures its noise; on clean paper all is 0
NOISE_SAMPLE = 300_000  # px are enough to measure it
NOISES = 3.0  # times that noise is still noise: five deviations where it is Gaussian
LEAST_CONTRAST = 0.06  # of the paper's brightness; the faintest pencil that is still ink
DARKEST = 100.0  # paper darker than this, in the deepest shadow, tells nothing
SPECK_AREA = 8  # px; less is no stroke
SPECKS = 10  # so many on a page or on 100,000 px of it are grain
STRONG = 0.75  # contrast from which ink needs no brightening


def working_copy(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The page itself, or an area-averaged copy whose longest side is WORKING_SIDE.

    uint8 [H, W] or [H, W, 3] in and out.
    """
    return _at_most(pixels, WORKING_SIDE)


class Inked(NamedTuple):
    """A page's writing, three times: float32 [H, W] in 0–1, ink bright.

    `ink` is clean: paper is 0 and the strongest writing near 1. `contrast` is how much darker
    than its paper a pixel is in the colour in which it is darkest, noise, stains and the
    faintest pencil included; `black` the same in the colour in which it is brightest: there a
    form's red boxes hardly show.
    """

    ink: NDArray[np.float32]
    contrast: NDArray[np.float32]
    black: NDArray[np.float32]


def inked(pixels: NDArray[np.uint8]) -> Inked:
    """Ink and contrast of a page: uint8 [H, W] or [H, W, 3]."""
    pixels = _paper_bright(pixels)
    dark, bright = _extremes(pixels)
    darkest = dark.astype(np.float32)
    light = _light_of(darkest)  # the paper's brightness at each place
    darker = light - darkest
    contrast = (darker / np.maximum(light, DARKEST)).astype(np.float32, copy=False)
    ink = np.where(darker <= NOISES * _noise(darker), np.float32(0), contrast)
    contrast = np.clip(contrast, 0, 1)
    black = contrast if pixels.ndim == 2 else _black(bright, light, contrast)
    return Inked(_full_range(_without_grain(ink)), contrast, black)


def _black(
    brightest: NDArray[np.uint8], light: NDArray[np.float32], contrast: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Contrast in the colour in which a pixel is brightest; never more than in the darkest.

    The paper's tint is taken to be the same everywhere.
    """
    some = slice(None, None, 1 + light.size // NOISE_SAMPLE)
    tint = np.median(brightest.ravel()[some] / np.maximum(light.ravel()[some], 1))
    light = np.minimum(light * np.float32(tint), 255)
    black = (light - brightest) / np.maximum(light, DARKEST)
    return np.asarray(np.clip(black, 0, contrast), np.float32)


def ink_of(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Clean ink of a page: uint8 [H, W] or [H, W, 3] → float32 [H, W] in 0–1, ink bright, paper 0.

    A page without writing gives zeros, or where it is grainy specks too small for a digit.
    """
    return inked(pixels).ink


def _at_most(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def _paper_bright(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The page with bright paper and dark ink: turned over where it is the other way round."""
    grey = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    return 255 - pixels if _ink_is_bright(np.asarray(grey, np.uint8)) else pixels


def _extremes(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Each pixel in the channel in which it is darkest, so ink of any colour shows, and brightest.

    uint8 [H, W] both.
    """
    if pixels.ndim == 2:
        return pixels, pixels
    red, green, blue = cv2.split(pixels)  # OpenCV's minimum takes a tenth of NumPy's time here
    dark, bright = cv2.min(cv2.min(red, green), blue), cv2.max(cv2.max(red, green), blue)
    return np.asarray(dark, np.uint8), np.asarray(bright, np.uint8)


def _ink_is_bright(grey: NDArray[np.uint8]) -> bool:
    """Which way most of the writing departs from the paper around it."""
    small = _at_most(grey, LIGHT_SIDE)
    level = _even_level(small)
    around = _local_median(small) if level is None else level
    departure = small.astype(np.float32) - around
    return float((departure * np.abs(departure)).sum()) > 0


def _local_median(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The usual grey around each pixel; mirrored at the rim, so a dark rim stays unusual."""
    reach = max(1, min(grey.shape) // 6)  # wider than a stroke, narrower than a shadow
    padded = cv2.copyMakeBorder(grey, reach, reach, reach, reach, cv2.BORDER_REFLECT)
    usual = cv2.medianBlur(padded, 2 * reach + 1)
    return usual[reach:-reach, reach:-reach].astype(np.float32)


def _even_level(plane: NDArray[np.uint8]) -> float | None:
    """The paper's level where it is the same everywhere; None where light varies."""
    rim = np.concatenate([plane[0], plane[-1], plane[:, 0], plane[:, -1]])
    for level, least in ((float(np.median(rim)), PAPER_SHARE), (float(np.median(plane)), 0.7)):
        away = np.abs(plane.astype(np.float32) - level)
        paper = float((away <= SAME_LEVEL).mean())
        between = float((away <= 3 * SAME_LEVEL).mean()) - paper  # vignette, shadow
        if paper > least and between < BETWEEN * paper:
            return level
    return None


def _light_of(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Brightness the paper has, or would have under the ink: float32 [H, W]."""
    small = _at_most(plane.astype(np.uint8), LIGHT_SIDE)
    level = _even_level(small)
    if level is not None:
        return np.full_like(plane, level)
    light = _paper_only(small, _strokes_filled(small)).astype(np.float32)
    smooth = cv2.resize(light, plane.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(smooth, np.float32)


def _strokes_filled(small: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Strokes given the brightness beside them: broad ones where they are dark, else thin ones.

    What is broad but hardly darker than the page is the soft shadow of a hand, not ink.
    """
    broad = _closed(small, max(3, max(small.shape) // 4))
    thin = _closed(small, max(3, max(small.shape) // 12))
    dark = cv2.dilate((small < 0.65 * broad).astype(np.uint8), np.ones((5, 5), np.uint8))
    return np.where(dark > 0, broad, thin).astype(np.uint8)


def _closed(small: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """What is dark and narrower than side filled up; edges of shadows stay where they are."""
    smooth = cv2.medianBlur(small, 3).astype(np.int16)
    # Beyond the rim light goes on as it came, so a corner growing dark is not filled.
    reach = [(min(side, length - 1),) * 2 for length in small.shape]
    beyond = np.pad(smooth, reach, mode="reflect", reflect_type="odd")
    wide = np.clip(beyond, 0, 255).astype(np.uint8)
    closed = cv2.morphologyEx(wide, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8))
    (top, _), (left, _) = reach
    height, width = small.shape
    return np.asarray(closed[top : top + height, left : left + width], np.uint8)


def _paper_only(small: NDArray[np.uint8], light: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The usual paper nearby, ink replaced by the first estimate; a median keeps edges."""
    stroke = cv2.dilate((small < 0.9 * light).astype(np.uint8), np.ones((3, 3), np.uint8))
    paper = np.where(stroke > 0, light, small)
    return np.asarray(cv2.medianBlur(paper, 2 * (max(small.shape) // 60) + 3), np.uint8)


def _noise(darker: NDArray[np.float32]) -> float:
    """Grey levels by which paper departs from its light; 0 for a clean page."""
    some = darker.ravel()[:: 1 + darker.size // NOISE_SAMPLE]
    paper = np.abs(some[np.abs(some) < 2 * SAME_LEVEL])
    brighter = -some[some <= 0]  # no ink among it, however loud the noise
    return max(percentile(x, NOISE_SHARE) for x in (paper, brighter) if x.size)


def _without_grain(contrast: NDArray[np.float32]) -> NDArray[np.float32]:
    """Zeros for what is no darker than the page's specks, where it is strewn with them.

    Specks are too small for a stroke. They tell of noise that differs from place to place, as
    where a page is so bright in part that its noise is cut off.
    """
    spots = (contrast > 0).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(spots, connectivity=8)
    tiny = stats[:, cv2.CC_STAT_AREA] < SPECK_AREA
    if np.count_nonzero(tiny) < max(SPECKS, SPECKS * contrast.size / 100_000):
        return contrast
    grain = contrast[tiny[labels]]
    return np.where(contrast > 1.5 * percentile(grain, 95), contrast, 0).astype(np.float32)


def _full_range(contrast: NDArray[np.float32]) -> NDArray[np.float32]:
    """Faint ink brightened; zeros where nothing stands out."""
    around = cv2.blur(contrast, (3, 3))  # a line fills a third of it, a lone speck a ninth
    strokes = contrast[(contrast > LEAST_CONTRAST) & (around > LEAST_CONTRAST / 3)]
    if not strokes.size:
        return np.zeros_like(contrast)
    peak = nearest_percentile(strokes, 95)
    return contrast if peak >= STRONG else np.minimum(contrast / np.float32(peak), 1)
