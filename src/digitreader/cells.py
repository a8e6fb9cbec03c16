"""What the finder's network says of a page's cells, and the characters that they see together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from digitreader.reading import Box

DIGITS = 10
OTHER_WRITING, NOTHING = 10, 11  # classes of a cell beside the digits
CLASSES = 12
STRIDE = 4  # px of the network's input to a cell
SEEN = 0.3  # probability of a character from which a cell counts
SAME = 0.45  # intersection over union of two boxes of one character
WITHIN = 0.65  # of the smaller box that two boxes of one character share


@dataclass(frozen=True, eq=False)
class Found:
    """A character: its box in ink px and the probabilities of what it is, float32 [CLASSES]."""

    box: Box
    classes: NDArray[np.float32]

    @property
    def digit(self) -> float:
        """Probability that it is a digit to be read."""
        return float(self.classes[:DIGITS].sum())

    @property
    def character(self) -> float:
        """Probability that it is a character at all."""
        return 1 - float(self.classes[NOTHING])


def characters_of(cells: NDArray[np.float32]) -> list[Found]:
    """Cells that see the same character made one: the surest first, the others vote."""
    sure = 1 - cells[..., NOTHING]
    rows, columns = np.nonzero(sure > SEEN)
    seen = cells[rows, columns]  # [N, CLASSES + 4]
    weights = sure[rows, columns]
    x, y = (columns + 0.5) * STRIDE, (rows + 0.5) * STRIDE
    left, top, right, bottom = seen[:, CLASSES:].T
    boxes = np.stack([x - left, y - top, x + right, y + bottom], axis=1)  # [N, 4]
    # The middle of a box knows its edges best.
    off = np.abs(right - left) / (right + left + 1) + np.abs(bottom - top) / (bottom + top + 1)
    order = np.argsort(-(seen[:, :NOTHING].max(axis=1) - 0.2 * off), kind="stable")
    by_row = ByRow(rows, boxes, len(cells))
    left_over = np.ones(len(order), np.bool_)
    found: list[Found] = []
    of_found = np.empty((len(order), 4), np.float32)
    for i in order:
        if not left_over[i]:
            continue
        near = by_row.near(boxes[i])
        near = near[left_over[near]]
        same = near[_same(boxes[i], boxes[near])]
        left_over[same] = left_over[i] = False
        if len(same) < 2:
            continue
        share = weights[same] / weights[same].sum()
        box = share @ boxes[same]
        near = _touching(box, of_found[: len(found)])
        if _same(box, of_found[near]).any():  # stragglers of a surer one
            continue
        of_found[len(found)] = box
        classes = share @ seen[same, :CLASSES]
        found.append(Found(Box(*(float(v) for v in box)), classes.astype(np.float32)))  # type: ignore[arg-type]
    return found


class ByRow:
    """Boxes, [N, 4], of cells whose rows ascend: a page of ten thousand digits has 150,000."""

    def __init__(self, rows: NDArray[np.int64], boxes: NDArray[np.float32], height: int) -> None:
        self._boxes = boxes
        self._starts = np.searchsorted(rows, np.arange(height + 1))  # of each row, then the end
        self._top, self._bottom = np.full(height, np.inf), np.full(height, -np.inf)
        np.minimum.at(self._top, rows, boxes[:, 1])
        np.maximum.at(self._bottom, rows, boxes[:, 3])

    def near(self, box: NDArray[np.float32]) -> NDArray[np.int64]:
        """Numbers of the boxes that share something with a box, ascending."""
        rows = np.flatnonzero((self._top < box[3]) & (box[1] < self._bottom))
        if not rows.size:
            return rows
        start, stop = int(self._starts[rows[0]]), int(self._starts[rows[-1] + 1])
        return _touching(box, self._boxes[start:stop]) + start


def _touching(box: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.int64]:
    """Numbers of the boxes, [N, 4] as left, top, right, bottom, that share something with a box."""
    left, top, right, bottom = others.T
    across = (left < box[2]) & (box[0] < right)
    return np.flatnonzero(across & (top < box[3]) & (box[1] < bottom))


def _same(box: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which boxes, [N, 4] as left, top, right, bottom, are of the character that a box is of."""
    left, top, right, bottom = others.T
    across = np.minimum(box[2], right) - np.maximum(box[0], left)
    down = np.minimum(box[3], bottom) - np.maximum(box[1], top)
    shared = np.maximum(across, 0) * np.maximum(down, 0)
    own, areas = (box[2] - box[0]) * (box[3] - box[1]), (right - left) * (bottom - top)
    alike = shared > SAME * (own + areas - shared)
    return np.asarray(alike | (shared > WITHIN * np.minimum(own, areas)), np.bool_)
