"""What the model that ships learns from corrections, and whether it forgets.

    python benchmarks/corrections.py [--seeds 3]

The corrections are the digits of `nsysu` that it reads wrong: other hands, faint, small and
off-centre. They are taught by the recipe `corrections`, and by it without a bound on what is
forgotten. Trainings run side by side, a core each; those there are kept, so a stopped
benchmark goes on, unless another model ships by now.
"""

from __future__ import annotations

import argparse
import json
import os
from functools import partial
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from digitreader.outputs import write_json_file
from digitreader.reader import Reader
from digitreader.training.finetune import finetune, recipe_for
from digitreader.training.recipes import RECIPES, Recipe
from machine import describe, models
from seeds import last_form
from sets import add_data, arrays
from side_by_side import not_done, side_by_side

RESULT = Path(__file__).parent / "results" / "corrections.json"
COMMAND = "python benchmarks/corrections.py"
DATASET = "folder:corrections"
FORMS: dict[str, dict[str, Any]] = {"corrections": {}, "no bound": {"forgotten": 1.0}}

Row = dict[str, Any]


def main() -> None:
    """Teach what is not yet there; print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data(parser)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    known = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    rows = still_true(known)
    mnist = options.data / "mnist"
    wanted = ((name, recipe_for(RECIPES["corrections"], "shipped", mnist)
               .with_changes(dataset=DATASET, seed=seed, **changes).resolved())
              for seed in range(options.seeds) for name, changes in FORMS.items())  # fmt: skip
    with TemporaryDirectory() as folder:
        write_wrong(options.data, Path(folder))
        work = partial(taught, digits=Path(folder), data=mnist)
        for row in side_by_side(work, not_done(wanted, rows), os.cpu_count() or 1):
            rows.append(row)
            about = {"command": COMMAND, "models": models(), "machine": describe()}
            result = {**about, "forms": table(rows), "runs": rows}
            write_json_file(result, RESULT)
    for form, row in table(rows).items():
        print(form, row)


def still_true(known: Row) -> list[Row]:
    """Return the rows of a result, none where it is of a model that no longer ships."""
    return list(known["runs"]) if known.get("models") == models() else []


def write_wrong(data: Path, folder: Path) -> None:
    """Write the digits that are read wrong, each a picture in its class's folder."""
    pictures, reader = arrays("nsysu")(data, False), Reader()
    for i, case in enumerate(map(pictures.case, range(pictures.count))):
        if reader.read(case.picture, pictures.layout).text != case.lines[0]:
            own = folder / case.lines[0]
            own.mkdir(exist_ok=True)
            Image.fromarray(np.asarray(case.picture)).save(own / f"{i}.png")


def taught(name: str, recipe: Recipe, *, digits: Path, data: Path) -> Row:
    """Teach the digits; return the row of its result."""
    with TemporaryDirectory() as folder:
        own = recipe.with_changes(dataset=f"folder:{digits}")
        run = finetune(own, Path(folder) / "run", data_dir=data)
    assert run.learnt is not None
    assert run.validation is not None
    print(f"{name}, seed {recipe.seed}: {run.learnt.summary()}", flush=True)
    return {
        "name": name,
        **run.learnt.as_dict(),
        "held_out": run.validation.n,
        "known_after": run.validation.accuracy,
        "recipe": recipe.as_dict(),
    }


def table(rows: list[Row]) -> dict[str, Row]:
    """Means over the seeds of each form, in its last recipe."""
    result = {}
    for name in (name for name in FORMS if any(row["name"] == name for row in rows)):
        own = last_form(rows, name)
        keys = ("n", "before", "after", "held_out", "known", "known_after", "start_share")
        result[name] = {"seeds": len(own), **{key: mean(row[key] for row in own) for key in keys}}
    return result


if __name__ == "__main__":
    main()
