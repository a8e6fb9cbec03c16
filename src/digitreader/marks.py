"""From found characters to marks: which ink is whose, where characters touch or overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from digitreader.ink import Inked
from digitreader.levels import percentile
from digitreader.pieces import CERTAIN, STROKE, box_of
from digitreader.reading import Box

AROUND = 0.6  # of a box's sides, from its centre: ink farther away is not its own
LEAST_PART = 0.02  # of a character's ink; less is a speck or a neighbour's tip
PART = 0.2  # of a character's ink that makes a piece its own, though it runs on elsewhere
STRONGEST = 95  # percentile of a box that is in the middle of its strokes
FAINTEST = 0.02  # contrast by which the strongest of a box must stand out to be raised in full
MOSTLY = 0.5  # of a piece
NEARLY_ALL = 0.8  # of what is claimed of a piece
LARGER = 1.7  # times a box's sides that a piece may have and yet be one character


@dataclass(frozen=True, eq=False)
class Mark:
    """What may be a digit: its box in ink pixels and its own ink, bright, without neighbours.

    `ink` is float32 [h, w]: as large as the box, or the whole picture where that is a glyph.
    """

    box: Box
    ink: NDArray[np.float32]


def marks_of(page: Inked, boxes: Sequence[Box]) -> list[Mark]:
    """Each box with its own ink, of a page and the boxes of all its characters.

    A pixel belongs to the box in whose middle it is most. Connected strokes that are nearly
    all of one box go with it whole, where the box was drawn too tight; those that are mostly
    another's, or run far on, as a frame's side does, stay out. Writing too faint for the
    page's clean ink is raised from its contrast.
    """
    if not boxes:
        return []
    ink = _with_faint(page, boxes)
    owner = _owners(ink.shape, boxes)  # [H, W], 0 where nobody's
    _, numbered, stats, _ = cv2.connectedComponentsWithStats(
        (ink > STROKE).astype(np.uint8), connectivity=8
    )
    labels = np.asarray(numbered, np.int32)
    own = _kept(labels, np.asarray(stats, np.int32), owner, boxes)
    return [_mark(ink, labels, own, number, box) for number, box in enumerate(boxes, 1)]


def _with_faint(page: Inked, boxes: Sequence[Box]) -> NDArray[np.float32]:
    """The clean ink, and in boxes that have next to none the contrast in full range."""
    ink = page.ink
    for box in boxes:
        window = _window(box, ink.shape, AROUND)
        if percentile(page.ink[window], STRONGEST) > CERTAIN:
            continue
        if ink is page.ink:
            ink = ink.copy()
        faint = page.contrast[window]
        paper, strongest = percentile(faint, 50), percentile(faint, STRONGEST)
        floor = paper + 0.4 * (strongest - paper)
        raised = np.clip((faint - floor) / max(strongest - floor, FAINTEST), 0, 1)
        ink[window] = np.maximum(ink[window], raised)
    return ink


def _owners(shape: tuple[int, ...], boxes: Sequence[Box]) -> NDArray[np.int32]:
    """Number of the box, from 1, whose middle each pixel is nearest to, as its sides measure."""
    nearest = np.full(shape, AROUND, np.float32)
    owner = np.zeros(shape, np.int32)
    for number, box in enumerate(boxes, 1):
        window = _window(box, shape, AROUND)
        rows = np.arange(window[0].start, window[0].stop, dtype=np.float32) + 0.5
        columns = np.arange(window[1].start, window[1].stop, dtype=np.float32) + 0.5
        down = np.abs(rows - (box.y + box.height / 2)) / box.height
        across = np.abs(columns - (box.x + box.width / 2)) / box.width
        away = np.maximum(down[:, None], across[None, :])  # [h, w]
        nearer = away < nearest[window]
        nearest[window][nearer] = away[nearer]
        owner[window][nearer] = number
    return owner


def _kept(
    labels: NDArray[np.int32],
    stats: NDArray[np.int32],
    owner: NDArray[np.int32],
    boxes: Sequence[Box],
) -> NDArray[np.int32]:
    """Owners of stroke pixels, piece by piece: int32 [H, W], 0 where nobody's."""
    inked = labels > 0
    claimed = inked & (owner > 0)
    count = len(boxes) + 1
    pairs, sizes = np.unique(
        labels[claimed].astype(np.int64) * count + owner[claimed], return_counts=True
    )
    piece, whose = pairs // count, pairs % count  # which piece, claimed by whom
    of_box = sizes / np.bincount(whose, sizes, count)[whose]
    of_piece = sizes / stats[piece, cv2.CC_STAT_AREA]
    of_claims = sizes / np.bincount(piece, sizes)[piece]
    belongs = (of_box > LEAST_PART) & ((of_piece > MOSTLY) | (of_box > PART))
    sides = np.array([(1, 1), *((box.width, box.height) for box in boxes)])[whose]
    snug = (stats[piece][:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]] < LARGER * sides).all(axis=1)
    table = np.zeros((len(stats), count), np.bool_)
    table[piece, whose] = belongs
    whole = np.zeros(len(stats), np.int32)
    entire = belongs & snug & (of_claims > NEARLY_ALL)
    whole[piece[entire]] = whose[entire]
    owners = np.zeros_like(owner)
    label, by = labels[inked], owner[inked]
    owners[inked] = np.where(whole[label] > 0, whole[label], np.where(table[label, by], by, 0))
    return owners


def _mark(
    ink: NDArray[np.float32],
    labels: NDArray[np.int32],
    own: NDArray[np.int32],
    number: int,
    box: Box,
) -> Mark:
    """Cut a character out, with the faint edges of its strokes."""
    window = _window(box, ink.shape, LARGER - 0.5)
    mine = own[window] == number
    reach = cv2.dilate(mine.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    kept = mine | (reach & (labels[window] == 0) & (ink[window] > 0))
    if not kept.any():
        return Mark(box, ink[box.y : box.bottom, box.x : box.right])
    tight = box_of(kept)
    alone = np.where(kept, ink[window], 0).astype(np.float32)
    place = Box(window[1].start + tight.x, window[0].start + tight.y, tight.width, tight.height)
    return Mark(place, alone[tight.y : tight.bottom, tight.x : tight.right])


def _window(box: Box, shape: tuple[int, ...], reach: float) -> tuple[slice, slice]:
    """Rows and columns as far from a box's middle as `reach` times its sides."""
    down, across = (int(np.ceil((reach - 0.5) * side)) for side in (box.height, box.width))
    return (
        slice(max(0, box.y - down), min(shape[0], box.bottom + down)),
        slice(max(0, box.x - across), min(shape[1], box.right + across)),
    )
