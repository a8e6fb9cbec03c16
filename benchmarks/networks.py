"""Every network under the default recipe, and those of the starting projects under their own.

    python benchmarks/networks.py [--seeds 3] [--only resnet-20 mlp …]

Each run has all cores and reads MNIST's test images once, at its end; nothing is chosen by them.
The result is `digitreader/training/networks.json`, which `digitreader networks` shows. Runs are
added to it as they end, so a stopped benchmark goes on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras

import digitreader.training
from digitreader.outputs import write_json_file
from digitreader.training import networks
from digitreader.training.recipes import RECIPES, Recipe
from digitreader.training.train import train
from machine import describe
from seeds import over_seeds
from sets import add_data
from side_by_side import not_done

RESULT = Path(digitreader.training.__file__).with_name("networks.json")
COMMAND = "python benchmarks/networks.py"
OWN = ("dense-64-dropout", "dense-128", "plain", "double-conv")  # have a recipe of that name

Row = dict[str, Any]


def main() -> None:
    """Train what is asked for and not yet there; print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data(parser)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=networks.NETWORKS, default=networks.NETWORKS)
    options = parser.parse_args()
    rows = json.loads(RESULT.read_text(encoding="utf-8"))["runs"] if RESULT.exists() else []
    wanted = ((name, recipe.with_changes(seed=seed).resolved()) for name in options.only
              for recipe in forms(name) for seed in range(options.seeds))  # fmt: skip
    for name, recipe in not_done(wanted, rows):
        rows.append(measured(name, recipe, options.data / "mnist"))
        result = {"command": COMMAND, "machine": describe(), **tables(rows), "runs": rows}
        write_json_file(result, RESULT)


def forms(name: str) -> Iterator[Recipe]:
    """The recipes that a network is trained by."""
    yield RECIPES["default"].with_changes(network=name)
    if name in OWN:
        yield RECIPES[name]


def measured(name: str, recipe: Recipe, data: Path) -> Row:
    """Train a network; return the row of its result."""
    with TemporaryDirectory() as folder:
        run = train(recipe, Path(folder) / "run", data_dir=data)
        network = keras.saving.load_model(run.folder / "best.keras")
    assert run.test is not None
    print(f"{name}, seed {recipe.seed}: {run.test.summary()}, {run.seconds:.0f} s", flush=True)
    return {
        "name": name,
        "accuracy": run.test.accuracy,
        "loss": run.test.loss,
        "parameters": network.count_params(),
        "multiply_adds": networks.multiply_adds(network),
        "seconds": run.seconds,
        "recipe": recipe.as_dict(),
    }


def tables(rows: list[Row]) -> dict[str, dict[str, Row]]:
    """Means over seeds of each network, under the default recipe and under its own."""
    result: dict[str, dict[str, Row]] = {"networks": {}, "own_recipe": {}}
    for name in (name for name in networks.NETWORKS if any(row["name"] == name for row in rows)):
        for table, form in zip(result.values(), forms(name), strict=False):
            known = [row for row in rows if row["name"] == name and is_of(row, form)]
            if known:
                sizes = {key: known[-1][key] for key in ("parameters", "multiply_adds")}
                table[name] = {**over_seeds(known, "seconds"), **sizes}
    return result


def is_of(row: Row, form: Recipe) -> bool:
    seed = row["recipe"]["seed"]
    return Recipe.from_dict(row["recipe"]) == form.with_changes(seed=seed).resolved()


if __name__ == "__main__":
    main()
