"""Which recipe is best: networks, augmentations and schedules compared on held-out images.

    python benchmarks/study.py [--only mild …] [--folds 3]

The test images are not looked at. Each variant is trained once for each fold, holding out other
5,000 training images, and judged by its last epoch: errors and negative log-likelihood. On these
images all networks soon make the same errors, of digits that nobody could tell; so each is judged
on them bent by the mild augmentation, four times, too, where they still differ. Every run is added
to `benchmarks/results/study.json` as it ends, so a stopped study goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digitreader.classifier import Classifier
from digitreader.outputs import write_json_file
from digitreader.training import warps
from digitreader.training.augment import draw, vary
from digitreader.training.datasets import hold_out, load
from digitreader.training.metrics import score
from digitreader.training.recipes import Recipe
from digitreader.training.train import train
from machine import describe
from seeds import last_form
from side_by_side import not_done, side_by_side

COMMAND = "python benchmarks/study.py"
RESULT = Path(__file__).parent / "results" / "study.json"

BENT = 4  # ways in which held-out images are bent

BASE = Recipe(augment="mild", epochs=8, patience=99, averaged=0.99)
STRONG = BASE.with_changes(augment="strong")
VARIANTS: dict[str, Recipe] = {
    "mild": BASE,
    "mild, 24 epochs": BASE.with_changes(epochs=24, averaged=0.999),
    "strong": STRONG,
    "strong, no smoothing": STRONG.with_changes(label_smoothing=0.0),
    "strong, residual network": STRONG.with_changes(network="residual"),
    "classic": BASE.with_changes(augment="classic"),
    "bent, 24 epochs": BASE.with_changes(augment="bent", epochs=24),
    "bent, residual network, 10 epochs": BASE.with_changes(
        augment="bent", network="residual", epochs=10
    ),
}


def main() -> None:
    """Train what is asked for and not yet there; print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="runs at a time")
    options = parser.parse_args()
    rows = json.loads(RESULT.read_text())["runs"] if RESULT.exists() else []
    asked = wanted(options.only, options.folds)
    jobs = [(*job, options.data_dir) for job in not_done(asked, rows)]
    for row in side_by_side(measured, jobs, options.workers):
        rows.append(row)
        told = {"command": COMMAND, "machine": describe()}
        write_json_file({**told, "runs": rows, "table": table(rows)}, RESULT)
        print(f"{row['name']}, fold {row['fold']}: {row['errors']} errors of {row['n']}, "
              f"loss {row['calibrated']:.4f}, {row['seconds']:.0f} s", flush=True)  # fmt: skip
    for name, row in table(rows).items():
        print(f"{name:28} {row['errors']:6.1f} errors, bent {row['bent_errors']:.0f}, "
              f"loss {row['calibrated']:.4f}, {row['seconds']:.0f} s, {row['folds']} folds, "
              f"{row['parameters']:,} parameters")  # fmt: skip


def wanted(names: list[str], folds: int) -> Iterator[tuple[str, Recipe]]:
    """Yield the variants, fold by fold."""
    for fold in range(folds):
        for name in names:
            yield name, VARIANTS[name].with_changes(fold=fold, seed=fold).resolved()


def measured(name: str, recipe: Recipe, data_dir: Path | None) -> dict[str, Any]:
    """Train, and judge the last epoch; calibration and views are the best one's."""
    with TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        run = train(recipe, out, data_dir=data_dir, test=False)
        metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
        classifier = Classifier.open(out / "model.onnx", threads=0)
    dataset = load(recipe.dataset, data_dir)
    held = hold_out(dataset.train, recipe.validation, recipe.fold)[1]
    views = score(viewed(classifier, held.images), held.targets, dataset.labels)
    read = classifier.probabilities(bent(held.images)).argmax(axis=1)
    last = run.history[-1]
    return {
        "name": name,
        "fold": recipe.fold,
        "errors": round(len(held) * (1 - last["val_accuracy"])),
        "n": len(held),
        "loss": last["val_loss"],
        "temperature": metrics["temperature"],
        "calibrated": metrics["validation"]["loss"],
        "views": {"errors": views.errors, "loss": views.loss},
        "bent_errors": int((read != np.tile(held.targets, BENT)).sum()),
        "seconds": run.seconds,
        "processor": describe()["processor"],
        "parameters": metrics["parameters"],
        "recipe": recipe.as_dict(),
    }


def bent(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Each of uint8 [N, 28, 28] bent in BENT ways, always the same: uint8 [BENT * N, 28, 28]."""
    rng = np.random.default_rng(9)
    warp = warps.named("mild")
    parts = [vary(warp, np.float32(1 / 255) * part, draw(len(part), rng))
             for part in np.array_split(np.tile(images, (BENT, 1, 1)), 20)]  # fmt: skip
    return np.asarray(np.rint(255 * np.concatenate(parts)), np.uint8)


def viewed(classifier: Classifier, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Mean probabilities of an image and of it moved by a pixel in eight directions."""
    steps = [(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1)]
    said = [classifier.probabilities(np.roll(images, step, axis=(1, 2))) for step in steps]
    return np.asarray(np.mean(said, axis=0), np.float32)


def table(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Means over the folds of each variant's last form; the time is that of the quickest."""
    result = {}
    for name in (name for name in VARIANTS if any(row["name"] == name for row in rows)):
        own = last_form(rows, name)
        quickest = min(own, key=lambda row: float(row["seconds"]))
        result[name] = {
            "folds": len(own),
            "parameters": own[-1]["parameters"],
            **{key: statistics.mean(row[key] for row in own)
               for key in ("errors", "loss", "calibrated", "temperature")},
            "views": statistics.mean(row["views"]["errors"] for row in own),
            "bent_errors": statistics.mean(row["bent_errors"] for row in own),
            "seconds": quickest["seconds"],
            "processor": quickest["processor"],
        }  # fmt: skip
    return result


if __name__ == "__main__":
    main()
