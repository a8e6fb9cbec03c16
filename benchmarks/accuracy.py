"""Every recipe on MNIST's test images, and how far the shipped model's confidence can be trusted.

    python benchmarks/accuracy.py [--only best tiny …] [--fonts FOLDER]
    python benchmarks/accuracy.py --only shipped

A recipe is trained with each of its seeds, as `digitreader train --recipe NAME --seed N` does,
and reads the test images once, at its end. Every run is kept in `--runs` and added to
`benchmarks/results/accuracy.json` as it ends, so a stopped benchmark goes on. The runs of `best`
are the members of the ensemble; the shipped model teaches `distilled`.

Then what ships (`shipped.py`), and what it would be with other seeds, made of the runs of `quick`,
`robust` and `clean`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from pathlib import Path
from typing import Any

import cv2
import keras

from digitreader.outputs import write_json_file
from digitreader.training import networks
from digitreader.training.recipes import RECIPES, Recipe
from digitreader.training.train import train
from machine import describe
from seeds import last_form, over_seeds
from sets import add_data
from shipped import other_seeds, shipped
from side_by_side import not_done, side_by_side

RESULT = Path(__file__).parent / "results" / "accuracy.json"
COMMAND = "python benchmarks/accuracy.py"
SEEDS = {
    "best": 5, "ensemble": 1, "clean": 3, "quick": 3, "robust": 3, "distilled": 3, "tiny": 5,
    "nano": 5, "fast": 5,
}  # fmt: skip
TIMED = ("fast",)  # its runs have all cores
PLAIN_FIGURES = ("parameters", "multiply_adds", "bytes")  # of any run


def main() -> None:
    """Measure what is asked for and not yet there; print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data(parser)
    parts = [*SEEDS, "shipped", "other seeds"]
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
    made = {"shipped": lambda: shipped(options.data),
            "other seeds": lambda: other_seeds(options.runs, options.data)}  # fmt: skip
    for part in (part for part in made if part in options.only):
        result[part] = made[part]()
        write_json_file(result | {"command": COMMAND, "machine": describe()}, RESULT)


def measured(
    name: str, recipe: Recipe, runs: Path, data: Path, fonts: Path | None
) -> dict[str, Any]:
    """Train by a recipe, or go on; return the row of its result."""
    out = runs / f"{name}-{recipe.seed}"
    if recipe.members > 1:
        take_members(recipe, out, runs)
    run = train(recipe, out, resume=(out / "recipe.json").exists(), data_dir=data / "mnist",
                fonts=fonts)  # fmt: skip
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
        "cores": cores(),
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
            shutil.copytree(run, out / f"member-{i}", ignore=lambda *_: {"recipe.json"})


def table(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Mean and standard deviation over the seeds of each recipe's last form."""
    result = {}
    for name in (name for name in SEEDS if any(row["name"] == name for row in rows)):
        own = last_form(rows, name)
        result[name] = {
            **over_seeds(own, "loss", "ece", "seconds"),
            **{key: own[-1][key] for key in PLAIN_FIGURES},
            "machines": list(dict.fromkeys(map(machine_of, own))),
        }
    return result


def cores() -> int:
    """So many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine_of(row: dict[str, Any]) -> str:
    return f"{row['cores']} core{'s' * (row['cores'] > 1)} of {row['processor']}"


def told(name: str, row: dict[str, Any]) -> str:
    spread = f" ± {100 * row['accuracy_sd']:.3f}" if row["accuracy_sd"] is not None else ""
    return (
        f"{name:10} {100 * row['accuracy_mean']:.3f}%{spread}, loss {row['loss_mean']:.4f}, "
        f"{row['seeds']} seeds, {row['parameters']:,} parameters, "
        f"{row['multiply_adds'] / 1e6:.2f} M multiply-adds, {row['bytes'] / 1e6:.2f} MB, "
        f"{row['seconds_mean']:.0f} s on {' and '.join(row['machines'])}"
    )


if __name__ == "__main__":
    cv2.setNumThreads(1)
    main()
