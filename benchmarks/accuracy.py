"""Every recipe on MNIST's test images, and how far the shipped model's confidence can be trusted.

    python benchmarks/accuracy.py [--only best tiny …] [--fonts FOLDER]
    python benchmarks/accuracy.py --only shipped

A recipe is trained with each of its seeds, as `digitreader train --recipe NAME --seed N` does,
and reads the test images once, at its end. Every run is kept in `--runs` and added to
`benchmarks/results/accuracy.json` as it ends, so a stopped benchmark goes on. The runs of `best`
are the members of the ensemble; `distilled` learns from the run of `robust`, which comes first.

The shipped model: calibration on the test images; digits against glyphs of alphabets and letter
photos, none of whose kinds it was trained on, by area under the ROC curve; the test images harmed
in fifteen ways. Reliability, risk and errors are drawn to `docs/images`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from corruptions import CORRUPTIONS, corrupted
from digitreader.classifier import Classifier, shipped_model
from digitreader.glyphs import to_glyph
from digitreader.ink import inked
from digitreader.main_digit import main_digit
from digitreader.outputs import write_json_file
from digitreader.training import networks, plots
from digitreader.training.datasets import Split, load
from digitreader.training.metrics import score
from digitreader.training.recipes import RECIPES, Recipe
from digitreader.training.train import train
from machine import describe
from nothing import letter_photos
from seeds import over_seeds
from sets import add_data
from side_by_side import not_done, side_by_side

RESULT = Path(__file__).parent / "results" / "accuracy.json"
COMMAND = "python benchmarks/accuracy.py"
IMAGES = Path(__file__).parent.parent / "docs" / "images"
SEEDS = {
    "best": 5, "ensemble": 1, "robust": 1, "quick": 1, "distilled": 3, "tiny": 5, "nano": 5,
    "fast": 5,
}  # fmt: skip
TIMED = ("fast",)  # its runs have all cores
TEACHER = "robust"
PLAIN_FIGURES = ("parameters", "multiply_adds", "bytes", "cores", "processor")  # of any run
PARTS = ("quick", "thorough", "plain")  # networks of the shipped model
DISPUTED = (1901, 2130, 2293, 6576, 9729)  # test images hardly ever read as they are labelled

Glyphs = NDArray[np.uint8]


def main() -> None:
    """Measure what is asked for and not yet there; print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data(parser)
    parts = [*SEEDS, "shipped"]
    parser.add_argument("--only", nargs="*", choices=parts, default=parts)
    parser.add_argument("--runs", type=Path, default=Path("runs/accuracy"))
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="runs at a time")
    parser.add_argument("--fonts", type=Path, help="of the letters among what is no digit")
    options = parser.parse_args()
    result = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {"runs": []}
    for name in (name for name in SEEDS if name in options.only):
        seeds = ((name, RECIPES[name].with_changes(seed=seed).resolved())
                 for seed in range(SEEDS[name]))  # fmt: skip
        places = (options.runs, options.data, options.fonts)
        jobs = [(*job, *places) for job in not_done(seeds, result["runs"])]
        workers = 1 if name in TIMED else options.workers
        for row in side_by_side(measured, jobs, workers):
            result["runs"].append(row)
            result |= {"command": COMMAND, "machine": describe(), "recipes": table(result["runs"])}
            write_json_file(result, RESULT)
    for name, row in table(result["runs"]).items():
        print(told(name, row))
    if "shipped" in options.only:
        result["shipped"] = shipped(options.data)
        write_json_file(result | {"command": COMMAND, "machine": describe()}, RESULT)


def measured(
    name: str, recipe: Recipe, runs: Path, data: Path, fonts: Path | None
) -> dict[str, Any]:
    """Train by a recipe, or go on; return the row of its result."""
    out = runs / f"{name}-{recipe.seed}"
    if recipe.members > 1:
        take_members(recipe, out, runs)
    teacher = runs / f"{TEACHER}-0" / "model.onnx" if recipe.views else None
    run = train(recipe, out, resume=(out / "recipe.json").exists(), data_dir=data / "mnist",
                fonts=fonts, teacher=teacher)  # fmt: skip
    assert run.test is not None
    network = networks.shifted(keras.saving.load_model(out / "best.keras"), recipe.shifts)
    row = {
        "name": name,
        "seed": recipe.seed,
        "errors": run.test.errors,
        "n": run.test.n,
        "accuracy": run.test.accuracy,
        "loss": run.test.loss,
        "ece": run.test.reliability.error,
        "parameters": network.count_params(),
        "multiply_adds": networks.multiply_adds(network),
        "bytes": (out / "model.onnx").stat().st_size,
        "seconds": run.seconds,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "processor": describe()["processor"],
        "recipe": recipe.as_dict(),
    }
    print(f"{name}, seed {recipe.seed}: {run.test.summary()}, {run.seconds:.0f} s", flush=True)
    return row


def take_members(recipe: Recipe, out: Path, runs: Path) -> None:
    """Let the runs of `best` be an ensemble's members: they are the same but for its views."""
    for i in range(recipe.members):
        run = runs / f"best-{recipe.seed + i}"
        own = recipe.with_changes(members=1, seed=recipe.seed + i, shifts=RECIPES["best"].shifts)
        written = run / "recipe.json"
        trained = written.exists() and Recipe.from_dict(json.loads(written.read_text("utf-8")))
        if trained == own and not (out / f"member-{i}").exists():
            shutil.copytree(run, out / f"member-{i}")
            write_json_file(recipe.as_dict(), out / "recipe.json")


def table(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Mean and standard deviation over the seeds of each recipe's last form."""
    result = {}
    for name in (name for name in SEEDS if any(row["name"] == name for row in rows)):
        own = [row for row in rows if row["name"] == name]
        forms = [Recipe.from_dict({**row["recipe"], "seed": 0}) for row in own]
        own = [row for row, form in zip(own, forms, strict=True) if form == forms[-1]]
        result[name] = {
            **over_seeds(own, "loss", "ece", "seconds"),
            **{key: own[-1][key] for key in PLAIN_FIGURES},
        }
    return result


def told(name: str, row: dict[str, Any]) -> str:
    spread = f" ± {100 * row['accuracy_sd']:.3f}" if row["accuracy_sd"] is not None else ""
    return (
        f"{name:10} {100 * row['accuracy_mean']:.3f}%{spread}, loss {row['loss_mean']:.4f}, "
        f"{row['seeds']} seeds, {row['parameters']:,} parameters, "
        f"{row['multiply_adds'] / 1e6:.2f} M multiply-adds, {row['bytes'] / 1e6:.2f} MB, "
        f"{row['seconds_mean']:.0f} s on {row['cores']} cores"
    )


# --- the shipped model --------------------------------------------------------------------------


def shipped(data: Path) -> dict[str, Any]:
    """Calibration, what is no digit, and harm."""
    classifier = Classifier.open()
    mnist = load("mnist", data / "mnist")
    assert mnist.test is not None
    probabilities = classifier.probabilities(mnist.test.images)
    scores = score(probabilities, mnist.test.targets, mnist.labels)
    print(f"shipped: {scores.summary()}, calibration error {scores.reliability.error:.4f}")
    plots.reliability(scores, IMAGES / "reliability.png")
    plots.risk(probabilities, mnist.test.targets, IMAGES / "risk.png")
    plots.errors(mnist.test, probabilities, DISPUTED, IMAGES / "errors.png")
    return {
        "bytes": shipped_model("digits").stat().st_size,
        "work": work(classifier, mnist.test.images),
        "test": scores.as_dict(),
        "disputed": {
            "indices": DISPUTED,
            "read_as_labelled": int((probabilities[list(DISPUTED)].argmax(axis=1)
                                     == mnist.test.targets[list(DISPUTED)]).sum()),
        },
        "not_a_digit": against_others(classifier, probabilities, data),
        "harmed": harmed(classifier, mnist.test),
    }  # fmt: skip


def work(classifier: Classifier, images: Glyphs) -> dict[str, Any]:
    """Multiply-adds of one image: of each network, and on average, as often as others are asked."""
    trained, classes = classifier.card.trained, len(classifier.card.labels)
    built = {name: networks.build(trained[name]["recipe"]["network"], classes) for name in PARTS}
    each = {name: networks.multiply_adds(network) for name, network in built.items()}
    session = onnxruntime.InferenceSession(
        shipped_model("digits"), providers=["CPUExecutionProvider"]
    )
    asked = float(session.run(["asked"], {"glyphs": images})[0].mean())
    others = each["thorough"] + each["plain"]
    return {**each, "asked": asked, "mean": each["quick"] + asked * others,
            "most": each["quick"] + others}  # fmt: skip


def against_others(
    classifier: Classifier, digits: NDArray[np.float32], data: Path
) -> dict[str, Any]:
    """Area under the ROC curve of digits, by their probabilities, against what is none."""
    result = {}
    for name, glyphs in others(data).items():
        said = classifier.probabilities(glyphs)
        result[name] = {
            "n": len(said),
            "auroc_sum": area(digits.sum(axis=1), said.sum(axis=1)),
            "auroc_greatest": area(digits.max(axis=1), said.max(axis=1)),
        }
        print(f"digits against {name}: {result[name]}", flush=True)
    return result


def area(digits: NDArray[np.float32], others: NDArray[np.float32]) -> float:
    """Area under the ROC curve: the chance that a digit has more than another has."""
    truth = np.repeat([1, 0], [len(digits), len(others)])
    return float(roc_auc_score(truth, np.concatenate([digits, others])))


def others(data: Path) -> dict[str, Glyphs]:
    """What is no digit, as glyphs, uint8 [N, 28, 28]."""
    with np.load(data / "dev" / "omniglot_glyphs.npz") as file:
        foreign = file["X"][file["alphabet"] != "Latin"]
    return {
        "glyphs of alphabets": np.stack([to_glyph(np.float32(1 / 255) * x) for x in foreign]),
        "letter photos": np.stack([_main_glyph(x) for x in letter_photos(data)]),
    }


def _main_glyph(pixels: Glyphs) -> Glyphs:
    """The glyph of a picture's main mark, as the reader makes it; blank where there is none."""
    ink = inked(pixels).ink
    main = main_digit(ink)
    return to_glyph(main.ink if main is not None else np.zeros_like(ink))


def harmed(classifier: Classifier, test: Split) -> dict[str, Any]:
    """Accuracy on test images harmed in each way, of all ways their mean."""
    rows = {}
    for name in CORRUPTIONS:
        said = classifier.probabilities(corrupted(name, test.images)).argmax(axis=1)
        rows[name] = float((said == test.targets).mean())
        print(f"{name:16} {100 * rows[name]:.2f}%", flush=True)
    mean = statistics.mean(rows.values())
    print(f"{'mean':16} {100 * mean:.2f}%")
    return {"n": len(test), "mean": mean, "accuracy": rows}


if __name__ == "__main__":
    cv2.setNumThreads(1)
    main()
