"""The end of a run: its best epoch made a calibrated, checked model, and measured."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

import digitreader
from digitreader.card import ModelCard
from digitreader.classifier import Classifier, softmax
from digitreader.outputs import write_json_file
from digitreader.training import export, networks, plots
from digitreader.training.calibrate import fit_temperature, fit_threshold
from digitreader.training.epochs import Row, best_of
from digitreader.training.images import Images
from digitreader.training.metrics import Scores, score, wilson
from digitreader.training.recipes import Recipe
from digitreader.training.runtimes import load_network
from digitreader.training.teacher import digest
from digitreader.writing import whole

PARITY_IMAGES = 1000
UNSURE_BELOW = 0.7  # calibrated confidence, where too little was held out to choose one


@dataclass(frozen=True)
class Learnt:
    """How many of a dataset's images a network read right before it learnt them, and after.

    `after` counts those read by a network that had not seen them; None where that was not
    measured. `known` is the accuracy before on what it was to remember, held out, and
    `start_share` what the weights before have in those that came of it.
    """

    n: int
    before: int
    after: int | None
    known: float | None
    start_share: float

    def as_dict(self) -> dict[str, Any]:
        bounds = None if self.after is None else list(wilson(self.after, self.n))
        return {**asdict(self), "after_95": bounds}

    def summary(self) -> str:
        """Return one line for people."""
        line = f"{self.before} of {self.n:,} read right before"
        if self.after is None:
            return line
        low, high = (100 * bound for bound in wilson(self.after, self.n))
        return (
            f"{line}, {self.after} after, each by a network that had not seen it "
            f"(95% interval {low:.0f}–{high:.0f}%)"
        )


@dataclass(frozen=True, eq=False)
class Run:
    """What a training run leaves behind."""

    folder: Path
    history: list[Row]
    validation: Scores | None
    test: Scores | None
    parity: export.Parity
    seconds: float  # of training, without start-up and evaluation
    interrupted: bool
    learnt: Learnt | None  # by fine-tuning


def finish(  # noqa: PLR0913 (all but the first four by name)
    recipe: Recipe,
    images: Images,
    out: Path,
    rows: list[Row],
    *,
    interrupted: bool,
    learnt: Learnt | None = None,
    teacher: Path | None = None,
) -> Run:
    """Turn a folder's `best.keras` into a calibrated, checked model; write the results."""
    network = networks.shifted(load_network(out / "best.keras"), recipe.shifts)
    dataset, held = images.dataset, images.held
    validation, temperature, unsure_below = None, recipe.temperature, UNSURE_BELOW
    if held is not None:
        logits = export.logits_of(network, held.images)  # [V, K]
        temperature = temperature or fit_temperature(logits, held.targets)
        probabilities = softmax(logits / np.float32(temperature))[:, : len(dataset.labels)]
        validation = score(probabilities, held.targets, dataset.labels)
        unsure_below = fit_threshold(probabilities, held.targets, recipe.risk) or unsure_below
    seconds = sum(row["seconds"] for row in rows)
    trained = {
        "recipe": recipe.as_dict(),
        "teacher": {"file": teacher.name, "sha256": digest(teacher)} if teacher else None,
        "epochs_run": len(rows),
        "best_epoch": best_of(rows) + 1,
        "seconds": round(seconds, 1),
        "validation": {"n": validation.n, "accuracy": validation.accuracy} if validation else None,
        "digitreader": digitreader.__version__,
    }
    card = ModelCard(out.name, dataset.labels, temperature, unsure_below, trained=trained)
    measured = dataset.test or held or images.kept
    with whole(out / "model.onnx") as draft:
        export.write_onnx(network, draft, card)
        parity = export.check_parity(network, draft, measured.images[:PARITY_IMAGES])
    test = None
    if dataset.test:
        probabilities = Classifier.open(out / "model.onnx").probabilities(dataset.test.images)
        test = score(probabilities, dataset.test.targets, dataset.labels)
    metrics = {
        **trained,
        "parameters": network.count_params(),
        "temperature": temperature,
        "unsure_below": unsure_below,
        "parity": {
            "n": parity.n,
            "max_difference": parity.max_difference,
            "agreement": parity.agreement,
        },
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "keras": f"{keras.__version__} on {keras.backend.backend()}",
        "interrupted": interrupted,
        "validation": validation.as_dict() if validation else None,
        "test": test.as_dict() if test else None,
        "learnt": learnt.as_dict() if learnt else None,
    }
    write_json_file(metrics, out / "metrics.json")
    plots.curves(rows, out / "curves.png")
    if measure := test or validation:
        plots.confusion(measure, out / "confusion.png")
        plots.reliability(measure, out / "reliability.png")
    return Run(out, rows, validation, test, parity, seconds, interrupted, learnt)
