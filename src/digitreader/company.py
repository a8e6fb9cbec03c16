"""Digits stand beside digits: what a character is, its neighbours in the line help to say."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from digitreader.layout import chains
from digitreader.pieces import STROKE
from digitreader.reading import Box

SWITCH = 0.04  # chance that a digit stands close beside a letter, or a letter beside a digit
HYPHENED = 0.01  # and where a hyphen joins them: FORM-92 is one word
FAR = 1.0  # heights of a gap that makes a word's end, and all as likely again, two in three
SLENDER = 0.35  # of its height, a bar's width
LONG, SHORT, OFF = 1.5, 0.15, 0.25  # a hyphen: so many heights of its own, of the characters'
# height at least, and at most so far from their middle
SURE = 1e-3  # no character is judged surer than this by itself


def in_company(
    boxes: Sequence[Box], digit: NDArray[np.float64], ink: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Probability that each character is a digit, given those beside it: float64 [N] → [N].

    A line is a chain of two states, digit and other writing, that seldom change within a word
    (forward–backward: Rabiner 1989, "A tutorial on hidden Markov models"). A bar that is no 1
    tells nothing of its neighbours: it may be the side of a box. `ink`, float32 [H, W], shows
    the hyphens between them.
    """
    judged = digit.copy()
    slender = np.array([box.width < SLENDER * box.height for box in boxes])
    for line in chains(boxes):
        own = np.clip(digit[line], SURE, 1 - SURE)
        odds = np.stack([1 - own, own], axis=1)  # [n, 2]
        told = np.where((slender[line] & (own < 0.5))[:, None], 0.5, odds)  # to the neighbours
        changes = [_change(boxes[a], boxes[b], ink) for a, b in pairwise(line)]
        ahead = _passed(told, changes) / told
        behind = _passed(told[::-1], changes[::-1])[::-1] / told
        all_ = odds * ahead * behind
        judged[line] = all_[:, 1] / all_.sum(axis=1)
    return judged


def _change(left: Box, right: Box, ink: NDArray[np.float32]) -> float:
    if _hyphen_between(left, right, ink):
        return HYPHENED
    gap = max(0, right.x - left.right) / max(left.height, right.height)
    return SWITCH + (0.5 - SWITCH) * (1 - float(np.exp(-gap / FAR)))


def _hyphen_between(left: Box, right: Box, ink: NDArray[np.float32]) -> bool:
    """Whether all that stands between two characters is one short level stroke, halfway up."""
    top, bottom = min(left.y, right.y), max(left.bottom, right.bottom)
    gap = (ink[top:bottom, left.right : right.x] > STROKE).astype(np.uint8)
    if not gap.size:
        return False
    _, _, stats, _ = cv2.connectedComponentsWithStats(gap, connectivity=8)
    x, y, wide, high = stats[1:, :4].T
    apart = (x > 0) & (x + wide < gap.shape[1])  # else it is an end of the characters themselves
    height = bottom - top
    level = (wide > LONG * high) & (wide > SHORT * height)
    halfway = np.abs((y + high / 2) / height - 0.5) < OFF
    return bool(np.count_nonzero(apart) == 1 and (level & halfway)[apart].all())


def _passed(odds: NDArray[np.float64], changes: Sequence[float]) -> NDArray[np.float64]:
    """What each character's odds become with those before it: [n, 2] → [n, 2]."""
    passed = odds.copy()
    for i, change in enumerate(changes, 1):
        before = passed[i - 1] / passed[i - 1].sum()
        passed[i] *= before * (1 - change) + before[::-1] * change
    return passed
