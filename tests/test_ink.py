"""Ink: polarity, light, noise and colour, on drawn pages and on MNIST itself."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from digitreader.ink import WORKING_SIDE, ink_of, inked, working_copy
from digitreader.main_digit import main_digit

INK, PAPER = 40, 220


def _mask(size: int = 200, thickness: int = 8) -> NDArray[np.uint8]:
    """A drawn 5: 255 in the stroke, anti-aliased, on 0."""
    mask = np.zeros((size, size), np.uint8)
    points = np.array([[130, 60], [80, 60], [78, 95], [110, 92], [128, 115], [110, 140], [75, 138]])
    scaled = (points * size / 200).astype(np.int32)
    cv2.polylines(mask, [scaled], False, 255, thickness, cv2.LINE_AA)
    return mask


def _page(mask: NDArray[np.uint8], light: NDArray[np.float64] | float = PAPER) -> NDArray[np.uint8]:
    """Ink takes away most of whatever light falls on the page."""
    share = mask / 255 * (1 - INK / PAPER)
    return np.clip(np.asarray(light) * (1 - share), 0, 255).astype(np.uint8)


def _shadow(size: int = 200) -> NDArray[np.float64]:
    """Bright above, in shadow below; the edge runs through the digit, a few pixels soft."""
    ramp = 1 / (1 + np.exp((np.arange(size) - size * 0.48) / 3))
    return np.repeat((110 + 110 * ramp)[:, None], size, axis=1)


def _agreement(ink: NDArray[np.float32], mask: NDArray[np.uint8]) -> float:
    """Intersection over union of ink and drawn stroke."""
    found, drawn = ink > 0.5, mask > 127
    return float((found & drawn).sum() / (found | drawn).sum())


def test_ink_of_a_clean_page_is_linear() -> None:
    mask = _mask()
    np.testing.assert_array_equal(ink_of(mask), (mask / np.float32(255)).astype(np.float32))
    np.testing.assert_array_equal(ink_of(255 - mask), ink_of(mask))


def test_mnist_is_its_own_ink() -> None:
    if "DIGITREADER_DATA" not in os.environ:
        pytest.skip("DIGITREADER_DATA names no data folder")
    path = Path(os.environ["DIGITREADER_DATA"]) / "mnist" / "train-images-idx3-ubyte.gz"
    if not path.exists():
        pytest.skip("the data folder has no MNIST")
    pictures = np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=16)
    for picture in pictures.reshape(-1, 28, 28)[::60]:
        np.testing.assert_array_equal(ink_of(picture), picture.astype(np.float32) / 255)
        np.testing.assert_array_equal(ink_of(255 - picture), picture.astype(np.float32) / 255)


@pytest.mark.parametrize("light", [PAPER, _shadow()], ids=["even", "shadow"])
@pytest.mark.parametrize("noise", [0, 4])
@pytest.mark.parametrize("turned", [False, True], ids=["dark ink", "bright ink"])
def test_ink_is_the_drawn_stroke(
    light: NDArray[np.float64] | float, noise: float, turned: bool
) -> None:
    mask = _mask()
    grain = np.random.default_rng(0).normal(0, noise, mask.shape)
    page = np.clip(_page(mask, light) + grain, 0, 255).astype(np.uint8)
    ink = ink_of(255 - page if turned and light is PAPER else page)
    assert _agreement(ink, mask) > 0.85
    far = cv2.dilate(mask, np.ones((15, 15), np.uint8)) == 0
    assert not (ink[far] > 0.2).any()


@settings(max_examples=30)
@given(
    paper=st.integers(0, 255),
    slope=st.floats(0, 90),
    noise=st.floats(0, 5),
    seed=st.integers(0, 9),
    colour=st.booleans(),
)
def test_a_blank_page_has_no_ink_that_could_be_a_digit(
    paper: int, slope: float, noise: float, seed: int, colour: bool
) -> None:
    rng = np.random.default_rng(seed)
    size = (160, 120, 3) if colour else (160, 120)
    ramp = np.linspace(0, slope, 160).reshape(-1, *[1] * (len(size) - 1))
    grain = cv2.GaussianBlur(rng.normal(0, noise, size), (3, 3), 0)  # as a camera's
    page = np.clip(max(paper, slope + 60) - ramp + grain, 0, 255).astype(np.uint8)
    assert main_digit(ink_of(page)) is None


def test_a_shadow_alone_is_no_ink() -> None:
    page = _shadow() + np.random.default_rng(1).normal(0, 2, (200, 200))
    ink = ink_of(np.clip(page, 0, 255).astype(np.uint8))
    assert (ink > 0.35).mean() == 0


@pytest.mark.parametrize("paper", [(255, 255, 255), (0, 0, 0)], ids=["white", "black"])
@pytest.mark.parametrize(
    "pen",
    [(255, 0, 0), (0, 160, 0), (30, 60, 220), (255, 140, 0), (200, 0, 200), (0, 170, 170)],
)
def test_ink_of_any_colour_survives(paper: tuple[int, ...], pen: tuple[int, ...]) -> None:
    mask = _mask()
    share = mask[..., None] / 255
    page = (np.array(paper) * (1 - share) + np.array(pen) * share).astype(np.uint8)
    assert _agreement(ink_of(page), mask) > 0.9


@pytest.mark.parametrize("shadowed", [False, True])
@pytest.mark.parametrize("frame", [(235, 40, 30), (40, 160, 70), (250, 150, 60)])
def test_a_coloured_frame_hardly_shows_in_black(frame: tuple[int, ...], shadowed: bool) -> None:
    """The frame has contrast, as the digit has; in black the digit is left."""
    tinted = np.full((200, 200, 3), (250, 244, 225), np.float64)
    page = tinted * (_shadow() / 255)[..., None] if shadowed else tinted
    drawn = np.zeros((200, 200), np.uint8)
    cv2.rectangle(drawn, (40, 30), (170, 170), 255, 6)
    page = np.where(drawn[..., None] > 0, page * np.array(frame) / 255, page)
    page = np.where(_mask()[..., None] > 127, page * 0.15, page)
    writing = inked(page.astype(np.uint8))
    digit, lines = _mask() > 127, drawn > 0
    assert (writing.black <= writing.contrast).all()
    assert np.median(writing.contrast[lines]) > 0.3
    assert np.median(writing.black[digit]) > 0.6
    assert np.median(writing.black[lines]) < 0.6 * np.median(writing.contrast[lines])


def test_a_grey_page_is_as_black_as_its_contrast() -> None:
    page = _page(_mask(), _shadow())
    writing = inked(page)
    np.testing.assert_array_equal(writing.black, writing.contrast)
    in_colour = inked(np.dstack([page] * 3))
    np.testing.assert_allclose(in_colour.black, in_colour.contrast, atol=0.02)


def test_faint_pencil_comes_out_bright() -> None:
    mask = _mask()
    page = (230 - 30.0 * mask / 255).astype(np.uint8)
    ink = ink_of(page)
    assert ink.max() == 1
    assert _agreement(ink, mask) > 0.9


def test_turning_a_photo_over_keeps_its_strokes() -> None:
    grain = np.random.default_rng(2).normal(0, 2, (200, 200))
    vignette = 220 - 60 * np.hypot(*np.meshgrid(*[np.linspace(-1, 1, 200)] * 2)) ** 2
    page = np.clip(_page(_mask(), vignette) + grain, 0, 255).astype(np.uint8)
    assert _agreement(ink_of(255 - page), _mask()) > 0.8


def test_jpeg_blocks_round_a_stroke_are_no_ink() -> None:
    mask = _mask(28, 2)
    _, packed = cv2.imencode(".jpg", 255 - mask, [cv2.IMWRITE_JPEG_QUALITY, 80])
    ink = ink_of(np.asarray(cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE), np.uint8))
    far = cv2.dilate(mask, np.ones((5, 5), np.uint8)) == 0
    assert not (ink[far] > 0.15).any()


def test_working_copy_shrinks_only_large_pages() -> None:
    small = np.zeros((300, 200, 3), np.uint8)
    assert working_copy(small) is small
    large = np.zeros((3000, 4000), np.uint8)
    assert working_copy(large).shape == (1200, WORKING_SIDE)
    sliver = np.zeros((1, 5000), np.uint8)
    assert working_copy(sliver).shape == (1, WORKING_SIDE)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 2), (2, 2, 3), (7, 300)])
def test_tiny_pages_are_read_too(shape: tuple[int, ...]) -> None:
    page = np.full(shape, 255, np.uint8)
    assert ink_of(page).shape == shape[:2]
    page[0, 0] = 0
    ink = ink_of(page)
    assert ink.shape == shape[:2]
    assert ((ink >= 0) & (ink <= 1)).all()
