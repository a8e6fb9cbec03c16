"""Neighbours help to tell digits: chains whose right answer can be computed by hand."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from digitreader import company
from digitreader.company import in_company
from digitreader.reading import Box

PAPER = np.zeros((300, 1000), np.float32)


def _row(count: int, gap: int = 4, y: int = 50) -> list[Box]:
    return [Box(10 + i * (20 + gap), y, 20, 30) for i in range(count)]


@given(st.lists(st.floats(0.01, 0.99), min_size=1, max_size=5), st.integers(0, 90))
def test_it_is_the_sum_over_all_ways_to_read_a_line(own: list[float], gap: int) -> None:
    boxes = _row(len(own), gap)
    change = company._change(boxes[0], Box(30 + gap, 50, 20, 30), PAPER)
    weights = np.zeros(len(own))
    total = 0.0
    for states in product((0, 1), repeat=len(own)):
        weight = float(np.prod([p if s else 1 - p for p, s in zip(own, states, strict=True)]))
        for a, b in pairwise(states):
            weight *= change if a != b else 1 - change
        total += weight
        weights += weight * np.array(states)
    np.testing.assert_allclose(in_company(boxes, np.array(own), PAPER), weights / total, atol=1e-9)


def test_a_doubtful_one_among_digits_is_a_digit_and_among_letters_a_letter() -> None:
    boxes = _row(5)
    assert in_company(boxes, np.array([0.95, 0.95, 0.4, 0.95, 0.95]), PAPER)[2] > 0.9
    assert in_company(boxes, np.array([0.05, 0.05, 0.6, 0.05, 0.05]), PAPER)[2] < 0.1


def test_the_sides_of_a_box_tell_nothing_of_the_digits_in_it() -> None:
    row = _row(5, gap=20)
    bars = [Box(b.x, b.y, 5, 30) if i % 2 else b for i, b in enumerate(row)]
    judged = in_company(bars, np.array([0.9, 0.02, 0.9, 0.02, 0.9]), PAPER)
    assert (judged[::2] > 0.9).all()
    assert (judged[1::2] < 0.5).all()


def test_what_stands_far_off_says_nothing() -> None:
    alone = in_company([*_row(2), Box(900, 50, 20, 30)], np.array([0.01, 0.01, 0.6]), PAPER)
    assert alone[2] > 0.5
    below = in_company([*_row(3), Box(10, 200, 20, 30)], np.array([0.01, 0.01, 0.01, 0.6]), PAPER)
    np.testing.assert_allclose(below[3], 0.6)


def test_no_characters() -> None:
    assert in_company([], np.array([]), PAPER).shape == (0,)


@pytest.mark.parametrize(
    ("rows", "columns", "joins"),
    [
        (slice(63, 66), slice(124, 138), True),  # a hyphen
        (slice(76, 79), slice(124, 138), False),  # an underscore
        (slice(52, 80), slice(129, 133), False),  # a bar, or the side of a box
        (slice(63, 66), slice(130, 133), False),  # a dot
        (slice(50, 80), slice(118, 146), False),  # a blot
    ],
)
def test_a_hyphen_makes_digits_part_of_the_word(rows: slice, columns: slice, joins: bool) -> None:
    """FORM-92: without the hyphen the gap would make the digits a number by themselves."""
    word = _row(4)
    boxes = [*word, Box(word[-1].right + 50, 50, 20, 30), Box(word[-1].right + 75, 50, 20, 30)]
    ink = PAPER.copy()
    ink[rows, columns] = 1
    judged = in_company(boxes, np.array([0.02, 0.02, 0.02, 0.02, 0.8, 0.8]), ink)
    assert (judged[4:] < 0.5).all() == joins
    assert (judged[:4] < 0.05).all()


def test_a_hyphen_between_digits_leaves_them_digits() -> None:
    boxes = [*_row(2), *(Box(120 + 24 * i, 50, 20, 30) for i in range(3))]
    ink = PAPER.copy()
    ink[63:66, 70:100] = 1
    assert (in_company(boxes, np.array([0.8, 0.9, 0.6, 0.9, 0.9]), ink) > 0.9).all()
