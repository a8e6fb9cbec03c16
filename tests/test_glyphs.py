"""Glyphs: MNIST's form, checked against Pillow's box filter, OpenCV's moments and MNIST itself."""

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
from PIL import Image

from digitreader.glyphs import BOX, CENTRE, SIDE, centre_of_mass, is_glyph, to_glyph


def _digit(height: int, width: int, thickness: int) -> NDArray[np.float32]:
    """A drawn 2 that fills [height, width]."""
    ink = np.zeros((height, width), np.uint8)
    m = thickness
    corners = [(m, m), (width - m, m), (width - m, height // 2), (m, height - m)]
    corners.append((width - m, height - m))
    cv2.polylines(ink, [np.array(corners, np.int32)], False, 255, thickness, cv2.LINE_AA)
    return (ink / np.float32(255)).astype(np.float32)


def _extent(glyph: NDArray[np.uint8]) -> int:
    return max(int(np.ptp(np.nonzero(glyph.any(axis=axis))[0])) + 1 for axis in (0, 1))


@settings(max_examples=40)
@given(
    height=st.integers(30, 300),
    width=st.integers(20, 300),
    thickness=st.integers(4, 12),
    around=st.integers(0, 40),
)
def test_a_glyph_has_box_and_centre(height: int, width: int, thickness: int, around: int) -> None:
    ink = _digit(height, width, thickness)
    glyph = to_glyph(np.pad(ink, around))
    assert glyph.shape == (SIDE, SIDE)
    assert glyph.dtype == np.uint8
    assert _extent(glyph) in (BOX - 1, BOX)  # faint edges may round to nothing
    moments = cv2.moments(glyph)
    for first in ("m10", "m01"):
        assert abs(moments[first] / moments["m00"] + 0.5 - CENTRE) <= 0.55
    np.testing.assert_array_equal(glyph, to_glyph(ink))


@pytest.mark.parametrize("times", [2, 3, 5, 10])
def test_reduction_averages_areas_as_pillow_does(times: int) -> None:
    ink = _digit(BOX * times, 14 * times, 3 * times)
    ink[0, 0] = ink[-1, -1] = 1  # so that the ink's box is the whole array
    small = Image.fromarray(ink).resize((14, BOX), Image.Resampling.BOX)
    expected = np.asarray(small, np.float32) * 255
    glyph = to_glyph(ink).astype(np.float32)
    rows, columns = (np.nonzero(glyph.any(axis=axis))[0][0] for axis in (1, 0))
    np.testing.assert_allclose(glyph[rows : rows + BOX, columns : columns + 14], expected, atol=1)


@settings(max_examples=20)
@given(st.integers(0, 2**31), st.sampled_from([2, 3, 4, 7]))
def test_whole_factors_and_padding_change_nothing(seed: int, times: int) -> None:
    rng = np.random.default_rng(seed)
    ink = _digit(60, int(rng.integers(20, 60)), int(rng.integers(4, 9)))
    large = np.kron(np.pad(ink, int(rng.integers(0, 9))), np.ones((times, times)))
    difference = to_glyph(large.astype(np.float32)).astype(int) - to_glyph(ink)
    assert np.abs(difference).max() <= 1


def test_centre_of_mass_is_that_of_the_moments() -> None:
    ink = np.random.default_rng(0).random((17, 23)).astype(np.float32)
    moments = cv2.moments(ink)
    y, x = centre_of_mass(ink)
    assert y == pytest.approx(moments["m01"] / moments["m00"] + 0.5, abs=1e-3)
    assert x == pytest.approx(moments["m10"] / moments["m00"] + 0.5, abs=1e-3)


@pytest.mark.parametrize("pen", [1, 2, 4, 20, 60])
def test_any_pen_gives_bright_strokes(pen: int) -> None:
    """A hair-thin line on a large sheet is as bright as a marker's."""
    glyph = to_glyph(_digit(400, 300, pen))
    assert np.percentile(glyph[glyph > 0], 70) >= 0.75 * 255


def test_faint_ink_gives_the_same_glyph() -> None:
    ink = _digit(60, 40, 3)
    np.testing.assert_allclose(
        to_glyph(ink * np.float32(0.2)).astype(int), to_glyph(ink * np.float32(0.6)), atol=1
    )


def test_no_ink_gives_an_empty_glyph() -> None:
    assert not to_glyph(np.zeros((28, 28), np.float32)).any()
    assert not to_glyph(np.zeros((5, 400), np.float32)).any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (2, 3)])
def test_slivers_become_glyphs(shape: tuple[int, int]) -> None:
    glyph = to_glyph(np.ones(shape, np.float32))
    assert glyph.max() == 255
    assert _extent(glyph) == BOX


def test_mnist_stays_as_it_is() -> None:
    pictures = _mnist()
    ink = pictures.astype(np.float32) / 255
    assert all(is_glyph(one) for one in ink)
    for picture, one in zip(pictures[::20], ink[::20], strict=True):
        np.testing.assert_array_equal(to_glyph(one), picture)


def test_mnist_cut_out_and_enlarged_finds_its_place_again() -> None:
    """Off centre and four times as large, 97% come back within 2 grey levels."""
    pictures = _mnist()[::60]
    back = [
        np.abs(to_glyph(np.kron(np.pad(one, (0, 9)), np.ones((4, 4), np.float32))) - one * 255)
        for one in pictures.astype(np.float32) / 255
    ]
    assert np.mean([difference.max() <= 2 for difference in back]) > 0.97


def _mnist() -> NDArray[np.uint8]:
    if "DIGITREADER_DATA" not in os.environ:
        pytest.skip("DIGITREADER_DATA names no data folder")
    path = Path(os.environ["DIGITREADER_DATA"]) / "mnist" / "train-images-idx3-ubyte.gz"
    if not path.exists():
        pytest.skip("the data folder has no MNIST")
    pictures = np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=16)
    return pictures.reshape(-1, 28, 28)
