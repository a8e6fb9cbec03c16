"""Reading order: which digits stand in one line, and where a wide gap parts two numbers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from digitreader.reading import Box

BESIDE = 0.5  # of the lower one's height that two digits of a line share
WIDE = 1.2  # heights; and
WIDER = 2.5  # times the page's usual gap: there a number ends


def in_lines(boxes: Sequence[Box]) -> list[list[list[int]]]:
    """Lines from top to bottom, their numbers from left to right: indices of the boxes."""
    lines = chains(boxes)
    wide = _wide_gap([[boxes[i] for i in line] for line in lines])
    return [_numbers(line, boxes, wide) for line in lines]


def on_page(box: Box, ink_shape: tuple[int, ...], page_shape: tuple[int, ...]) -> Box:
    """A box in ink pixels as a box in page pixels, where ink came from a working copy."""
    down, across = page_shape[0] / ink_shape[0], page_shape[1] / ink_shape[1]
    x, y = round(box.x * across), round(box.y * down)
    return Box(x, y, round(box.right * across) - x, round(box.bottom * down) - y)


def chains(boxes: Sequence[Box]) -> list[list[int]]:
    """Chains of digits, each beside the one before it; so a line may slant."""
    lines: list[list[int]] = []
    ends = np.empty((len(boxes), 2))  # top and bottom of each line's last digit
    for i in sorted(range(len(boxes)), key=lambda i: boxes[i].x + boxes[i].width / 2):
        top, bottom = boxes[i].y, boxes[i].bottom
        tops, bottoms = ends[: len(lines)].T
        shared = np.minimum(bottom, bottoms) - np.maximum(top, tops)
        shares = shared / np.minimum(bottom - top, bottoms - tops)
        if lines and shares.max() > BESIDE:
            chosen = int(shares.argmax())
            lines[chosen].append(i)
        else:
            chosen = len(lines)
            lines.append([i])
        ends[chosen] = top, bottom
    return sorted(lines, key=lambda line: _middle([boxes[i] for i in line]))


def _middle(line: list[Box]) -> float:
    return float(np.mean([box.y + box.height / 2 for box in line]))


def _numbers(line: list[int], boxes: Sequence[Box], wide: float) -> list[list[int]]:
    numbers = [[line[0]]]
    for before, i in pairwise(line):
        if _gap(boxes[before], boxes[i]) > wide:
            numbers.append([])
        numbers[-1].append(i)
    return numbers


def _wide_gap(lines: list[list[Box]]) -> float:
    """Gap from which two digits are two numbers, from what is usual on the page."""
    gaps = [_gap(a, b) for line in lines for a, b in pairwise(line)]
    if not gaps:
        return np.inf
    height = float(np.median([box.height for line in lines for box in line]))
    return max(WIDE * height, WIDER * float(np.median(gaps)))


def _gap(left: Box, right: Box) -> int:
    return max(0, right.x - left.right)
