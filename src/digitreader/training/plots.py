"""Pictures of a training run: its curves, and what it confuses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, ScalarFormatter

from digitreader.outputs import whole
from digitreader.training.metrics import Scores

BLUE, ORANGE = "#1f5fa8", "#d9731a"


def curves(rows: Sequence[dict[str, float]], path: Path) -> None:
    """Draw loss and error of each epoch, trained and held out, with the last values told."""
    epochs = [row["epoch"] for row in rows]
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    parts = [("", "training", BLUE), ("val_", "held out", ORANGE)]
    for prefix, label, colour in parts[: 1 + ("val_loss" in rows[-1])]:
        losses = [row[f"{prefix}loss"] for row in rows]
        errors = [100 * (1 - row[f"{prefix}accuracy"]) for row in rows]
        left.plot(epochs, losses, "o-", ms=3.5, color=colour, label=f"{label} {losses[-1]:.4f}")
        right.plot(epochs, errors, "o-", ms=3.5, color=colour, label=f"{label} {errors[-1]:.2f}%")
    left.set(title="Loss", xlabel="Epoch")
    right.set(title="Images read wrong, %", xlabel="Epoch", ylim=(0, None))
    right.set_yscale("symlog", linthresh=0.1)  # logarithmic, but a small set may have no errors
    right.yaxis.set_major_formatter(ScalarFormatter())
    for axes in (left, right):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3, which="both")
        axes.legend(frameon=False)
    _save(figure, path)


def confusion(scores: Scores, path: Path) -> None:
    """Draw the confusion matrix; only the errors are coloured, or they would not be seen."""
    counts = scores.confusion
    errors = counts - np.diag(np.diag(counts))
    k = len(scores.labels)
    figure, axes = plt.subplots(figsize=(1.5 + 0.5 * k, 1.3 + 0.5 * k), layout="constrained")
    most = max(5, int(errors.max()))
    axes.imshow(errors, cmap="Oranges", vmin=0, vmax=most)
    for row, column in zip(*np.nonzero(counts), strict=True):
        weight = "bold" if row == column else "normal"
        colour = "white" if errors[row, column] > 0.6 * most else "black"
        axes.text(column, row, counts[row, column], ha="center", va="center",
                  fontsize=8, fontweight=weight, color=colour)  # fmt: skip
    axes.set_xticks(range(k), scores.labels)
    axes.set_yticks(range(k), scores.labels)
    axes.set(xlabel="Predicted", ylabel="True")
    axes.set_title(
        f"{scores.errors} errors in {scores.n:,}, {100 * scores.accuracy:.2f}% right",
        fontsize=10,
    )
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    with whole(path) as draft:
        figure.savefig(draft, dpi=110, format=path.suffix.removeprefix("."))
    plt.close(figure)
