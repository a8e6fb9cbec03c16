"""One number that makes confidence mean what it says: the temperature (Guo et al. 2017)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax


def fit_temperature(logits: NDArray[np.float32], targets: NDArray[np.int64]) -> float:
    """Return the temperature that makes held-out digits most likely.

    Logits are float32 [N, K], targets int64 [N]; both must come from images the network was
    not trained on. The search is bounded to 0.05–20.
    """

    def loss(log_temperature: float) -> float:
        log_p = log_softmax(logits.astype(np.float64) / np.exp(log_temperature), axis=1)
        return -float(log_p[np.arange(len(targets)), targets].mean())

    found = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return float(np.exp(found.x))
