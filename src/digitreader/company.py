"""Digits stand beside digits: what a character is, its neighbours in the line help to say."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from digitreader.layout import chains
from digitreader.reading import Box

SWITCH = 0.04  # chance that a digit stands close beside a letter, or a letter beside a digit
FAR = 1.0  # heights of a gap that makes a word's end, and all as likely again, two in three
SLENDER = 0.35  # of its height, a bar's width
SURE = 1e-3  # no character is judged surer than this by itself


def in_company(boxes: Sequence[Box], digit: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probability that each character is a digit, given those beside it: float64 [N] → [N].

    A line is a chain of two states, digit and other writing, that seldom change within a word
    (forward–backward: Rabiner 1989, "A tutorial on hidden Markov models"). A bar that is no 1
    tells nothing of its neighbours: it may be the side of a box.
    """
    judged = digit.copy()
    slender = np.array([box.width < SLENDER * box.height for box in boxes])
    for line in chains(boxes):
        own = np.clip(digit[line], SURE, 1 - SURE)
        odds = np.stack([1 - own, own], axis=1)  # [n, 2]
        told = np.where((slender[line] & (own < 0.5))[:, None], 0.5, odds)  # to the neighbours
        changes = [_change(boxes[a], boxes[b]) for a, b in pairwise(line)]
        ahead = _passed(told, changes) / told
        behind = _passed(told[::-1], changes[::-1])[::-1] / told
        all_ = odds * ahead * behind
        judged[line] = all_[:, 1] / all_.sum(axis=1)
    return judged


def _change(left: Box, right: Box) -> float:
    gap = max(0, right.x - left.right) / max(left.height, right.height)
    return SWITCH + (0.5 - SWITCH) * (1 - float(np.exp(-gap / FAR)))


def _passed(odds: NDArray[np.float64], changes: Sequence[float]) -> NDArray[np.float64]:
    """What each character's odds become with those before it: [n, 2] → [n, 2]."""
    passed = odds.copy()
    for i, change in enumerate(changes, 1):
        before = passed[i - 1] / passed[i - 1].sum()
        passed[i] *= before * (1 - change) + before[::-1] * change
    return passed
