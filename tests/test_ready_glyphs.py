"""Pictures that are glyphs already: told at once as the usual way tells them, and read alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from digitreader.glyphs import is_glyph, to_glyph
from digitreader.ink import inked
from digitreader.reader import Reader
from digitreader.ready_glyphs import glyphs_among
from digitreader.sources import Page

Pictures = NDArray[np.uint8]


@pytest.fixture(scope="module")
def digits(optdigits: Any) -> Pictures:
    pictures: Pictures = optdigits[0][:200]
    return pictures


def test_real_glyphs_are_known_in_either_polarity(digits: Pictures) -> None:
    by_way_of_ink = [i for i, one in enumerate(digits) if is_glyph(inked(one).ink)]
    for pictures in (digits, 255 - digits):
        found = glyphs_among(list(pictures))
        assert set(found) <= set(by_way_of_ink)
        assert len(found) > 0.9 * len(by_way_of_ink)
        for i, glyph in found.items():
            np.testing.assert_array_equal(glyph, digits[i])


@given(
    seed=st.integers(0, 2**32 - 1),
    noise=st.sampled_from([0, 0, 1, 5, 20]),
    strength=st.floats(0.05, 1),
    paper=st.integers(0, 40),
    specks=st.integers(0, 15),
    moved=st.integers(-2, 2),
    inverted=st.booleans(),
)
def test_whatever_is_called_a_glyph_is_one(  # noqa: PLR0917
    digits: Pictures, seed: int, noise: int, strength: float, paper: int, specks: int,
    moved: int, inverted: bool,
) -> None:  # fmt: skip
    """The usual way makes the very same glyph of it, however the picture was harmed."""
    rng = np.random.default_rng(seed)
    picture = np.roll(digits[rng.integers(len(digits))], moved, axis=rng.integers(2))
    picture = paper + strength * picture + noise * rng.normal(size=picture.shape)
    picture[tuple(rng.integers(0, 28, (2, specks)))] = 200
    pixels = np.clip(picture, 0, 255).astype(np.uint8)
    pixels = 255 - pixels if inverted else pixels
    for glyph in glyphs_among([pixels]).values():
        ink = inked(pixels).ink
        assert is_glyph(ink)
        np.testing.assert_array_equal(to_glyph(ink), glyph)


def test_pictures_of_any_size_may_be_among_them(digits: Pictures) -> None:
    colour = np.dstack([digits[0]] * 3)
    large = np.zeros((300, 200), np.uint8)
    assert set(glyphs_among([large, digits[0], colour, digits[1], large])) <= {1, 3}
    assert glyphs_among([large, colour]) == {}
    assert glyphs_among([]) == {}


def test_many_pages_are_read_as_one_by_one(digits: Pictures, examples: Any) -> None:
    from digitreader.sources import open_pages

    reader = Reader()
    pages = [Page(one, f"{i}.png") for i, one in enumerate(digits[:40])]
    pages += [Page(np.zeros((28, 28), np.uint8), "blank.png")]
    pages += [Page(255 - digits[3], "table.csv", 7, glyph=True)]
    pages += [page for path in examples for page in open_pages(path)]
    together = reader.read_batch(pages[::-1])[::-1]
    for page, reading in zip(pages, together, strict=True):
        alone = reader.read_page(page)
        assert (reading.source, reading.page) == (page.source, page.number)
        assert (reading.lines, reading.status) == (alone.lines, alone.status)
        for ours, theirs in zip(reading.digits, alone.digits, strict=True):
            assert (ours.label, ours.box) == (theirs.label, theirs.box)
            np.testing.assert_allclose(ours.probabilities, theirs.probabilities, atol=1e-5)
    assert reader.read_batch([]) == []
