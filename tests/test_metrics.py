"""Our numbers against scikit-learn's and SciPy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from digitreader.training.metrics import BINS, reliability, score, wilson

LABELS = tuple("abcd")


@pytest.fixture(scope="module")
def predictions() -> Any:
    rng = np.random.default_rng(3)
    probabilities = rng.dirichlet(np.ones(4), 500).astype(np.float32)
    targets = np.where(rng.random(500) < 0.6, probabilities.argmax(1), rng.integers(0, 4, 500))
    return probabilities, targets


def test_scores_against_scikit_learn(predictions: Any) -> None:
    from sklearn import metrics as oracle

    probabilities, targets = predictions
    predicted = probabilities.argmax(1)
    scores = score(probabilities, targets, LABELS)
    assert scores.n == 500
    assert scores.accuracy == oracle.accuracy_score(targets, predicted)
    assert scores.loss == pytest.approx(oracle.log_loss(targets, probabilities), rel=1e-5)
    np.testing.assert_array_equal(scores.confusion, oracle.confusion_matrix(targets, predicted))
    expected = oracle.precision_recall_fscore_support(targets, predicted)
    got = [[row[key] for row in scores.per_class] for key in ("precision", "recall", "f1", "n")]
    np.testing.assert_allclose(got, expected)


def test_a_class_that_never_occurs_scores_zero() -> None:
    probabilities = np.array([[1, 0, 0, 0], [0.6, 0.4, 0, 0]], np.float32)
    rows = score(probabilities, np.array([0, 1]), LABELS).per_class
    assert rows[3] == {"label": "d", "precision": 0.0, "recall": 0.0, "f1": 0.0, "n": 0}


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_against_scipy(counts: tuple[int, int]) -> None:
    from scipy.stats import binomtest

    right, n = counts
    oracle = binomtest(right, n).proportion_ci(method="wilson")
    np.testing.assert_allclose(wilson(right, n, z=1.959963984540054), oracle, atol=1e-9)


def test_the_summary_says_accuracy_interval_loss_and_n(predictions: Any) -> None:
    summary = score(predictions[0], predictions[1], LABELS).summary()
    assert summary.startswith("accuracy: ")
    assert "95% interval" in summary
    assert "n = 500" in summary


def test_the_temperature_undoes_overconfidence() -> None:
    from digitreader.training.calibrate import fit_temperature

    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20_000, 5))
    powers = np.exp(logits)
    targets = np.array([rng.choice(5, p=row / row.sum()) for row in powers])
    overconfident = (3.0 * logits).astype(np.float32)
    assert fit_temperature(overconfident, targets) == pytest.approx(3.0, rel=0.05)


def test_the_threshold_keeps_its_risk_and_no_higher_one_would_answer_more() -> None:
    from scipy.stats import binom

    from digitreader.training.calibrate import fit_threshold

    rng = np.random.default_rng(0)
    sure = np.round(rng.uniform(0.5, 1, 20_000) ** 0.2, 3).astype(np.float32)  # many are equal
    probabilities = np.stack([sure, 1 - sure], axis=1)
    targets = (rng.random(20_000) > sure).astype(np.int64)
    threshold = fit_threshold(probabilities, targets, 0.02)
    assert threshold is not None
    safe = []
    for level in np.unique(sure):
        kept = sure >= level
        errors, n = int(targets[kept].sum()), int(kept.sum())
        safe += [level] * bool(binom.cdf(errors, n, 0.02) <= 0.05)  # so few by chance: unlikely
    assert threshold == min(safe)
    assert 0.9 < threshold < 1


def test_too_few_digits_show_no_threshold() -> None:
    from digitreader.training.calibrate import fit_threshold

    certain = np.array([[1, 0]] * 100, np.float32)
    assert fit_threshold(certain, np.zeros(100, np.int64), 0.003) is None
    assert fit_threshold(certain, np.ones(100, np.int64), 0.5) is None
    assert fit_threshold(certain, np.zeros(100, np.int64), 0.03) == 1


def test_reliability_against_scikit_learn(predictions: Any) -> None:
    from sklearn.calibration import calibration_curve

    probabilities, targets = predictions
    told = reliability(probabilities, targets)
    right = probabilities.argmax(1) == targets
    true, sure = calibration_curve(right, probabilities.max(1), n_bins=BINS)
    np.testing.assert_allclose(told.accuracy[told.counts > 0], true)
    np.testing.assert_allclose(told.confidence[told.counts > 0], sure, rtol=1e-6)
    assert told.counts.sum() == 500


def test_the_calibration_error_of_known_cases() -> None:
    always = np.array([[0.9, 0.1]] * 10, np.float32)
    assert reliability(always, np.array([0] * 9 + [1])).error == pytest.approx(0, abs=1e-6)
    assert reliability(always, np.array([1] * 10)).error == pytest.approx(0.9)
    certain = np.array([[1.0, 0.0], [1.0, 0.0]], np.float32)
    assert reliability(certain, np.array([0, 1])).error == pytest.approx(0.5)
