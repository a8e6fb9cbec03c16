"""Percentiles are NumPy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from digitreader.levels import nearest_percentile, percentile, percentile_of_sorted

percents = st.floats(0, 100)
shapes = arrays.array_shapes(min_dims=1, max_dims=2, max_side=40)


@given(arrays.arrays(np.uint8, shapes), percents)
def test_a_percentile_is_numpys(values: np.ndarray, percent: float) -> None:
    assert percentile(values, percent) == pytest.approx(np.percentile(values, percent))
    nearest = np.percentile(values, percent, method="nearest")
    assert nearest_percentile(values, percent) == nearest
    along = percentile_of_sorted(np.sort(values, axis=-1), percent)
    np.testing.assert_allclose(along, np.percentile(values, percent, axis=-1))


@given(arrays.arrays(np.float32, shapes, elements=st.floats(0, 1, width=32)), percents)
def test_a_percentile_of_fractions_is_numpys(values: np.ndarray, percent: float) -> None:
    assert percentile(values, percent) == pytest.approx(np.percentile(values, percent), abs=1e-6)
