"""The one main digit of a picture: the largest, most central strokes and what belongs to them."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from digitreader.glyphs import is_glyph
from digitreader.marks import Mark
from digitreader.pieces import (
    LEGIBLE,
    Piece,
    box_of,
    centrality,
    joined,
    longest,
    overlap,
    pieces_of,
    sides_cut,
    without_rules,
)
from digitreader.reading import Box


def main_digit(ink: NDArray[np.float32]) -> Mark | None:
    """The main digit of ink, float32 [H, W] in 0–1, ink bright; None where there is none."""
    if is_glyph(ink):
        return Mark(box_of(ink > 0), ink)
    ink = without_rules(without_rules(ink).T).T
    labels, pieces = pieces_of(ink)
    if not any(longest(piece.box) >= LEGIBLE for piece in pieces):
        return None
    return _mark(_main_piece(pieces, ink.shape), ink, labels)


def _main_piece(pieces: list[Piece], shape: tuple[int, ...]) -> Piece:
    """The largest, most central piece and what belongs to it."""
    pieces = [p for p in pieces if not _is_border_line(p, pieces, shape)] or pieces
    main = max(pieces, key=lambda piece: _prominence(piece, shape))
    parts = [p for p in pieces if p is not main and _belongs(p, main, shape)]
    return joined([main, *parts])


def _prominence(piece: Piece, shape: tuple[int, ...]) -> float:
    """Size times centrality; a piece that runs out of the picture counts less."""
    box = piece.box
    whole = 0.5 if sides_cut(box, shape) else 1.0
    return math.sqrt(piece.mass) * longest(box) * centrality(box, shape) * whole


def _is_border_line(piece: Piece, pieces: list[Piece], shape: tuple[int, ...]) -> bool:
    """A form's edge: runs from side to side along the border, beside or around a digit."""
    box = piece.box
    along = box.width >= 0.8 * shape[1] or box.height >= 0.8 * shape[0]
    thin = piece.mass < 0.2 * box.width * box.height or _is_bar(box)
    if not (along and thin and sides_cut(box, shape) >= 2):
        return False
    return any(p is not piece and longest(p.box) > 0.2 * max(shape) for p in pieces)


def _is_bar(box: Box) -> bool:
    return longest(box) > 5 * min(box.width, box.height)


def _belongs(piece: Piece, main: Piece, shape: tuple[int, ...]) -> bool:
    """Whether a piece is a broken-off part of the main digit."""
    across, down = overlap(piece.box, main.box)
    size = longest(main.box)
    near = max(-across, -down, 0) < 0.25 * size
    sizable = longest(piece.box) > 0.12 * size
    within = across / piece.box.width  # little of a neighbour or a comma, most of a part
    return near and sizable and within > (0.6 if sides_cut(piece.box, shape) else 0.3)


def _mark(piece: Piece, ink: NDArray[np.float32], labels: NDArray[np.int32]) -> Mark:
    """Return the piece's own ink, with the faint edges of its strokes and nothing of others."""
    edge = max(1, round(0.07 * longest(piece.box)))  # more than a pixel of a glyph
    box = piece.box
    top, left = max(0, box.y - edge), max(0, box.x - edge)
    window = (slice(top, box.bottom + edge), slice(left, box.right + edge))
    near = labels[window]
    own = np.isin(near, piece.labels)
    reach = cv2.dilate(own.astype(np.uint8), np.ones((2 * edge + 1, 2 * edge + 1), np.uint8))
    kept = (reach > 0) & (own | (near == 0)) & (ink[window] > 0)
    tight = box_of(kept)
    own_ink = np.where(kept, ink[window], 0).astype(np.float32)
    crop = own_ink[tight.y : tight.bottom, tight.x : tight.right]
    return Mark(Box(left + tight.x, top + tight.y, tight.width, tight.height), crop)
