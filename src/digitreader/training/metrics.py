"""Numbers about predictions: how often right, how sure, and of what."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 15  # of confidence, as most papers since Guo et al. 2017 have
COVERAGES = (0.8, 0.9, 0.95, 0.98, 0.99, 1.0)  # shares of the digits that are answered


@dataclass(frozen=True, eq=False)
class Reliability:
    """How often predictions were right that were so sure: [BINS] each, of equal width over 0–1.

    `confidence` and `accuracy` are means of a bin, 0 where `counts` is.
    """

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    counts: NDArray[np.int64]

    @property
    def error(self) -> float:
        """Expected calibration error: the bins' mean gap, weighted by their counts."""
        gaps = np.abs(self.confidence - self.accuracy)
        return float(gaps @ self.counts / self.counts.sum())

    def as_dict(self) -> dict[str, Any]:
        return {
            "ece": self.error,
            "confidence": self.confidence.tolist(),
            "accuracy": self.accuracy.tolist(),
            "counts": self.counts.tolist(),
        }


@dataclass(frozen=True, eq=False)
class Scores:
    """A model's results on a set of labelled digits.

    `confusion` counts [true, predicted]. `interval` is the accuracy's 95% Wilson interval
    (Wilson 1927), which stays within 0–1 however few the errors are; `loss` is the mean
    negative log-likelihood in nats, with the half-width of its 95% interval.
    """

    n: int
    accuracy: float
    interval: tuple[float, float]
    loss: float
    loss_margin: float
    confusion: NDArray[np.int64]
    reliability: Reliability
    labels: tuple[str, ...]

    @property
    def errors(self) -> int:
        """How many were not given their right class."""
        return self.n - int(np.trace(self.confusion))

    @property
    def per_class(self) -> list[dict[str, Any]]:
        """Precision, recall, F1 and count of each class; 0 where nothing was predicted."""
        rows = []
        for i, label in enumerate(self.labels):
            right = int(self.confusion[i, i])
            support = int(self.confusion[i].sum())
            predicted = int(self.confusion[:, i].sum())
            precision = right / predicted if predicted else 0.0
            recall = right / support if support else 0.0
            f1 = 2 * right / (predicted + support) if right else 0.0
            rows.append(
                {
                    "label": label,
                    "precision": precision,
                    "recall": recall,
                    "f1": f1,
                    "n": support,
                }
            )
        return rows

    def as_dict(self) -> dict[str, Any]:
        return {
            "n": self.n,
            "errors": self.errors,
            "accuracy": self.accuracy,
            "accuracy_95": list(self.interval),
            "loss": self.loss,
            "loss_95": [self.loss - self.loss_margin, self.loss + self.loss_margin],
            "reliability": self.reliability.as_dict(),
            "per_class": self.per_class,
            "confusion": self.confusion.tolist(),
        }

    def summary(self) -> str:
        """Return one line for people."""
        low, high = (100 * bound for bound in self.interval)
        return (
            f"accuracy: {100 * self.accuracy:.2f}% (95% interval {low:.2f}–{high:.2f}), "
            f"loss: {self.loss:.4f} ± {self.loss_margin:.4f}, n = {self.n:,}"
        )


def score(
    probabilities: NDArray[np.float32], targets: NDArray[np.int64], labels: tuple[str, ...]
) -> Scores:
    """Compare probabilities, float32 [N, K], with the right classes, int64 [N]."""
    n, k = probabilities.shape
    predicted = probabilities.argmax(axis=1)  # [N]
    confusion = np.zeros((k, k), np.int64)
    np.add.at(confusion, (targets, predicted), 1)
    right = int(np.trace(confusion))
    of_truth = probabilities[np.arange(n), targets].astype(np.float64)  # [N]
    losses = -np.log(np.maximum(of_truth, np.finfo(np.float32).tiny))
    margin = 1.96 * float(losses.std(ddof=1)) / sqrt(n) if n > 1 else float("inf")
    return Scores(
        n,
        right / n,
        wilson(right, n),
        float(losses.mean()),
        margin,
        confusion,
        reliability(probabilities, targets),
        labels,
    )


def reliability(probabilities: NDArray[np.float32], targets: NDArray[np.int64]) -> Reliability:
    """Sort predictions, float32 [N, K], into bins of confidence; targets are int64 [N]."""
    sure = probabilities.max(axis=1).astype(np.float64)  # [N]
    right = probabilities.argmax(axis=1) == targets
    bins = np.clip(np.ceil(sure * BINS).astype(int) - 1, 0, BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    sums = (np.bincount(bins, weights=of, minlength=BINS) for of in (sure, right))
    confidence, accuracy = (total / np.maximum(counts, 1) for total in sums)
    return Reliability(confidence, accuracy, counts)


def selective(
    probabilities: NDArray[np.float32], targets: NDArray[np.int64]
) -> list[dict[str, Any]]:
    """Tell how many errors are left where only the surest digits are answered (Geifman 2017).

    Probabilities are float32 [N, K], targets int64 [N]. A row for each share of COVERAGES that
    is answered: how sure its last digit is, and the errors among them.
    """
    confidence = probabilities.max(axis=1)  # [N]
    order = np.argsort(-confidence, kind="stable")
    wrong = np.cumsum((probabilities.argmax(axis=1) != targets)[order])  # [N]
    rows = []
    for share in COVERAGES:
        n = max(1, round(share * len(targets)))
        errors = int(wrong[n - 1])
        rows.append(
            {
                "coverage": share,
                "n": n,
                "confidence": float(confidence[order[n - 1]]),
                "errors": errors,
                "risk": errors / n,
            }
        )
    return rows


def wilson(right: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Return the Wilson score interval of a share; z = 1.96 makes it 95%."""
    share = right / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, middle - half), min(1.0, middle + half)
