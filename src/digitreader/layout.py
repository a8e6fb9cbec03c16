"""From ink to digits: which strokes belong together, in which line, in which order."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from digitreader.glyphs import is_glyph
from digitreader.reading import Box

Layout = Literal["auto", "single", "page"]

STROKE = 0.1  # ink from which a pixel holds strokes together
SMALL = 64  # px; in smaller pictures a line from side to side may be a stroke
RULE = 0.006  # of the page's width; the thickness of printed lines
LEGIBLE = 6  # px; no digit can be read in less
SPECK = 0.006  # of the page's longest side; smaller is dust
CERTAIN = 0.35  # ink that at least one pixel of a stroke reaches


@dataclass(frozen=True, eq=False)
class Mark:
    """What may be a digit: its box in ink pixels and its own ink, bright, without neighbours.

    `ink` is float32 [h, w]: as large as the box, or the whole picture where that is a glyph.
    """

    box: Box
    ink: NDArray[np.float32]


@dataclass(frozen=True)
class Line:
    """A line of writing: numbers from left to right, parted by wide gaps."""

    numbers: tuple[tuple[Mark, ...], ...]

    @property
    def marks(self) -> tuple[Mark, ...]:
        return tuple(mark for number in self.numbers for mark in number)


@dataclass(frozen=True)
class Piece:
    """Connected strokes: their labels in the map of strokes, box, and ink in all."""

    labels: tuple[int, ...]
    box: Box
    mass: float


def find_digits(ink: NDArray[np.float32], layout: Layout = "auto") -> tuple[Line, ...]:
    """Digits in reading order: ink float32 [H, W] in 0–1, ink bright → lines of marks.

    `single` gives the one main digit, `page` all of them; `auto` gives a page where
    several digits stand side by side. No ink, no lines.
    """
    if is_glyph(ink):
        return (Line(((Mark(_box_of(ink > 0), ink),),)),)
    ink = _without_rules(_without_rules(ink).T).T
    labels, pieces = _pieces(ink)
    if not any(_longest(piece.box) >= LEGIBLE for piece in pieces):
        return ()
    lines = [] if layout == "single" else _lines(_digits(pieces, ink.shape))
    several = sum(len(line) for line in lines) > 1
    if layout == "single" or (layout == "auto" and not several):
        lines = [[_main_digit(pieces, ink.shape)]]
    wide = _wide_gap(lines)
    return tuple(_line(line, ink, labels, wide) for line in lines)


def on_page(box: Box, ink_shape: tuple[int, ...], page_shape: tuple[int, ...]) -> Box:
    """A box in ink pixels as a box in page pixels, where ink came from a working copy."""
    down, across = page_shape[0] / ink_shape[0], page_shape[1] / ink_shape[1]
    x, y = round(box.x * across), round(box.y * down)
    return Box(x, y, round(box.right * across) - x, round(box.bottom * down) - y)


# --- pieces ---------------------------------------------------------------------------------


def _pieces(ink: NDArray[np.float32]) -> tuple[NDArray[np.int32], list[Piece]]:
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


def _without_rules(ink: NDArray[np.float32]) -> NDArray[np.float32]:
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
    bridged = cv2.morphologyEx(runs, cv2.MORPH_CLOSE, np.ones((3, width // 2), np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(bridged)
    drawn = np.bincount(labels.ravel(), runs.ravel())  # three rows or more to each column
    across = (stats[:, 2] > 0.9 * width) & (stats[:, 3] < 0.06 * width) & (drawn > 1.5 * width)
    across[0] = False  # the paper
    return np.where(across[labels] & (flat > 0), 0, ink).astype(np.float32)


def _joined(pieces: Iterable[Piece]) -> Piece:
    parts = list(pieces)
    x, y = min(p.box.x for p in parts), min(p.box.y for p in parts)
    right, bottom = max(p.box.right for p in parts), max(p.box.bottom for p in parts)
    labels = tuple(label for p in parts for label in p.labels)
    return Piece(labels, Box(x, y, right - x, bottom - y), sum(p.mass for p in parts))


def _box_of(mask: NDArray[np.bool_]) -> Box:
    rows, columns = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
    x, y = int(columns[0]), int(rows[0])
    return Box(x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y)


def _overlap(a: Box, b: Box) -> tuple[int, int]:
    """Shared width and height; negative where a gap parts them."""
    across = min(a.right, b.right) - max(a.x, b.x)
    down = min(a.bottom, b.bottom) - max(a.y, b.y)
    return across, down


def _longest(box: Box) -> int:
    return max(box.width, box.height)


# --- one digit --------------------------------------------------------------------------------


def _main_digit(pieces: list[Piece], shape: tuple[int, ...]) -> Piece:
    """The largest, most central piece and what belongs to it."""
    pieces = [p for p in pieces if not _is_border_line(p, pieces, shape)] or pieces
    main = max(pieces, key=lambda piece: _prominence(piece, shape))
    parts = [p for p in pieces if p is not main and _belongs(p, main, shape)]
    return _joined([main, *parts])


def _prominence(piece: Piece, shape: tuple[int, ...]) -> float:
    """Size times centrality; a piece that runs out of the picture counts less."""
    box = piece.box
    off_x = abs(box.x + box.width / 2 - shape[1] / 2) / shape[1]
    off_y = abs(box.y + box.height / 2 - shape[0] / 2) / shape[0]
    central = 1 - max(off_x, off_y)  # 1 in the middle, 1/2 at the border
    whole = 0.5 if _sides_cut(box, shape) else 1.0
    return math.sqrt(piece.mass) * _longest(box) * central * whole


def _sides_cut(box: Box, shape: tuple[int, ...]) -> int:
    """Sides of the picture that the box reaches."""
    height, width = shape
    return (box.x <= 0) + (box.y <= 0) + (box.right >= width) + (box.bottom >= height)


def _is_border_line(piece: Piece, pieces: list[Piece], shape: tuple[int, ...]) -> bool:
    """A form's edge: runs from side to side along the border, beside or around a digit."""
    box = piece.box
    along = box.width >= 0.8 * shape[1] or box.height >= 0.8 * shape[0]
    thin = piece.mass < 0.2 * box.width * box.height or _is_bar(box)
    if not (along and thin and _sides_cut(box, shape) >= 2):
        return False
    return any(p is not piece and _longest(p.box) > 0.2 * max(shape) for p in pieces)


def _is_bar(box: Box) -> bool:
    return _longest(box) > 5 * min(box.width, box.height)


def _belongs(piece: Piece, main: Piece, shape: tuple[int, ...]) -> bool:
    """Whether a piece is a broken-off part of the main digit."""
    across, down = _overlap(piece.box, main.box)
    size = _longest(main.box)
    near = max(-across, -down, 0) < 0.25 * size
    sizable = _longest(piece.box) > 0.12 * size
    within = across / piece.box.width  # little of a neighbour or a comma, most of a part
    return near and sizable and within > (0.6 if _sides_cut(piece.box, shape) else 0.3)


# --- several digits ----------------------------------------------------------------------------


def _digits(pieces: list[Piece], shape: tuple[int, ...]) -> list[Piece]:
    """Pieces merged to digits; frames, rules, dashes and specks left out."""
    frames = _enclosing(_corners(pieces))
    pieces = [p for p, frame in zip(pieces, frames, strict=True) if not frame]
    height = _usual_height([p for p in pieces if not _sides_cut(p.box, shape)] or pieces)
    pieces = [p for p in pieces if not _is_rule(p.box, height, shape)]
    merged = _merged([p for p in pieces if _longest(p.box) > 0.1 * height])
    return [p for p in merged if max(LEGIBLE, 0.4 * height) <= p.box.height < 3 * height]


def _usual_height(pieces: list[Piece]) -> float:
    """Median height, each piece weighed by its height, so that specks do not count."""
    heights = np.sort(np.array([p.box.height for p in pieces], np.float64))
    if not heights.size:
        return 1.0
    return float(heights[np.searchsorted(np.cumsum(heights), heights.sum() / 2)])


def _corners(pieces: list[Piece]) -> NDArray[np.int64]:
    """Left, top, right and bottom of each piece, int64 [N, 4].

    A page of print has thousands of pieces: comparing each with all is for NumPy.
    """
    corners = [(p.box.x, p.box.y, p.box.right, p.box.bottom) for p in pieces]
    return np.array(corners, np.int64).reshape(-1, 4)


def _enclosing(corners: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which pieces are frames: around two others or more that are no specks."""
    heights = corners[:, 3] - corners[:, 1]
    frames = np.zeros(len(corners), np.bool_)
    for i, (left, top, right, bottom) in enumerate(corners):
        sizable = heights > 0.15 * heights[i]
        from_here = (corners[:, 0] >= left) & (corners[:, 1] >= top)
        to_here = (corners[:, 2] <= right) & (corners[:, 3] <= bottom)
        frames[i] = np.count_nonzero(sizable & from_here & to_here) > 2  # itself among them
    return frames


def _is_rule(box: Box, height: float, shape: tuple[int, ...]) -> bool:
    """A dash, a ruled line, or the edge of the sheet."""
    flat = box.width > max(2.5 * box.height, 1.5 * height) and box.height < 0.5 * height
    upright = box.height > max(10 * box.width, 1.5 * height)
    cut = _sides_cut(box, shape) > 0 and _longest(box) > 2 * height
    return flat or upright or cut or (_in_margin(box, shape) and shape[0] > 4 * height)


def _in_margin(box: Box, shape: tuple[int, ...]) -> bool:
    """Wholly in the outer twentieth: a table's edge, a binding; no place for writing."""
    height, width = shape
    left_or_right = box.right < 0.05 * width or box.x > 0.95 * width
    return left_or_right or box.bottom < 0.05 * height or box.y > 0.95 * height


def _merged(pieces: list[Piece]) -> list[Piece]:
    """Joins pieces that stand over one another, as a 5 and its bar; the smallest come first."""
    pieces = sorted(pieces, key=lambda p: p.mass)
    corners = _corners(pieces)
    whole: list[Piece] = []
    for i, piece in enumerate(pieces):
        partners = _over_one_another(corners[i], corners[i + 1 :])
        if not partners.any():
            whole.append(piece)
            continue
        j = i + 1 + int(partners.argmax())
        pieces[j] = _joined([piece, pieces[j]])
        corners[j] = _corners([pieces[j]])[0]
    return whole


def _over_one_another(small: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.bool_]:
    """With which of the larger pieces, [N, 4], a small one makes one digit."""
    starts, ends = np.maximum(small[:2], others[:, :2]), np.minimum(small[2:], others[:, 2:])
    across, down = (ends - starts).T  # shared width and height, negative where a gap parts them
    widths, heights = (others[:, 2:] - others[:, :2]).T
    width, height = small[2:] - small[:2]
    above = across > 0.5 * np.minimum(width, widths)
    near = -down < 0.2 * heights
    return np.asarray(above & near & (height < 0.8 * heights), np.bool_)


def _lines(digits: list[Piece]) -> list[list[Piece]]:
    """Chains of digits, each beside the one before it; so a line may slant."""
    lines: list[list[Piece]] = []
    ends = np.empty((len(digits), 2))  # top and bottom of each line's last digit
    for digit in sorted(digits, key=lambda p: p.box.x):
        top, bottom = digit.box.y, digit.box.bottom
        tops, bottoms = ends[: len(lines)].T
        shared = np.minimum(bottom, bottoms) - np.maximum(top, tops)
        shares = shared / np.minimum(bottom - top, bottoms - tops)
        if lines and shares.max() > 0.35:
            chosen = int(shares.argmax())
            lines[chosen].append(digit)
        else:
            chosen = len(lines)
            lines.append([digit])
        ends[chosen] = top, bottom
    return sorted(lines, key=_middle)


def _middle(line: list[Piece]) -> float:
    return float(np.mean([p.box.y + p.box.height / 2 for p in line]))


def _line(
    line: list[Piece], ink: NDArray[np.float32], labels: NDArray[np.int32], wide: float
) -> Line:
    numbers: list[list[Mark]] = [[]]
    for before, piece in zip([None, *line], line, strict=False):
        if before is not None and -_overlap(before.box, piece.box)[0] > wide:
            numbers.append([])
        numbers[-1].append(_mark(piece, ink, labels))
    return Line(tuple(tuple(number) for number in numbers))


def _wide_gap(lines: list[list[Piece]]) -> float:
    """Gap from which two digits are two numbers, from what is usual on the page."""
    gaps = [max(0, -_overlap(a.box, b.box)[0]) for line in lines for a, b in pairwise(line)]
    height = _usual_height([p for line in lines for p in line])
    return max(1.2 * height, 2.5 * float(np.median(gaps))) if gaps else np.inf


def _mark(piece: Piece, ink: NDArray[np.float32], labels: NDArray[np.int32]) -> Mark:
    """The piece's own ink, with the faint edges of its strokes and nothing of others."""
    edge = max(1, round(0.07 * _longest(piece.box)))  # more than a pixel of a glyph
    box = piece.box
    top, left = max(0, box.y - edge), max(0, box.x - edge)
    window = (slice(top, box.bottom + edge), slice(left, box.right + edge))
    near = labels[window]
    own = np.isin(near, piece.labels)
    reach = cv2.dilate(own.astype(np.uint8), np.ones((2 * edge + 1, 2 * edge + 1), np.uint8))
    kept = (reach > 0) & (own | (near == 0)) & (ink[window] > 0)
    tight = _box_of(kept)
    own_ink = np.where(kept, ink[window], 0).astype(np.float32)
    crop = own_ink[tight.y : tight.bottom, tight.x : tight.right]
    return Mark(Box(left + tight.x, top + tight.y, tight.width, tight.height), crop)
