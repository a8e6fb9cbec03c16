"""Reading order of boxes whose lines and numbers are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from digitreader.layout import in_lines, on_page
from digitreader.reading import Box

HEIGHT, WIDTH = 40, 24


def _row(count: int, x: int, y: int, *, pitch: int = 36, slope: float = 0) -> list[Box]:
    return [Box(x + i * pitch, round(y + i * pitch * slope), WIDTH, HEIGHT) for i in range(count)]


def _numbers(boxes: list[Box]) -> list[list[int]]:
    """How many digits each number of each line has."""
    return [[len(number) for number in line] for line in in_lines(boxes)]


def test_nothing_has_no_lines() -> None:
    assert in_lines([]) == []


@given(st.randoms(use_true_random=False))
def test_lines_come_from_the_top_and_digits_from_the_left(random: object) -> None:
    boxes = [*_row(5, 40, 60), *_row(3, 70, 150), *_row(4, 10, 230)]
    order = list(range(len(boxes)))
    random.shuffle(order)  # type: ignore[attr-defined]
    lines = in_lines([boxes[i] for i in order])
    read = [[order[i] for number in line for i in number] for line in lines]
    assert read == [[0, 1, 2, 3, 4], [5, 6, 7], [8, 9, 10, 11]]


@pytest.mark.parametrize("slope", [-0.15, 0.15])
def test_slanted_lines_stay_lines(slope: float) -> None:
    boxes = [*_row(10, 40, 130, slope=slope), *_row(10, 40, 200, slope=slope)]
    assert _numbers(boxes) == [[10], [10]]


def test_a_wide_gap_parts_numbers() -> None:
    assert _numbers([*_row(3, 40, 60), *_row(4, 240, 62)]) == [[3, 4]]
    assert _numbers(_row(6, 40, 60, pitch=140)) == [[6]]  # widely written, but evenly


def test_a_low_digit_stands_in_its_line() -> None:
    boxes = _row(5, 40, 60)
    boxes[2] = Box(boxes[2].x, 75, WIDTH, HEIGHT)
    boxes[4] = Box(boxes[4].x, 50, WIDTH, 2 * HEIGHT)
    assert _numbers(boxes) == [[5]]


def test_boxes_of_a_working_copy_are_brought_to_the_page() -> None:
    assert on_page(Box(10, 20, 30, 40), (1200, 1600), (3000, 4000)) == Box(25, 50, 75, 100)
    assert on_page(Box(1, 2, 3, 4), (50, 60), (50, 60)) == Box(1, 2, 3, 4)
    corners = np.array(on_page(Box(0, 0, 60, 50), (50, 60), (151, 179)))
    assert (corners[2:] == (179, 151)).all()
