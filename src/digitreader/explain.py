"""What decided a reading: class-activation maps, laid over the glyphs they are of."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from digitreader.classifier import Classifier
from digitreader.glyphs import SIDE
from digitreader.reading import percent

ZOOM = 6  # a glyph's pixels in a picture
CAPTION = 22  # px below each glyph
GAP = 8  # px between two
PAPER, INK, FAINT = (255, 255, 255), (20, 20, 20), (120, 120, 120)


def evidence(
    classifier: Classifier, glyphs: NDArray[np.uint8], classes: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Where what speaks for a class lies on a glyph, and how much it says, in logits.

    Glyphs are uint8 [N, 28, 28], ink bright; classes, int64 [N, C], are those asked about of
    each. The result, float32 [N, C, 28, 28], has no negative values: of the class-activation
    maps the positive part is kept, as in Grad-CAM (Selvaraju et al. 2017), and scaled to the
    glyph.

    Raises:
        ModelError: the model has no activation maps.
    """
    maps = np.maximum(classifier.maps(glyphs), 0)  # [N, h, w, K or K + 1]
    chosen = np.take_along_axis(maps, classes[:, np.newaxis, np.newaxis], axis=3)
    scaled = [
        [cv2.resize(chosen[i, ..., c], (SIDE, SIDE)) for c in range(classes.shape[1])]
        for i in range(len(glyphs))
    ]
    return np.array(scaled, np.float32).reshape(*classes.shape, SIDE, SIDE)


def overlay(glyph: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Lay heat, float32 [28, 28] in 0–1, under a glyph's ink: RGB, uint8 [S, S, 3].

    The colours are the light half of `inferno`, of evenly falling brightness from white paper
    to red, so that the ink, which is black, shows on all of them.
    """
    size = (SIDE * ZOOM, SIDE * ZOOM)
    warm = (255 * cv2.resize(heat, size).clip(0, 1)).astype(np.uint8)  # [S, S]
    ink = cv2.resize(glyph, size, interpolation=cv2.INTER_NEAREST)[..., np.newaxis] / 255
    mixed: NDArray[np.float64] = _COLOURS[warm] * (1 - ink) + ink * INK  # [S, S, 3]
    return mixed.astype(np.uint8)


def explanation(
    classifier: Classifier, glyph: NDArray[np.uint8], likeliest: Sequence[tuple[str, float]]
) -> Image.Image:
    """Draw a glyph, uint8 [28, 28], and beside it what speaks for each of the likeliest classes.

    They are given with their probabilities. One scale holds for all of them: where little speaks
    for a class, its picture is pale.

    Raises:
        ModelError: the model has no activation maps.
    """
    classes = [classifier.card.labels.index(label) for label, _ in likeliest]
    heats = evidence(classifier, glyph[np.newaxis], np.array([classes]))[0]  # [C, 28, 28]
    heats = heats / max(float(heats.max()), 1e-9)
    shown = [overlay(glyph, heat) for heat in (np.zeros_like(heats[0]), *heats)]
    captions = [("seen", ""), *((label, percent(p)) for label, p in likeliest)]
    side = SIDE * ZOOM
    picture = Image.new("RGB", (len(shown) * (side + GAP) + GAP, side + CAPTION + 2 * GAP), PAPER)
    draw = ImageDraw.Draw(picture)
    for i, (pixels, caption) in enumerate(zip(shown, captions, strict=True)):
        x = GAP + i * (side + GAP)
        picture.paste(Image.fromarray(pixels), (x, GAP))
        draw.rectangle((x, GAP, x + side - 1, GAP + side - 1), outline=FAINT)
        _write(draw, caption, (x, GAP + side + CAPTION // 2 + 2))
    return picture


def _write(draw: ImageDraw.ImageDraw, caption: tuple[str, str], left: tuple[int, int]) -> None:
    """Write a class and, fainter, its probability."""
    label, probability = caption
    font = ImageFont.load_default(CAPTION - 6)
    draw.text(left, label, INK, font, anchor="lm")
    after = left[0] + round(draw.textlength(label, font)) + GAP
    draw.text((after, left[1]), probability, FAINT, font, anchor="lm")


def _colours() -> NDArray[np.uint8]:
    """White, then `inferno` from its bright end to its middle: RGB, uint8 [256, 3]."""
    middle = 140
    steps = np.linspace(255, middle, 256).astype(np.uint8)[:, np.newaxis]
    colours = cv2.applyColorMap(steps, cv2.COLORMAP_INFERNO)[:, 0, ::-1]  # [256, 3]
    fade = np.clip(np.linspace(0, 4, 256), 0, 1)[:, np.newaxis]  # from the paper's white
    mixed: NDArray[np.float64] = fade * colours + (1 - fade) * PAPER
    return mixed.astype(np.uint8)


_COLOURS = _colours()
