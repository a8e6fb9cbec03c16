"""Layout: drawn pages whose digits, lines and gaps are known."""

from __future__ import annotations

from typing import get_args

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from digitreader.ink import ink_of
from digitreader.layout import Layout, Line, Mark, find_digits, on_page
from digitreader.reading import Box

HEIGHT = 60  # of a written digit, about

Page = NDArray[np.uint8]


def _blank(height: int = 400, width: int = 700) -> Page:
    return np.full((height, width), 255, np.uint8)


def _write(
    page: Page, text: str, x: int, y: int, *, pitch: int = 70, slant: float = 0
) -> list[Box]:
    """Writes digits one by one and says where each one's darkness lies."""
    boxes = []
    for i, digit in enumerate(text):
        if digit == " ":
            continue
        alone = np.full_like(page, 255)
        place = (x + i * pitch, round(y + HEIGHT + i * pitch * slant))
        cv2.putText(alone, digit, place, cv2.FONT_HERSHEY_SIMPLEX, HEIGHT / 22, 0, 4, cv2.LINE_AA)
        boxes.append(Box(*(int(v) for v in cv2.boundingRect((alone < 200).astype(np.uint8)))))
        np.minimum(page, alone, out=page)
    return boxes


def _boxes(lines: tuple[Line, ...]) -> list[Box]:
    return [mark.box for line in lines for mark in line.marks]


def _assert_same(found: list[Box], drawn: list[Box], within: int = 2) -> None:
    assert len(found) == len(drawn)
    for one, other in zip(found, drawn, strict=True):
        corners = (one.x, one.y, one.right, one.bottom)
        np.testing.assert_allclose(
            corners, (other.x, other.y, other.right, other.bottom), atol=within
        )


def _only(lines: tuple[Line, ...]) -> Mark:
    ((mark,),) = (line.marks for line in lines)
    return mark


@pytest.mark.parametrize("layout", ["auto", "page"])
@pytest.mark.parametrize("turned", [False, True], ids=["dark ink", "bright ink"])
def test_digits_come_in_reading_order(layout: Layout, turned: bool) -> None:
    page = _blank()
    drawn = _write(page, "31415", 40, 60) + _write(page, "92", 300, 250)
    lines = find_digits(ink_of(255 - page if turned else page), layout)
    assert [len(line.marks) for line in lines] == [5, 2]
    _assert_same(_boxes(lines), drawn)


@pytest.mark.parametrize("slant", [-0.12, 0.12])
def test_slanted_lines_stay_lines(slant: float) -> None:
    page = _blank(500)
    drawn = _write(page, "12345678", 40, 130, slant=slant)
    drawn += _write(page, "90123456", 40, 270, slant=slant)
    lines = find_digits(ink_of(page), "page")
    assert [len(line.marks) for line in lines] == [8, 8]
    _assert_same(_boxes(lines), drawn)


def test_a_wide_gap_parts_numbers() -> None:
    page = _blank(width=900)
    _write(page, "123  4567", 40, 100)
    (line,) = find_digits(ink_of(page), "page")
    assert [len(number) for number in line.numbers] == [3, 4]
    page = _blank(width=900)
    _write(page, "1234", 40, 100, pitch=190)  # widely written, but evenly
    (line,) = find_digits(ink_of(page), "page")
    assert [len(number) for number in line.numbers] == [4]


def test_frames_rules_dashes_and_dust_are_left_out() -> None:
    page = _blank()
    cv2.rectangle(page, (15, 15), (685, 385), 0, 5)  # around everything
    drawn = _write(page, "2718", 60, 100)
    for x in range(50, 330, 70):  # a box to each digit, all joined
        cv2.rectangle(page, (x, 90), (x + 70, 180), 0, 2)
    cv2.line(page, (60, 240), (600, 246), 0, 3)  # a rule
    cv2.line(page, (450, 130), (490, 130), 0, 6)  # a dash
    drawn += _write(page, "28", 520, 100)
    for x, y in ((400, 200), (100, 320), (640, 60)):
        cv2.circle(page, (x, y), 2, 0, -1)
    _assert_same(_boxes(find_digits(ink_of(page), "page")), drawn)


@pytest.mark.parametrize("squared", [False, True], ids=["ruled", "squared"])
def test_printed_lines_are_taken_out_and_strokes_that_cross_stay(squared: bool) -> None:
    page = _blank(300, 500)
    drawn = _write(page, "805", 100, 112, pitch=100)
    page[20::45] = np.minimum(page[20::45], 170)
    if squared:
        page[:, 10::45] = np.minimum(page[:, 10::45], 170)
    _assert_same(_boxes(find_digits(ink_of(page), "page")), drawn, within=3)


def test_a_dark_table_beside_the_sheet_is_no_digit() -> None:
    page = _blank()
    drawn = _write(page, "4711", 200, 150)
    page[:, :9] = page[:12, :] = 30
    _assert_same(_boxes(find_digits(ink_of(page), "page")), drawn)


def _broken_five() -> tuple[Page, Box]:
    """A 5 whose bar was written apart and whose belly is dotted."""
    page = _blank(200, 200)
    cv2.line(page, (85, 48), (130, 45), 0, 7)
    cv2.line(page, (80, 58), (78, 90), 0, 7)
    cv2.ellipse(page, (95, 120), (32, 32), 0, -120, 40, 0, 7)
    cv2.ellipse(page, (95, 120), (32, 32), 0, 60, 140, 0, 7)
    return page, Box(*(int(v) for v in cv2.boundingRect((page < 200).astype(np.uint8))))


@pytest.mark.parametrize("layout", ["single", "auto"])
def test_a_broken_digit_is_one(layout: Layout) -> None:
    page, box = _broken_five()
    mark = _only(find_digits(ink_of(page), layout))
    _assert_same([mark.box], [box])


def test_broken_digits_of_a_page_are_whole() -> None:
    five, box = _broken_five()
    page = np.hstack([five, five])
    shifted = Box(box.x + 200, box.y, box.width, box.height)
    _assert_same(_boxes(find_digits(ink_of(page), "page")), [box, shifted])


def test_the_main_digit_is_alone() -> None:
    page = _blank(200, 200)
    (main,) = _write(page, "3", 75, 70)
    cv2.line(page, (3, 0), (3, 199), 0, 4)  # the edge of a form's box
    cv2.circle(page, (150, 130), 3, 0, -1)  # a full stop
    _write(page, "8", 178, 70)  # the next digit, cut off
    mark = _only(find_digits(ink_of(page), "single"))
    _assert_same([mark.box], [main])


def test_a_neighbours_stroke_is_not_in_the_mark() -> None:
    page = _blank(200, 300)
    cv2.line(page, (60, 150), (140, 40), 0, 6)
    cv2.line(page, (100, 160), (180, 50), 0, 6)
    left, right = (mark for line in find_digits(ink_of(page), "page") for mark in line.marks)
    assert left.box.right > right.box.x  # the boxes overlap
    for mark in (left, right):
        count, _ = cv2.connectedComponents((mark.ink > 0.3).astype(np.uint8))
        assert count == 2  # paper and one stroke
        assert mark.ink.shape == (mark.box.height, mark.box.width)


def test_a_tall_thin_mark_is_a_one() -> None:
    page = _blank(200, 200)
    cv2.line(page, (100, 40), (98, 160), 0, 4)
    for layout in get_args(Layout):
        mark = _only(find_digits(ink_of(page), layout))
        assert mark.box.height > 110
        assert mark.box.width < 12


@pytest.mark.parametrize("layout", ["single", "page", "auto"])
def test_no_ink_no_lines(layout: Layout) -> None:
    for shape in ((1, 1), (28, 28), (300, 200)):
        assert find_digits(np.zeros(shape, np.float32), layout) == ()


@settings(max_examples=15, deadline=None)
@given(st.tuples(*[st.integers(0, 60)] * 4), st.sampled_from([1, 2, 3]))
def test_padding_and_enlarging_move_boxes_only(pads: tuple[int, ...], times: int) -> None:
    page = _blank(160, 360)
    drawn = _write(page, "60", 60, 40) + _write(page, "7", 250, 40)
    above, below, left, right = pads
    padded = np.pad(page, ((above, below), (left, right)), constant_values=255)
    large = np.kron(padded, np.ones((times, times), np.uint8))
    moved = [Box(*(times * v for v in (b.x + left, b.y + above, b.width, b.height))) for b in drawn]
    _assert_same(_boxes(find_digits(ink_of(large), "page")), moved, within=2 * times)


def test_a_picture_in_mnist_form_is_one_untouched_mark() -> None:
    ink = np.zeros((28, 28), np.float32)
    ink[4:24, 13:16] = 1
    ink[10, 20] = 0.5  # a stray pixel MNIST has, too
    ink[10, 8] = 0.5
    mark = _only(find_digits(ink, "auto"))
    np.testing.assert_array_equal(mark.ink, ink)
    assert mark.box == Box(8, 4, 13, 20)


def test_boxes_of_a_working_copy_are_brought_to_the_page() -> None:
    assert on_page(Box(10, 20, 30, 40), (1200, 1600), (3000, 4000, 3)) == Box(25, 50, 75, 100)
    assert on_page(Box(1, 2, 3, 4), (50, 60), (50, 60)) == Box(1, 2, 3, 4)
