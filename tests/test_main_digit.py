"""The main digit of a picture: drawn pictures in which it is known."""

from __future__ import annotations

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from digitreader.ink import ink_of
from digitreader.main_digit import main_digit
from digitreader.marks import Mark
from digitreader.reading import Box

HEIGHT = 60  # of a written digit, about

Page = NDArray[np.uint8]


def _blank(height: int = 200, width: int = 200) -> Page:
    return np.full((height, width), 255, np.uint8)


def _write(page: Page, digit: str, x: int, y: int) -> Box:
    """Write a digit and say where its darkness lies."""
    alone = np.full_like(page, 255)
    place = (x, y + HEIGHT)
    cv2.putText(alone, digit, place, cv2.FONT_HERSHEY_SIMPLEX, HEIGHT / 22, 0, 4, cv2.LINE_AA)
    np.minimum(page, alone, out=page)
    return Box(*(int(v) for v in cv2.boundingRect((alone < 200).astype(np.uint8))))


def _main(page: Page) -> Mark:
    mark = main_digit(ink_of(page))
    assert mark is not None
    return mark


def _assert_same(found: Box, drawn: Box, within: int = 2) -> None:
    corners = (found.x, found.y, found.right, found.bottom)
    np.testing.assert_allclose(corners, (drawn.x, drawn.y, drawn.right, drawn.bottom), atol=within)


def test_a_broken_digit_is_one() -> None:
    """A 5 whose bar was written apart and whose belly is dotted."""
    page = _blank()
    cv2.line(page, (85, 48), (130, 45), 0, 7)
    cv2.line(page, (80, 58), (78, 90), 0, 7)
    cv2.ellipse(page, (95, 120), (32, 32), 0, -120, 40, 0, 7)
    cv2.ellipse(page, (95, 120), (32, 32), 0, 60, 140, 0, 7)
    box = Box(*(int(v) for v in cv2.boundingRect((page < 200).astype(np.uint8))))
    _assert_same(_main(page).box, box)


def test_it_is_alone() -> None:
    page = _blank()
    main = _write(page, "3", 75, 70)
    cv2.line(page, (3, 0), (3, 199), 0, 4)  # the edge of a form's box
    cv2.circle(page, (150, 130), 3, 0, -1)  # a full stop
    _write(page, "8", 178, 70)  # the next digit, cut off
    _assert_same(_main(page).box, main)


def test_a_neighbours_stroke_is_not_in_it() -> None:
    page = _blank(200, 240)
    cv2.line(page, (80, 150), (160, 40), 0, 6)
    cv2.line(page, (150, 160), (220, 60), 0, 4)
    mark = _main(page)
    assert mark.box.right > 150  # the other's box reaches under it
    count, _ = cv2.connectedComponents((mark.ink > 0.3).astype(np.uint8))
    assert count == 2  # paper and one stroke
    assert mark.ink.shape == (mark.box.height, mark.box.width)


def test_a_tall_thin_stroke_is_a_one() -> None:
    page = _blank()
    cv2.line(page, (100, 40), (98, 160), 0, 4)
    mark = _main(page)
    assert mark.box.height > 110
    assert mark.box.width < 12


def test_a_ruled_line_is_taken_out_and_strokes_that_cross_it_stay() -> None:
    page = _blank()
    drawn = _write(page, "8", 75, 70)
    page[20::45] = np.minimum(page[20::45], 170)
    _assert_same(_main(page).box, drawn, within=3)


def test_no_ink_no_digit() -> None:
    for shape in ((1, 1), (28, 28), (300, 200)):
        assert main_digit(np.zeros(shape, np.float32)) is None


@settings(max_examples=15)
@given(st.tuples(*[st.integers(0, 60)] * 4), st.sampled_from([1, 2, 3]))
def test_padding_and_enlarging_move_the_box_only(pads: tuple[int, ...], times: int) -> None:
    page = _blank(160, 160)
    box = _write(page, "6", 50, 40)
    above, below, left, right = pads
    padded = np.pad(page, ((above, below), (left, right)), constant_values=255)
    large = np.kron(padded, np.ones((times, times), np.uint8))
    moved = Box(*(times * v for v in (box.x + left, box.y + above, box.width, box.height)))
    _assert_same(_main(large).box, moved, within=2 * times)


def test_a_picture_in_mnist_form_is_one_untouched_mark() -> None:
    ink = np.zeros((28, 28), np.float32)
    ink[4:24, 13:16] = 1
    ink[10, 20] = 0.5  # a stray pixel MNIST has, too
    ink[10, 8] = 0.5
    mark = main_digit(ink)
    assert mark is not None
    np.testing.assert_array_equal(mark.ink, ink)
    assert mark.box == Box(8, 4, 13, 20)
