"""Strokes that hang together on a page: pieces of digits, of letters, of lines and frames."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from digitreader.reading import Box

STROKE = 0.1  # ink from which a pixel holds strokes together
SMALL = 64  # px; in smaller pictures a line from side to side may be a stroke
RULE = 0.006  # of the page's width; the thickness of printed lines
LEGIBLE = 6  # px; no digit can be read in less
SPECK = 0.006  # of the page's longest side; smaller is dust
CERTAIN = 0.35  # ink that at least one pixel of a stroke reaches


@dataclass(frozen=True)
class Piece:
    """Connected strokes: their labels in the map of strokes, box, and ink in all."""

    labels: tuple[int, ...]
    box: Box
    mass: float


def pieces_of(ink: NDArray[np.float32]) -> tuple[NDArray[np.int32], list[Piece]]:
    """Map of connected strokes, int32 [H, W], and the strokes that hold certain ink."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        (ink > STROKE).astype(np.uint8), connectivity=8
    )
    flat = labels.ravel()
    mass = np.bincount(flat, ink.ravel(), count)
    sure = np.bincount(flat[ink.ravel() > CERTAIN], minlength=count)
    pieces = [
        Piece((i,), Box(*(int(v) for v in stats[i, :4])), float(mass[i]))
        for i in range(1, count)
        if sure[i] and max(stats[i, 2:4]) > SPECK * max(ink.shape)
    ]
    return np.asarray(labels, np.int32), pieces


def without_rules(ink: NDArray[np.float32]) -> NDArray[np.float32]:
    """Ink without lines ruled across the page from left to right; strokes that cross stay.

    A rule may slant a little and be crossed or broken. Small pictures are left alone: there
    a stroke may well cross the whole.
    """
    width = ink.shape[1]
    if min(ink.shape) < SMALL:
        return ink
    strokes = (ink > STROKE).astype(np.uint8)
    thick = np.ones((2 + round(RULE * width), 1), np.uint8)
    flat = strokes - cv2.morphologyEx(strokes, cv2.MORPH_OPEN, thick)  # without what crosses
    runs = cv2.dilate(flat, np.ones((3, 1), np.uint8))  # a slanted rule steps from row to row
    runs = cv2.morphologyEx(runs, cv2.MORPH_OPEN, np.ones((1, width // 16), np.uint8))
    if not runs.any():
        return ink
    bridged = cv2.morphologyEx(runs, cv2.MORPH_CLOSE, np.ones((3, width // 2), np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(bridged)
    across = (stats[:, 2] > 0.9 * width) & (stats[:, 3] < 0.06 * width)
    across[0] = False  # the paper
    if not across.any():
        return ink
    drawn = np.bincount(labels.ravel(), runs.ravel())  # three rows or more to each column
    across &= drawn > 1.5 * width
    return np.where(across[labels] & (flat > 0), 0, ink).astype(np.float32)


def joined(pieces: Iterable[Piece]) -> Piece:
    parts = list(pieces)
    x, y = min(p.box.x for p in parts), min(p.box.y for p in parts)
    right, bottom = max(p.box.right for p in parts), max(p.box.bottom for p in parts)
    labels = tuple(label for p in parts for label in p.labels)
    return Piece(labels, Box(x, y, right - x, bottom - y), sum(p.mass for p in parts))


def box_of(mask: NDArray[np.bool_]) -> Box:
    """The box around what is true; of no size where nothing is."""
    return Box(*cv2.boundingRect(mask.view(np.uint8)))


def overlap(a: Box, b: Box) -> tuple[int, int]:
    """Shared width and height; negative where a gap parts them."""
    across = min(a.right, b.right) - max(a.x, b.x)
    down = min(a.bottom, b.bottom) - max(a.y, b.y)
    return across, down


def shared_part(a: Box, b: Box) -> float:
    """Intersection over union of two boxes."""
    across, down = overlap(a, b)
    shared = max(across, 0) * max(down, 0)
    return shared / (a.width * a.height + b.width * b.height - shared)


def longest(box: Box) -> int:
    return max(box.width, box.height)


def sides_cut(box: Box, shape: tuple[int, ...]) -> int:
    """Sides of the picture that the box reaches."""
    height, width = shape
    return (box.x <= 0) + (box.y <= 0) + (box.right >= width) + (box.bottom >= height)


def centrality(box: Box, shape: tuple[int, ...]) -> float:
    """How central a box lies in a picture: 1 in the middle, 1/2 at the border."""
    off_x = abs(box.x + box.width / 2 - shape[1] / 2) / shape[1]
    off_y = abs(box.y + box.height / 2 - shape[0] / 2) / shape[0]
    return 1 - max(off_x, off_y)


def usual_height(pieces: list[Piece]) -> float:
    """Median height, each piece weighed by its height, so that specks do not count."""
    heights = np.sort(np.array([p.box.height for p in pieces], np.float64))
    if not heights.size:
        return 1.0
    return float(heights[np.searchsorted(np.cumsum(heights), heights.sum() / 2)])
