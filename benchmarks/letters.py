"""Letters of writers never seen: 26 classes, a capital and its small letter the same.

    python benchmarks/letters.py [--only validation test] [--runs FOLDER]

The letters of a tablet's 55 writers, and photographed ones of others. Every fourth writer is a
test writer, whose letters are read once, at the end of a run. The rest are trained on: their
pictures, their strokes drawn again with other pens, and the photographs. What is tried is tried
with a quarter of the writers, none of the test's, held out (`validation`).

The pictures of each part are written to an .npz file in the runs' folder, from which
`digitreader train --dataset npz:FILE` trains too. A stopped benchmark goes on.
"""

from __future__ import annotations

import argparse
import json
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from digitreader.outputs import write_json_file
from digitreader.reader import Reader
from digitreader.training.recipes import Recipe
from digitreader.training.synthetic.hands import stroke_hands
from digitreader.training.train import train
from digitreader.writing import whole
from machine import describe
from seeds import last_form, over_seeds
from sets import add_data
from side_by_side import not_done

RESULT = Path(__file__).parent / "results" / "letters.json"
COMMAND = "python benchmarks/letters.py"
TURN = 4  # every fourth writer is a test writer
TURNS = {"validation": 2, "test": 0}  # of the writers that a part is measured on
AGAIN = 4  # times that each training writer's strokes are drawn
SIDE, INK = 64, 52  # px of a picture, and of the longest side of what is drawn in it
SEEDS = {"validation": 1, "test": 3}
RECIPE = Recipe(
    augment="strong",
    epochs=20,
    averaged=0.99,
    validation=0,  # images held out would be of writers trained on
    temperature=0.7,  # as fitted on the validation writers
)

Pictures = NDArray[np.uint8]
Names = NDArray[np.str_]


def main() -> None:
    """Measure what is asked for and not yet there; print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data(parser)
    parser.add_argument("--only", nargs="*", choices=list(SEEDS), default=list(SEEDS))
    parser.add_argument("--runs", type=Path, default=Path("runs/letters"))
    options = parser.parse_args()
    options.runs.mkdir(parents=True, exist_ok=True)
    result = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {"runs": []}
    for part in options.only:
        for _, recipe in not_done(wanted(part), result["runs"]):
            result["runs"].append(measured(part, recipe, options.runs, options.data))
            result |= {"command": COMMAND, "machine": describe(), "parts": table(result["runs"])}
            write_json_file(result, RESULT)
    for part, row in table(result["runs"]).items():
        print(part, row)


def wanted(part: str) -> Iterator[tuple[str, Recipe]]:
    """Yield a part's recipe with each of its seeds, whatever folder its pictures are in."""
    for seed in range(SEEDS[part]):
        yield part, RECIPE.with_changes(dataset=f"npz:{part}.npz", seed=seed).resolved()


def measured(part: str, recipe: Recipe, runs: Path, data: Path) -> dict[str, Any]:
    """Train by a recipe, or go on; return the row of its result."""
    pictures = runs / f"{part}.npz"
    if not pictures.exists():
        write_pictures(part, data, pictures)
    out = runs / f"{part}-{recipe.seed}"
    own = recipe.with_changes(dataset=f"npz:{pictures}")
    run = train(own, out, resume=(out / "recipe.json").exists())
    assert run.test is not None
    print(f"{part}, seed {recipe.seed}: {run.test.summary()}, {run.seconds:.0f} s", flush=True)
    return {
        "name": part,
        "seed": recipe.seed,
        "n": run.test.n,
        "errors": run.test.errors,
        "accuracy": run.test.accuracy,
        "loss": run.test.loss,
        "ece": run.test.reliability.error,
        "read": read_right(out / "model.onnx", pictures),
        "seconds": run.seconds,
        "recipe": recipe.as_dict(),
    }


def read_right(model: Path, file: Path) -> float:
    """Share of the pictures that the reader reads right, not knowing that each is one letter."""
    reader = Reader(model)
    with np.load(file) as arrays:
        pictures, names = arrays["X_test"], arrays["y_test"]
    read = np.array([reader.read(picture).text for picture in pictures])
    return float(np.mean(read == names))


def table(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Mean and standard deviation over the seeds of each part, in the recipe's last form."""
    result = {}
    for part in (part for part in SEEDS if any(row["name"] == part for row in rows)):
        own = last_form(rows, part)
        result[part] = {"n": own[0]["n"], **over_seeds(own, "read", "ece", "seconds")}
    return result


# --- pictures -----------------------------------------------------------------------------------


def write_pictures(part: str, data: Path, path: Path) -> None:
    """Write X, y of the writers trained on and X_test, y_test of a part's: uint8 [N, 64, 64]."""
    pictures, names, writers = tablet(data)
    measured_on = writers % TURN == TURNS[part]
    trained_on = ~np.isin(writers % TURN, [TURNS[part], TURNS["test"]])
    drawn, drawn_names = drawn_again(data, np.unique(writers[trained_on]))
    with np.load(data / "dev" / "letter_photos.npz") as file:
        photos, photo_names = file["X"], file["label"]
    with whole(path) as draft, draft.open("wb") as out:
        np.savez_compressed(
            out,
            X=np.concatenate([pictures[trained_on], drawn, photos]),
            y=np.char.upper(np.concatenate([names[trained_on], drawn_names, photo_names])),
            X_test=pictures[measured_on],
            y_test=np.char.upper(names[measured_on]),
        )


def tablet(data: Path) -> tuple[Pictures, Names, NDArray[np.int64]]:
    """The tablet's letters, their names, and who wrote each: the first of a name is writer 0's."""
    with np.load(data / "dev" / "tablet_characters.npz") as file:
        letters = np.isin(file["label"], list(string.ascii_letters))
        pictures, names = file["X"][letters], file["label"][letters]
    writers = np.empty(len(names), np.int64)
    for name in string.ascii_letters:
        writers[names == name] = np.arange(np.count_nonzero(names == name))
    return pictures, names, writers


def drawn_again(data: Path, writers: NDArray[np.int64]) -> tuple[Pictures, Names]:
    """Strokes of writers drawn with pens of other widths, each time bent a little."""
    hands = stroke_hands(data / "dev" / "tablet_strokes.json")
    rng = np.random.default_rng(0)
    names = np.tile(list(string.ascii_letters), AGAIN * len(writers))
    by = np.repeat(writers, AGAIN * len(string.ascii_letters))
    pictures = [
        in_the_middle(hands[writer].draw(name, rng).ink)
        for writer, name in zip(by, names, strict=True)
    ]
    return np.stack(pictures), names


def in_the_middle(ink: NDArray[np.float32]) -> Pictures:
    """Ink, float32 [h, w], in the middle of a picture: uint8 [64, 64], ink bright."""
    scale = INK / max(ink.shape)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = np.clip(cv2.resize(ink, None, fx=scale, fy=scale, interpolation=how), 0, 1)
    picture = np.zeros((SIDE, SIDE), np.uint8)
    height, width = small.shape
    top, left = (SIDE - height) // 2, (SIDE - width) // 2
    picture[top : top + height, left : left + width] = np.rint(255 * small)
    return picture


if __name__ == "__main__":
    main()
