"""Harmed digits are harmed in the way that is meant, as many as are meant, the same every time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

keras = pytest.importorskip("keras")
pytest.importorskip("tensorflow")

from digitreader.training import harms  # noqa: E402
from digitreader.training.harms import Chance  # noqa: E402

PLACES = np.linspace(-0.99, 0.99, 200).astype(np.float32)


def made(harm: Any, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Images harmed in one way, each by another place in the stock."""
    harmed = harm(images, Chance(PLACES[: len(images)]))
    return np.asarray(np.clip(keras.ops.convert_to_numpy(harmed), 0, 1), np.float32)


@pytest.fixture(scope="module")
def images(optdigits: Any) -> NDArray[np.float32]:
    return np.asarray(np.float32(1 / 255) * optdigits[0][:200], np.float32)


@pytest.mark.parametrize("harm", harms.HARMS)
def test_each_harm_changes_digits_and_leaves_them_there(
    harm: Any, images: NDArray[np.float32]
) -> None:
    seen = made(harm, images)
    assert seen.shape == images.shape
    assert np.isfinite(seen).all()
    assert (np.abs(seen - images).max(axis=(1, 2)) > 0.05).mean() > 0.9
    likeness = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(seen, images, strict=True)]
    assert np.mean(likeness) > 0.25
    np.testing.assert_array_equal(seen, made(harm, images))


def test_the_last_of_a_batch_are_harmed_as_many_in_each_way(images: NDArray[np.float32]) -> None:
    seen = keras.ops.convert_to_numpy(harms.harmed(images, PLACES, 0.5))
    each = 100 // len(harms.HARMS)
    whole = 200 - each * len(harms.HARMS)
    np.testing.assert_array_equal(seen[:whole], images[:whole])
    expected = [
        np.clip(harm(images[i : i + each], Chance(PLACES[i : i + each])), 0, 1)
        for harm, i in zip(harms.HARMS, range(whole, 200, each), strict=True)
    ]
    np.testing.assert_allclose(seen[whole:], np.concatenate(expected), atol=1e-6)
    numbers = [0] * whole + [i for i in range(1, len(harms.HARMS) + 1) for _ in range(each)]
    np.testing.assert_array_equal(harms.kinds(200, 0.5), numbers)


def test_numbers_of_chance_are_even_and_differ() -> None:
    chance = Chance(PLACES)
    first, second = (np.asarray(chance.numbers(50)) for _ in range(2))
    assert 0 <= first.min() < 0.01
    assert 0.99 < first.max() < 1
    assert abs(first.mean() - 0.5) < 0.02
    assert not (first == second).any()
    low = np.asarray(chance.uniform(3, 5))
    assert low.shape == (200, 1, 1)
    assert 3 <= low.min() < 3.1
    assert 4.9 < low.max() < 5


def test_pepper_is_black_or_white_on_at_most_three_tenths(images: NDArray[np.float32]) -> None:
    grey = np.full_like(images, 0.5)
    seen = made(harms.peppered, grey)
    assert set(np.unique(seen)) == {0, 0.5, 1}
    shares = (seen != 0.5).mean(axis=(1, 2))
    assert shares.max() < 0.36
    assert abs(shares.mean() - 0.15) < 0.03
    assert abs((seen[seen != 0.5] == 1).mean() - 0.5) < 0.02


def test_a_band_is_inverted_between_two_parallels(images: NDArray[np.float32]) -> None:
    seen = made(harms.banded, np.zeros_like(images))
    assert set(np.unique(seen)) == {0, 1}
    for band in seen[seen.sum(axis=(1, 2)) > 30]:
        places = np.argwhere(band == 1)
        across = np.linalg.eigvalsh(np.cov(places.T))[0]  # of a band the deviation is width / √12
        assert across < (2 * 6) ** 2 / 12 + 1
    np.testing.assert_allclose(made(harms.banded, np.ones_like(images)), 1 - seen)


def test_lines_are_thin_and_of_one_colour(images: NDArray[np.float32]) -> None:
    seen = made(harms.lined, np.full_like(images, 0.5))
    for line in seen:
        assert (line >= 0.5).all() or (line <= 0.5).all()
        assert (line != 0.5).mean() < 0.35  # soft edges and all
    assert {0, 1} < set(np.unique(seen))


def test_a_smear_loses_no_ink_and_is_wider(images: NDArray[np.float32]) -> None:
    dot = np.zeros_like(images)
    dot[:, 13:15, 13:15] = 1
    seen = made(harms.smeared, dot)
    np.testing.assert_allclose(seen.sum(axis=(1, 2)), 4, rtol=1e-4)
    assert (np.count_nonzero(seen > 0.01, axis=(1, 2)) > 6).mean() > 0.8


def test_light_keeps_ink_brighter_than_the_ground_it_is_on(images: NDArray[np.float32]) -> None:
    square = np.zeros_like(images)
    square[:, 10:18, 10:18] = 1
    seen = made(harms.misted, square)
    assert (seen[:, 10:18, 10:18].mean(axis=(1, 2)) > seen[:, :8].mean(axis=(1, 2))).all()
    assert (seen[:, :8].mean(axis=(1, 2)) > 0.05).mean() > 0.8


def test_outlines_of_a_square_by_hand(images: NDArray[np.float32]) -> None:
    square = np.zeros_like(images)
    square[:, 10:18, 10:18] = 1
    outside = np.zeros_like(square)
    outside[:, 9:19, 9:19] = 1
    inside = square.copy()
    inside[:, 11:17, 11:17] = 0
    seen = made(harms.outlined, square)
    outer = [np.array_equal(a, b) for a, b in zip(seen, outside - square, strict=True)]
    inner = [np.array_equal(a, b) for a, b in zip(seen, inside, strict=True)]
    assert all(a != b for a, b in zip(outer, inner, strict=True))
    assert 60 < sum(outer) < 140
