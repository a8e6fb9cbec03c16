"""Papers and cameras: what lies under the ink, how it is lit, and how it is photographed."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Page = NDArray[np.float32]  # [H, W, 3] in 0–1, red, green, blue
Light = NDArray[np.float32]  # [H, W] in 0–1

RULE_COLOURS = ((0.6, 0.75, 0.95), (0.7, 0.7, 0.7), (0.45, 0.45, 0.45), (0.9, 0.6, 0.6))


def rules(shape: tuple[int, int], spacing: float, rng: np.random.Generator) -> Page:
    """Lines, squares, or neither, as what they leave of the paper's light: [H, W, 3] in 0–1."""
    height, width = shape
    left = np.ones((height, width, 3), np.float32)
    kind = rng.choice(("none", "lines", "squares"), p=(0.6, 0.28, 0.12))
    if kind == "none":
        return left
    strength = rng.uniform(0.4, 1)
    colour = tuple(1 - strength * (1 - np.array(RULE_COLOURS[rng.integers(len(RULE_COLOURS))])))
    step = max(6.0, spacing * rng.uniform(0.9, 1.8) / (2 if kind == "squares" else 1))
    thick = int(rng.integers(1, max(1, round(spacing / 24)) + 1))
    rise = rng.uniform(-0.02, 0.02)  # the sheet is hardly ever quite straight
    for y in np.arange(rng.uniform(0, step), height + abs(rise) * width, step):
        _line(left, (0, y), (width, y + rise * width), colour, thick)
    if kind == "squares":
        for x in np.arange(rng.uniform(0, step), width + abs(rise) * height, step):
            _line(left, (x, 0), (x - rise * height, height), colour, thick)
    elif rng.random() < 0.3:  # the margin
        x = width * rng.uniform(0.05, 0.2)
        _line(left, (x, 0), (x - rise * height, height), (0.9, 0.5, 0.5), thick)
    return left


def lit(inked: Page, rng: np.random.Generator) -> Page:
    """Put the ink on a paper in some light: what is left of its light, [H, W, 3] → page."""
    shape = inked.shape[:2]
    grey = rng.uniform(0.55, 1.0)
    tint = 1 - rng.uniform(0, 0.12, 3) * (rng.random() < 0.5)
    paper = np.float32(grey) * tint.astype(np.float32)
    if rng.random() < 0.25:  # a scan, or drawn on a screen
        return inked * (paper if rng.random() < 0.5 else np.float32(1))
    light = _gradient(shape, rng)
    if rng.random() < 0.35:
        light *= _shadow(shape, rng)
    light *= 1 + _texture(shape, rng)
    if rng.random() < 0.12:
        light *= _creases(shape, rng)
    page = inked * paper * light[..., None]
    return _on_table(page, rng) if rng.random() < 0.2 else page


def photographed(page: Page, size: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Blur, noise and JPEG, each at times: float32 [H, W, 3] in 0–1 → uint8 [H, W, 3].

    `size` is the height of a digit in px: what is out of focus can still be read.
    """
    if rng.random() < 0.5:
        blur = max(0.3, size * rng.uniform(0.005, 0.035))
        page = np.asarray(cv2.GaussianBlur(page, (0, 0), blur), np.float32)
    levels = page * 255
    if rng.random() < 0.5:
        noise = rng.standard_normal(page.shape[:2], np.float32) * rng.uniform(0.5, 5)
        levels = levels + noise[..., None]
    pixels = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 95))]
        pixels = np.asarray(cv2.imdecode(cv2.imencode(".jpg", pixels, quality)[1], 1), np.uint8)
    return 255 - pixels if rng.random() < 0.06 else pixels  # white chalk on a board


def _gradient(shape: tuple[int, int], rng: np.random.Generator) -> Light:
    """Light that changes smoothly over the page."""
    coarse = rng.uniform(1 - rng.uniform(0, 0.5), 1, (3, 3)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC), np.float32)


def _shadow(shape: tuple[int, int], rng: np.random.Generator) -> Light:
    """The shadow of a hand or a head: one straight edge, sharp or soft."""
    height, width = shape
    angle = rng.uniform(0, 2 * np.pi)
    rows, columns = np.indices(shape, np.float32)
    away = (columns - width * rng.uniform(0.2, 0.8)) * np.cos(angle)
    away += (rows - height * rng.uniform(0.2, 0.8)) * np.sin(angle)
    soft = max(width, height) * rng.uniform(0.01, 0.15)
    depth = rng.uniform(0.1, 0.5)
    return np.asarray(1 - depth / (1 + np.exp(np.clip(away / soft, -30, 30))), np.float32)


def _texture(shape: tuple[int, int], rng: np.random.Generator) -> Light:
    """Fibres and stains: small changes of brightness around zero."""
    fine = rng.standard_normal(shape, np.float32) * rng.uniform(0, 0.025)
    blurred = cv2.GaussianBlur(fine, (0, 0), rng.uniform(0.4, 1.2))
    blotches = rng.standard_normal((max(2, shape[0] // 24), max(2, shape[1] // 24)))
    coarse = cv2.resize(blotches.astype(np.float32), shape[::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(blurred + coarse * rng.uniform(0, 0.02), np.float32)


def _creases(shape: tuple[int, ...], rng: np.random.Generator) -> Light:
    """Where the sheet was folded: soft straight lines, darker or lighter."""
    left = np.zeros(shape, np.float32)
    sides = np.array(shape[::-1])
    for _ in range(rng.integers(1, 4)):
        a, b = rng.uniform(-0.2, 1.2, (2, 2)) * sides
        cv2.line(left, np.rint(a).astype(int), np.rint(b).astype(int), rng.uniform(-0.6, 1),
                 int(rng.integers(1, 5)), cv2.LINE_AA)  # fmt: skip
    soft = cv2.GaussianBlur(left, (0, 0), rng.uniform(0.6, 4))
    return np.asarray(1 - rng.uniform(0.03, 0.35) * soft, np.float32)


def _on_table(page: Page, rng: np.random.Generator) -> Page:
    """The sheet ends inside the picture: beyond one or two of its edges is something darker."""
    height, width = page.shape[:2]
    sheet = np.zeros((height, width), np.float32)
    inset = rng.uniform(0, 0.06, (4, 2)) * (rng.random((4, 1)) < 0.6)
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * (1 - 2 * inset) + inset
    points = np.rint(corners * (width, height)).astype(np.int32)
    cv2.fillConvexPoly(sheet, points, 1.0, cv2.LINE_AA)
    table = rng.uniform(0.0, 0.5, 3).astype(np.float32) * rng.uniform(0.3, 1)
    wood = table * (1 + np.float32(rng.uniform(0, 8)) * _texture((height, width), rng))[..., None]
    return np.asarray(page * sheet[..., None] + wood * (1 - sheet[..., None]), np.float32)


def _line(
    left: Page,
    start: tuple[float, float],
    end: tuple[float, float],
    colour: tuple[float, ...],
    thick: int,
) -> None:
    a, b = ([round(16 * v) for v in point] for point in (start, end))
    cv2.line(left, a, b, colour, thick, cv2.LINE_AA if thick > 1 else cv2.LINE_8, 4)
