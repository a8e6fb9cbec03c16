"""How well the shipped model reads handwriting that is not MNIST.

    python benchmarks/reading.py [--data ../shared/data] [--model FILE]

Every picture of the development sets goes through `Reader.read(picture, "single")`, as a user's
would. Pages count whole: a page is right when all its lines are. The result is written to
`benchmarks/results/reading.json`.
"""

from __future__ import annotations

import argparse
import csv
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from digitreader.outputs import write_json_file
from digitreader.reader import Reader
from digitreader.training.datasets import load
from digitreader.training.metrics import score, wilson

RESULT = Path(__file__).parent / "results" / "reading.json"
Labelled = Iterable[tuple[Any, str, str]]  # a source, what it says, what it is called


def main() -> None:
    """Measure every set that is there, print a table and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("DIGITREADER_DATA", ".")))
    parser.add_argument("--model", type=Path)
    parser.add_argument("--output", type=Path, default=RESULT)
    options = parser.parse_args()
    reader = Reader(options.model)
    mnist = load("mnist", options.data / "mnist")
    assert mnist.test is not None
    scores = score(reader.classify(mnist.test.images), mnist.test.targets, mnist.labels)
    results: dict[str, Any] = {"mnist test, classify": row(scores.n - scores.errors, scores.n, [])}
    for name, (layout, pictures) in SETS.items():
        wrong = []
        n = 0
        for source, expected, called in pictures(options.data / "dev"):
            reading = reader.read(source, layout)  # type: ignore[arg-type]
            n += 1
            if "|".join(reading.lines) != expected:
                wrong.append(
                    f"{called}: {'|'.join(reading.lines) or reading.status}, not {expected}"
                )
        results[name] = row(n - len(wrong), n, wrong)
        print(f"{name:24} {n - len(wrong):5}/{n:<5} {100 * (n - len(wrong)) / n:6.2f}%", flush=True)
        for line in wrong[:6]:
            print("    ", line)
    write_json_file({"model": reader.model, "command": "python benchmarks/reading.py",
                     "sets": results}, options.output)  # fmt: skip


def row(right: int, n: int, wrong: list[str]) -> dict[str, Any]:
    return {"right": right, "n": n, "accuracy": right / n, "accuracy_95": wilson(right, n),
            "wrong": wrong[:20]}  # fmt: skip


def files(folder: str, start: str) -> Callable[[Path], Labelled]:
    """Pictures of a folder with a `labels.csv`, those whose name starts so."""

    def pictures(root: Path) -> Iterator[tuple[Any, str, str]]:
        with (root / folder / "labels.csv").open(encoding="utf-8") as file:
            for entry in csv.DictReader(file):
                if entry["file"].startswith(start):
                    says = entry.get("label") or entry["lines"]
                    yield root / folder / entry["file"], says, entry["file"]

    return pictures


def arrays(name: str) -> Callable[[Path], Labelled]:
    """Pictures of an .npz file."""

    def pictures(root: Path) -> Iterator[tuple[Any, str, str]]:
        with np.load(root / f"{name}.npz") as file:
            images = file["X"] * (255 if file["X"].max() == 1 else 1)
            for i, (image, label) in enumerate(zip(images, file["y"], strict=True)):
                yield image.astype(np.uint8), str(label), f"{name}[{i}]"

    return pictures


SETS: dict[str, tuple[str, Callable[[Path], Labelled]]] = {
    "drawn": ("single", files("drawn", "drawn_")),
    "scans": ("single", files("photos", "scan_")),
    "phone photos": ("single", files("photos", "phone_")),
    "hwd1000": ("single", arrays("hwd1000")),
    "optdigits32": ("single", arrays("optdigits32")),
    "nsysu": ("single", arrays("nsysu")),
    "dida": ("single", arrays("dida_dev")),
    "pages": ("auto", files("pages", "page_")),
    "forms": ("auto", files("pages", "form_")),
}

if __name__ == "__main__":
    main()
