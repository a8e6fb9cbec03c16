"""How well pictures are read that no model was trained on.

    python benchmarks/reading.py                      # all of it, on the test pictures
    python benchmarks/reading.py --peers              # and Tesseract and RapidOCR beside
    python benchmarks/reading.py --held-out           # other synthetic pages: to choose by
    python benchmarks/reading.py --parts photo --limit 5

- sets: MNIST's test images through `classify`; collections of single digits, and photographed
  pages and forms, through `Reader.read`.
- synthetic: written pages whose every digit is known; lines, and digits by their boxes.
- invented: empty papers, letters and glyphs; every digit read in them is made up.
- photo: one picture of 12 megapixels; seconds, memory, boxes.

Held out are other images of MNIST, other writers' synthetic pages, papers and letters; collections
and photographs have no held-out variant and are the same either way.

A line is right when all its digits are; lines read beyond those of the page count as errors.
Data come from `--data` or $DIGITREADER_DATA. `benchmarks/results/reading.json` is written when
everything was read, `reading_peers.json` beside it with `--peers`; otherwise name an `--output`.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import photo
from digitreader.outputs import write_json_file
from digitreader.reader import Reader
from digitreader.training.datasets import hold_out, load
from digitreader.training.metrics import score
from machine import describe, models
from nothing import EMPTY
from peers import compare
from pool import OURS, OurReader, Run, outcomes
from scores import Outcome, count_lines, count_marks, invented_row, lines_row, marks_row, share
from sets import HELD_OUT, SINGLE, add_data

RESULTS = Path(__file__).parent / "results"
PAGES = "pages and forms"
SYNTHETIC = "synthetic pages"
VERSIONS = ("digitreader", "onnxruntime", "numpy", "opencv-python-headless")
PHOTO_RUNS = 9


def main() -> None:
    """Measure what is asked for, print it and write it down."""
    options = arguments()
    run = Run(options.data, options.held_out, options.workers, options.limit)
    told = {"model": Reader(options.model).model, "models": models(options.model),
            "command": command(options), "machine": describe(*VERSIONS),
            "held_out": options.held_out}  # fmt: skip
    result = dict(told)
    for part in options.parts:
        result[part] = PARTS[part](options.model, run)
    written(result, options, "reading")
    if options.peers:
        beside = {**told, **compare(options.model, run)}
        written(beside, options, "reading_peers")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add_data(parser)
    add("--model", type=Path, help="an .onnx file; the shipped one where none is named")
    add("--parts", nargs="*", choices=PARTS, default=list(PARTS), help="only these")
    add("--peers", action="store_true", help="read a sample with Tesseract and RapidOCR, too")
    add("--held-out", action="store_true", help="pictures to choose by, where there are others")
    add("--limit", type=int, help="only so many pictures of each set, to try it out")
    add("--workers", type=int, default=os.cpu_count(), help="processes")
    add("--output", type=Path, help="folder of the results")
    return parser.parse_args()


def command(options: argparse.Namespace) -> str:
    """Return what was called, without the places of files."""
    flags = [f"--{name.replace('_', '-')}" for name in ("peers", "held_out") if vars(options)[name]]
    parts = ["--parts", *options.parts] if options.parts != list(PARTS) else []
    limit = ["--limit", str(options.limit)] if options.limit else []
    return " ".join(["python benchmarks/reading.py", *parts, *flags, *limit])


def written(result: dict[str, Any], options: argparse.Namespace, name: str) -> None:
    """Keep a result: in the folder named, or where everything was read on the test's pictures."""
    whole = not options.held_out and not options.limit and not options.model
    whole = whole and (name != "reading" or options.parts == list(PARTS))
    if options.output or whole:
        folder = options.output or RESULTS
        folder.mkdir(parents=True, exist_ok=True)
        write_json_file(result, folder / f"{name}.json")


# --- parts --------------------------------------------------------------------------------------


def sets(model: Path | None, run: Run) -> dict[str, Any]:
    """Real pictures: single digits, then pages and forms by lines and as wholes."""
    rows = {"mnist test, classify": classified(model, run)}
    say("mnist test, classify", rows["mnist test, classify"])
    make = partial(OurReader, model)
    for name in SINGLE:
        rows[name] = whole_row(outcomes(name, make, run))
        say(name, rows[name])
    pages = outcomes(PAGES, make, run)
    lines = [count_lines(o.lines, o.answers[OURS].lines, spaces=True) for o in pages]
    rows[f"{PAGES}, lines"] = lines_row(lines)
    rows[f"{PAGES}, whole"] = whole_row(pages)
    rows["forms, whole"] = whole_row([o for o in pages if o.kind == "form"])
    for name in (f"{PAGES}, lines", f"{PAGES}, whole", "forms, whole"):
        say(name, rows[name])
    return rows


def classified(model: Path | None, run: Run) -> dict[str, Any]:
    """MNIST's test images, or those held out of training, through `classify`."""
    mnist = load("mnist", run.data / "mnist")
    assert mnist.test is not None
    part = hold_out(mnist.train, HELD_OUT, 0)[1] if run.held_out else mnist.test
    probabilities = Reader(model).classify(part.images[: run.limit])
    scores = score(probabilities, part.targets[: run.limit], mnist.labels)
    return {**share(scores.n - scores.errors, scores.n), "wrong": []}


def whole_row(read: Sequence[Outcome]) -> dict[str, Any]:
    """Pictures of which every line is right and nothing else was read."""
    wrong = [o for o in read if o.answers[OURS].lines != o.lines]
    said = [f"{o.name}: {'|'.join(o.answers[OURS].lines) or 'nothing'}, not {'|'.join(o.lines)}"
            for o in wrong]  # fmt: skip
    return {**share(len(read) - len(wrong), len(read)), "wrong": said[:20]}


def synthetic(model: Path | None, run: Run) -> dict[str, Any]:
    """Written pages: lines and digits, in all and by kind of page."""
    read = outcomes(SYNTHETIC, partial(OurReader, model), run)
    kinds = sorted({outcome.kind for outcome in read})
    result = {**pages_row(read), "kinds": {
        kind: pages_row([o for o in read if o.kind == kind]) for kind in kinds}}  # fmt: skip
    for kind, row in [("all", result), *result["kinds"].items()]:
        say(f"synthetic, {kind}, lines", row["lines"])
        f1, found = (row["digits"][name] for name in ("f1", "found_f1"))
        if f1 is not None:
            print(f"{'':32} digits: F1 {f1:.4f}, boxes alone {found:.4f}")
    return result


def pages_row(read: Sequence[Outcome]) -> dict[str, Any]:
    lines = [count_lines(o.lines, o.answers[OURS].lines) for o in read]
    marks = [count_marks(o.digits or (), o.answers[OURS].digits or ()) for o in read]
    return {"pages": len(read), "lines": lines_row(lines), "digits": marks_row(marks)}


def invented(model: Path | None, run: Run) -> dict[str, Any]:
    """Pictures without a digit, in all and by what they show."""
    result: dict[str, Any] = {}
    for name in EMPTY:
        read = outcomes(name, partial(OurReader, model), run)
        kinds = sorted({outcome.kind for outcome in read})
        result[name] = {**invented_row(read, OURS), "kinds": {
            kind: invented_row([o for o in read if o.kind == kind], OURS)
            for kind in kinds}}  # fmt: skip
        for kind, row in [("all", result[name]), *result[name]["kinds"].items()]:
            print(f"{name}, {kind}: {row['digits_per_picture']:.3f} digits a picture, "
                  f"{row['ok_digits_per_picture']:.3f} of them ok, n = {row['n']}")  # fmt: skip
        print("\n".join(f"     {line}" for line in result[name]["worst"]), flush=True)
    return result


def big_photo(model: Path | None, run: Run) -> dict[str, Any]:
    """A picture of 12 megapixels, in a process of its own."""
    result = photo.measure(run.data, run.held_out, model, PHOTO_RUNS)
    print(f"photo: {result['seconds_median']:.2f} s, {result['peak_mb']:.0f} MB, "
          f"digits {result['digits']}, lines {result['lines']}", flush=True)  # fmt: skip
    return result


def say(name: str, row: dict[str, Any]) -> None:
    """Print a row, and the first few that were wrong."""
    low, high = row["accuracy_95"] or (0, 1)
    accuracy = 100 * (row["accuracy"] or 0)
    print(f"{name:32} {row['right']:5}/{row['n']:<5} {accuracy:6.2f}% "
          f"({100 * low:.2f}–{100 * high:.2f})", flush=True)  # fmt: skip
    for line in row.get("wrong", ())[:6]:
        print("    ", line)


PARTS: dict[str, Callable[[Path | None, Run], dict[str, Any]]] = {
    "sets": sets,
    "synthetic": synthetic,
    "invented": invented,
    "photo": big_photo,
}

if __name__ == "__main__":
    main()
