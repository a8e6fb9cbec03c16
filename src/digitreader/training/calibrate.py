"""What makes confidence mean what it says, and the confidence below which a digit is unsure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from scipy.stats import beta

CERTAINTY = 0.95  # of a stated risk


def fit_temperature(logits: NDArray[np.float32], targets: NDArray[np.int64]) -> float:
    """Return the temperature that makes held-out digits most likely (Guo et al. 2017).

    Logits are float32 [N, K], targets int64 [N]; both must come from images the network was
    not trained on. The search is bounded to 0.05–20.
    """

    def loss(log_temperature: float) -> float:
        log_p = log_softmax(logits.astype(np.float64) / np.exp(log_temperature), axis=1)
        return -float(log_p[np.arange(len(targets)), targets].mean())

    found = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return float(np.exp(found.x))


def fit_threshold(
    probabilities: NDArray[np.float32], targets: NDArray[np.int64], risk: float
) -> float | None:
    """Return the least confidence from which digits are read wrong at most at that rate.

    The rate is that of the digits with at least that confidence, and it is the upper bound that
    the held-out ones support (Clopper & Pearson 1934) that has to be low enough, as in selective
    classification with guaranteed risk (Geifman & El-Yaniv 2017). Probabilities are float32
    [N, K], targets int64 [N], of images the network was not trained on. None: so few digits, or
    such bad ones, show no such confidence.
    """
    confidence = probabilities.max(axis=1)  # [N]
    order = np.argsort(-confidence, kind="stable")
    wrong = np.cumsum((probabilities.argmax(axis=1) != targets)[order])  # [N]
    answered = np.arange(1, len(targets) + 1)
    bound = beta.ppf(CERTAINTY, wrong + 1, answered - wrong)  # NaN where all are wrong
    levels = confidence[order]
    kept = np.append(levels[1:] < levels[:-1], True)  # digits of one confidence stay together
    held = np.flatnonzero(kept & (bound <= risk))
    return float(levels[held[-1]]) if held.size else None
