"""One row for the runs of a recipe with several seeds."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any


def over_seeds(rows: Sequence[dict[str, Any]], *keys: str) -> dict[str, Any]:
    """Mean and standard deviation of the runs' accuracy, and the means of other figures."""
    accuracies = [row["accuracy"] for row in rows]
    return {
        "seeds": len(rows),
        "accuracy_mean": statistics.mean(accuracies),
        "accuracy_sd": statistics.stdev(accuracies) if len(rows) > 1 else None,
        **{f"{key}_mean": statistics.mean(row[key] for row in rows) for key in keys},
    }
