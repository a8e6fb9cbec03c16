"""Pictures of a training run: its curves, and what it confuses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from digitreader.training.metrics import Scores

BLUE, ORANGE = "#1f5fa8", "#d9731a"


def curves(rows: Sequence[dict[str, float]], path: Path) -> None:
    """Draw loss and accuracy of each epoch, trained and held out."""
    epochs = [row["epoch"] for row in rows]
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for axes, name, title in ((left, "loss", "Loss"), (right, "accuracy", "Accuracy, %")):
        scale = 100 if name == "accuracy" else 1
        for key, label, colour in ((name, "training", BLUE), (f"val_{name}", "held out", ORANGE)):
            values = [scale * row[key] for row in rows]
            axes.plot(epochs, values, "o-", ms=3.5, color=colour, label=label)
            axes.annotate(
                f"{values[-1]:.4g}", (epochs[-1], values[-1]), color=colour,
                xytext=(5, 4), textcoords="offset points", fontsize=8,
            )  # fmt: skip
        axes.set(title=title, xlabel="Epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.margins(x=0.1)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    _save(figure, path)


def confusion(scores: Scores, path: Path) -> None:
    """Draw the confusion matrix; only the errors are coloured, or they would not be seen."""
    counts = scores.confusion
    errors = counts - np.diag(np.diag(counts))
    k = len(scores.labels)
    figure, axes = plt.subplots(figsize=(1.5 + 0.5 * k, 1.3 + 0.5 * k), layout="constrained")
    axes.imshow(errors, cmap="Oranges", vmin=0, vmax=max(5, int(errors.max())))
    for row, column in zip(*np.nonzero(counts), strict=True):
        weight = "bold" if row == column else "normal"
        axes.text(column, row, counts[row, column], ha="center", va="center",
                  fontsize=8, fontweight=weight)  # fmt: skip
    axes.set_xticks(range(k), scores.labels)
    axes.set_yticks(range(k), scores.labels)
    axes.set(xlabel="Predicted", ylabel="True")
    axes.set_title(
        f"{scores.n - int(np.trace(counts))} errors in {scores.n:,}, "
        f"{100 * scores.accuracy:.2f}% right",
        fontsize=10,
    )
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    draft = path.with_name("draft." + path.name)
    figure.savefig(draft, dpi=110)
    plt.close(figure)
    draft.replace(path)
