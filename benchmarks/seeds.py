"""Runs of a recipe with several seeds: those of its last form, and one row for all of them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from digitreader.training.recipes import Recipe


def last_form(rows: Sequence[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Return the rows of a name whose recipe is that of the last, whatever their seed and fold.

    What was measured before a recipe was changed stays written down, and counts no more.
    """
    own = [row for row in rows if row["name"] == name]
    forms = [Recipe.from_dict(row["recipe"]).with_changes(seed=0, fold=0) for row in own]
    return [row for row, form in zip(own, forms, strict=True) if form == forms[-1]]


def over_seeds(rows: Sequence[dict[str, Any]], *keys: str) -> dict[str, Any]:
    """Mean and standard deviation of the runs' accuracy, and the means of other figures."""
    accuracies = [row["accuracy"] for row in rows]
    return {
        "seeds": len(rows),
        "accuracy_mean": statistics.mean(accuracies),
        "accuracy_sd": statistics.stdev(accuracies) if len(rows) > 1 else None,
        **{f"{key}_mean": statistics.mean(row[key] for row in rows) for key in keys},
    }
