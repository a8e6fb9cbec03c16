"""A study's trials written down: the best recipe, a table, and pictures."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, ScalarFormatter
from optuna import Study
from optuna.importance import get_param_importances
from optuna.trial import FrozenTrial, TrialState

from digitreader.outputs import write_csv_file, write_json_file
from digitreader.training.plots import BLUE, ORANGE
from digitreader.training.recipes import Recipe
from digitreader.writing import whole


def write(study: Study, best: FrozenTrial, recipe: Recipe, out: Path) -> None:
    """Write a study's best recipe, a table of its trials, and two pictures, to a folder.

    The picture of importances comes with the second trial that is whole.
    """
    trials = [t for t in study.get_trials(deepcopy=False) if t.state.is_finished()]
    rows = [dict.fromkeys(_row(best)) | _row(trial) for trial in trials]
    write_json_file(recipe.as_dict(), out / "best-recipe.json")
    write_csv_file(rows, out / "trials.csv")
    _draw_history([t for t in trials if t.value is not None], out / "history.png")
    _draw_importances(study, out / "importances.png")


def _row(trial: FrozenTrial) -> dict[str, Any]:
    return {
        "trial": trial.number,
        "state": trial.state.name.lower(),
        "accuracy": trial.value,  # of a pruned one, that of its last epoch
        "loss": trial.user_attrs.get("loss"),
        "epochs": trial.last_step,
        "seconds": trial.duration and round(trial.duration.total_seconds(), 1),
        **trial.params,
    }


def _draw_history(trials: list[FrozenTrial], path: Path) -> None:
    """Draw what share of the images held out each trial read wrong, and the least so far."""
    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    parts = [(TrialState.COMPLETE, BLUE, "whole"), (TrialState.PRUNED, "#bbb", "stopped early")]
    for state, colour, label in parts:
        numbers, wrong = _wrong([trial for trial in trials if trial.state is state])
        axes.plot(numbers, wrong, "o", ms=5, color=colour, label=label)
        if state is TrialState.COMPLETE:
            least = np.minimum.accumulate(wrong)
            axes.step(numbers, least, where="post", color=ORANGE, label=f"best {least[-1]:.2f}%")
    axes.set(xlabel="Trial", ylabel="Held-out images read wrong, %", yscale="log")
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_minor_formatter(ScalarFormatter())
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False)
    _finish(figure, axes, path)


def _wrong(trials: list[FrozenTrial]) -> tuple[list[int], list[float]]:
    least = 0.01  # percent: a logarithmic axis has no place for none
    return [t.number for t in trials], [max(least, 100 * (1 - (t.value or 0))) for t in trials]


def _draw_importances(study: Study, path: Path) -> None:
    """Draw how much of the accuracy hangs on each knob (PED-ANOVA, Watanabe et al. 2023)."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        try:
            shares = get_param_importances(study)
        except UserWarning:  # too few trials to tell
            return
    figure, axes = plt.subplots(figsize=(8, 0.6 + 0.4 * len(shares)), layout="constrained")
    knobs = list(shares)[::-1]  # the most important on top
    bars = axes.barh(knobs, [100 * shares[knob] for knob in knobs], color=BLUE)
    axes.bar_label(bars, fmt="%.0f%%", padding=3)
    axes.set(xlabel="Share in what makes a trial one of the best, %", xlim=(0, 105))
    _finish(figure, axes, path)


def _finish(figure: Figure, axes: Axes, path: Path) -> None:
    axes.grid(alpha=0.3)
    with whole(path) as draft:
        figure.savefig(draft, dpi=110, format="png")
    plt.close(figure)
