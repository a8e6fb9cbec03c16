"""Whose ink is whose: strokes that touch, cross, run on, or lie about."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from digitreader.ink import Inked
from digitreader.marks import marks_of
from digitreader.reading import Box

Ink = NDArray[np.float32]


def _ring(ink: Ink, x: int, y: int, radius: int = 14) -> Box:
    cv2.circle(ink, (x, y), radius, 1.0, 3)
    side = 2 * radius + 5
    return Box(x - radius - 2, y - radius - 2, side, side)


def _paper() -> Ink:
    return np.zeros((120, 200), np.float32)


def _inside(mark_box: Box, box: Box, within: int = 2) -> bool:
    return (
        mark_box.x >= box.x - within
        and mark_box.y >= box.y - within
        and mark_box.right <= box.right + within
        and mark_box.bottom <= box.bottom + within
    )


def test_characters_apart_are_whole() -> None:
    ink = _paper()
    boxes = [_ring(ink, 40, 60), _ring(ink, 100, 60)]
    marks = marks_of(Inked(ink, ink, ink), boxes)
    for mark, box in zip(marks, boxes, strict=True):
        assert mark.ink.shape == (mark.box.height, mark.box.width)
        np.testing.assert_allclose(mark.box, box, atol=1)
    assert sum(float(mark.ink.sum()) for mark in marks) == float(ink.sum())


def test_a_box_too_tight_cuts_nothing_off() -> None:
    ink = _paper()
    box = _ring(ink, 60, 60)
    tight = Box(box.x + 4, box.y + 4, box.width - 8, box.height - 8)
    (mark,) = marks_of(Inked(ink, ink, ink), [tight])
    np.testing.assert_allclose(mark.box, box, atol=1)
    assert float(mark.ink.sum()) == float(ink.sum())


def test_touching_characters_are_parted_between_them() -> None:
    ink = _paper()
    boxes = [_ring(ink, 60, 60), _ring(ink, 88, 60)]
    assert cv2.connectedComponents((ink > 0.1).astype(np.uint8))[0] == 2
    marks = marks_of(Inked(ink, ink, ink), boxes)
    for mark, box in zip(marks, boxes, strict=True):
        assert _inside(mark.box, box)
        assert mark.box.width > 0.9 * box.width
    assert sum(float(mark.ink.sum()) for mark in marks) == float(ink.sum())


def test_a_frame_a_rule_and_a_comma_stay_out() -> None:
    ink = _paper()
    box = _ring(ink, 60, 60)
    alone = ink.copy()
    cv2.rectangle(ink, (36, 34), (84, 86), 0.9, 1)
    cv2.line(ink, (0, 100), (199, 100), 0.9, 2)
    cv2.circle(ink, (80, 78), 1, 1.0, -1)
    (mark,) = marks_of(Inked(ink, ink, ink), [box])
    np.testing.assert_allclose(mark.box, box, atol=1)
    assert float(mark.ink.sum()) == float(alone.sum())


def test_a_broken_character_is_whole() -> None:
    ink = _paper()
    box = _ring(ink, 60, 60)
    ink[:, 58:62] = 0  # falls in two
    (mark,) = marks_of(Inked(ink, ink, ink), [box])
    assert float(mark.ink.sum()) == float(ink.sum())


def test_faint_edges_of_a_stroke_are_kept() -> None:
    ink = _paper()
    box = _ring(ink, 60, 60)
    soft = np.asarray(cv2.GaussianBlur(ink, (0, 0), 1.0), np.float32)
    (mark,) = marks_of(Inked(soft, soft, soft), [box])
    assert float(mark.ink.sum()) > 0.97 * float(soft.sum())
    assert ((mark.ink > 0) & (mark.ink < 0.1)).any()


def test_faint_writing_is_raised_from_its_contrast() -> None:
    contrast = _paper()
    box = _ring(contrast, 60, 60)
    contrast *= 0.08
    contrast += np.random.default_rng(0).uniform(0, 0.01, contrast.shape).astype(np.float32)
    (mark,) = marks_of(Inked(_paper(), contrast, contrast), [box])
    np.testing.assert_allclose(mark.box, box, atol=2)
    assert mark.ink.max() > 0.9


def test_a_box_without_ink_has_its_own_paper() -> None:
    (mark,) = marks_of(Inked(_paper(), _paper(), _paper()), [Box(20, 30, 10, 12)])
    assert mark.box == Box(20, 30, 10, 12)
    assert not mark.ink.any()
    assert marks_of(Inked(_paper(), _paper(), _paper()), []) == []
