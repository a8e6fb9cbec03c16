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
from numpy.typing import NDArray

from digitreader.training.datasets import Split
from digitreader.training.metrics import Scores
from digitreader.writing import whole

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
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
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


def reliability(scores: Scores, path: Path) -> None:
    """Draw how often predictions were right against how sure they were, and how many were so."""
    told = scores.reliability
    width = 1 / len(told.counts)
    middles = (np.arange(len(told.counts)) + 0.5) * width
    seen = told.counts > 0
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(5, 6), sharex=True, height_ratios=(3, 1), layout="constrained"
    )
    above.plot([0, 1], [0, 1], color="#888", lw=1, ls="--", label="as sure as right")
    above.bar(middles[seen], told.accuracy[seen], 0.92 * width, color=BLUE, alpha=0.5,
              label="right")  # fmt: skip
    above.plot(told.confidence[seen], told.accuracy[seen], "o", color=ORANGE, label="mean of a bin")
    above.set(ylabel="Share read right", ylim=(0, 1), xlim=(0, 1))
    above.set_title(f"Expected calibration error {100 * told.error:.2f}%, n = {scores.n:,}",
                    fontsize=10)  # fmt: skip
    figure.legend(frameon=False, loc="outside lower center", ncols=3, fontsize=8)
    below.bar(middles, told.counts, 0.92 * width, color=BLUE)
    below.set(xlabel="Confidence", ylabel="Predictions", yscale="symlog", ylim=(0, None))
    for axes in (above, below):
        axes.grid(alpha=0.3)
    _save(figure, path)


def risk(probabilities: NDArray[np.float32], targets: NDArray[np.int64], path: Path) -> None:
    """Draw the share of errors among the surest digits, from a few to all (Geifman 2017).

    Probabilities are float32 [N, K], targets int64 [N].
    """
    n = len(targets)
    order = np.argsort(-probabilities.max(axis=1), kind="stable")
    wrong = (probabilities.argmax(axis=1) != targets)[order]
    answered = np.arange(1, n + 1)
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    axes.plot(100 * answered / n, 100 * np.cumsum(wrong) / answered, color=BLUE)
    axes.set(xlabel="Digits answered, the surest first, %", ylabel="Of these read wrong, %")
    axes.set(xlim=(80, 100), ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.set_title(f"{int(wrong.sum())} errors in {n:,}", fontsize=10)
    _save(figure, path)


def errors(
    split: Split, probabilities: NDArray[np.float32], disputed: Sequence[int], path: Path
) -> None:
    """Draw what was read wrong, the surest first, with its label and what was read.

    Probabilities are float32 [N, K]; disputed images have an orange title.
    """
    said = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(said != split.targets)
    wrong = wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")]
    columns = 10
    rows = max(1, -(-len(wrong) // columns))
    figure, grid = plt.subplots(rows, columns, figsize=(columns, 1.25 * rows), squeeze=False,
                                layout="constrained")  # fmt: skip
    for axes in grid.flat:
        axes.axis("off")
    for axes, i in zip(grid.flat, wrong, strict=False):
        axes.imshow(255 - split.images[i], cmap="gray", vmin=0, vmax=255)
        axes.set_title(f"{split.targets[i]} read {said[i]}", fontsize=8,
                       color=ORANGE if i in disputed else "black")  # fmt: skip
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    with whole(path) as draft:
        figure.savefig(draft, dpi=110, format=path.suffix.removeprefix("."))
    plt.close(figure)
