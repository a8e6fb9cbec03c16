"""Which ink stage reads best: ours, or the thresholds of Sauvola and of Wolf.

    python benchmarks/ink.py [--limit 5] [--output FILE]

First against the truth: synthetic pages are drawn once as ink alone and once on paper, in light,
photographed; the F-measure of pixels tells how much of the ink a stage gives back. Ruled lines
are neither right nor wrong. Then by what comes of it: everything after the ink stays as it is,
and real and synthetic pictures are read. Synthetic pages are the held-out ones, since this is for
choosing; the real pictures have no such variant. Result in `benchmarks/results/ink.json`.

Sauvola & Pietikäinen 2000, "Adaptive document image binarization": T = m(1 + k(s/R − 1)), with
mean m and deviation s of a window, R = 128, k = 0.5. Wolf & Jolion 2004, "Extraction and
recognition of artificial text in multimedia documents": T = m − k(1 − s/S)(m − M), with the
greatest deviation S and the least grey M of the page, k = 0.5. Both know only dark ink on light
paper, so they are given the plane that ours starts from, the right way round. As they were
published they say yes or no; "grey" keeps ours within what they say yes to, and its rim.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from digitreader import ink as ink_stage
from digitreader import reader
from digitreader.outputs import write_json_file
from digitreader.training.synthetic import papers
from digitreader.training.synthetic.pages import KINDS
from digitreader.training.synthetic.pens import Colour
from digitreader.training.synthetic.pens import Ink as Coverage
from digitreader.training.synthetic.sheet import Sheet
from machine import describe, models
from pool import OURS, Engine, OurReader, Run, outcomes, sample
from scores import count_lines, lines_row, share
from sets import PAGE, PAGED, add_data, writers

Pixels = NDArray[np.uint8]
Ink = NDArray[np.float32]
InkOf = Callable[[Pixels], ink_stage.Inked]
Mask = NDArray[np.bool_]

PAGES = 60  # synthetic ones whose ink is known
MOST = 300  # pictures of each set that are read
COVERED = 0.5  # by a pen; from there a pixel is ink
CUTS = (0.5, 0.25, 0.1)  # from which a stage's answer counts as ink; the thresholds say 0 or 1
SETS = ("phone photos", "scans", "nsysu", "dida", "pages and forms", "synthetic pages")


# --- stages -------------------------------------------------------------------------------------


def sauvola(plane: Ink, window: int, k: float = 0.5) -> Mask:
    """What is darker than Sauvola's threshold: float32 [H, W] in 0–255, paper bright → [H, W]."""
    mean, deviation = around(plane, window)
    return np.asarray(plane < mean * (1 + k * (deviation / 128 - 1)), np.bool_)


def wolf(plane: Ink, window: int, k: float = 0.5) -> Mask:
    """What is darker than Wolf's threshold: float32 [H, W] in 0–255, paper bright → [H, W]."""
    mean, deviation = around(plane, window)
    greatest = max(float(deviation.max()), 1e-6)
    threshold = mean - k * (1 - deviation / greatest) * (mean - float(plane.min()))
    return np.asarray(plane < threshold, np.bool_)


def around(plane: Ink, window: int) -> tuple[Ink, Ink]:
    """Mean and standard deviation in a window about each pixel: two of [H, W]."""
    size = (window, window)
    mean = cv2.boxFilter(plane, cv2.CV_64F, size)
    square = cv2.boxFilter(plane.astype(np.float64) ** 2, cv2.CV_64F, size)
    deviation = np.sqrt(np.maximum(square - mean**2, 0))
    return mean.astype(np.float32), deviation.astype(np.float32)


Threshold = Callable[..., Mask]


@dataclass(frozen=True)
class Thresholded:
    """An ink stage made of a threshold: binary as published, or `grey` where ours has its grey."""

    threshold: Threshold
    window: int
    k: float = 0.5
    grey: bool = False

    def __call__(self, pixels: Pixels) -> ink_stage.Inked:
        """Ink of a page: uint8 [H, W] or [H, W, 3]; the finder is shown the same."""
        bright = ink_stage._paper_bright(pixels)  # only what follows is compared
        plane = ink_stage._extremes(bright)[0].astype(np.float32)
        mask = self.threshold(plane, self.window, self.k).astype(np.uint8)
        ink = mask.astype(np.float32)
        if self.grey:
            ink = ink_stage.ink_of(pixels) * cv2.dilate(mask, np.ones((3, 3), np.uint8))
        return ink_stage.Inked(ink, ink, ink)


def cleaned(pixels: Pixels) -> ink_stage.Inked:
    """Ours, but the finder is shown the clean ink, not the contrast with its noise."""
    ink = ink_stage.ink_of(pixels)
    return ink_stage.Inked(ink, ink, ink)


STAGES: dict[str, InkOf] = {
    "ours": ink_stage.inked,
    "ours, the finder shown clean ink": cleaned,
    **{f"Sauvola, {w} px": Thresholded(sauvola, w) for w in (21, 61, 121)},
    "Sauvola, 61 px, k = 0.2": Thresholded(sauvola, 61, 0.2),
    **{f"Wolf, {w} px": Thresholded(wolf, w) for w in (21, 61, 121)},
    "ours within Sauvola, 61 px, k = 0.2": Thresholded(sauvola, 61, 0.2, grey=True),
    "ours within Wolf, 61 px": Thresholded(wolf, 61, grey=True),
}


# --- against the truth --------------------------------------------------------------------------


class TracedSheet(Sheet):
    """A sheet that remembers how far each pixel is covered by pens, however faint they are."""

    def __init__(self, left: NDArray[np.float32], rng: np.random.Generator) -> None:
        super().__init__(left, rng)
        self.covered = np.zeros(left.shape[:2], np.float32)

    def _stain(self, ink: Coverage, x: int, y: int, colour: Colour, strength: float) -> None:
        super()._stain(ink, x, y, colour, strength)
        place = self.covered[y : y + ink.shape[0], x : x + ink.shape[1]]
        np.maximum(place, ink, out=place)


def traced_page(data: Path, number: int) -> tuple[Pixels, Mask, Mask]:
    """A page, uint8 [H, W, 3]; where its ink is, and where to look: [H, W] both.

    Composed as `synthetic_page` does it.
    """
    rng = np.random.default_rng((8, number))
    shape = tuple(int(side) for side in rng.integers(PAGE.side[0], PAGE.side[1] + 1, 2))
    size = float(np.exp(rng.uniform(*np.log(PAGE.digit))))
    sheet = TracedSheet(papers.rules((shape[0], shape[1]), 1.6 * size, rng), rng)
    ruled = sheet.left.min(axis=2) < 1
    written = [kind for kind in KINDS if kind != "blank"]
    KINDS[written[number % len(written)]][1](sheet, writers(data, held_out=True), size)
    pixels = papers.photographed(papers.lit(sheet.left, rng), size, rng)
    ink = sheet.covered >= COVERED
    return pixels, ink, ink | ~ruled


def f_measures(data: Path, number: int) -> dict[str, list[tuple[float, float, float]]]:
    """Precision, recall and F-measure of every stage on one page, at each of CUTS."""
    pixels, truth, look = traced_page(data, number)
    inks = {name: stage(pixels).ink for name, stage in STAGES.items()}
    return {
        name: [f_measure(ink >= cut, truth, look) for cut in CUTS] for name, ink in inks.items()
    }


def f_measure(found: Mask, truth: Mask, look: Mask) -> tuple[float, float, float]:
    """Precision, recall and their harmonic mean, in the pixels that are looked at."""
    found, truth = found & look, truth & look
    right = float((found & truth).sum())
    precision, recall = right / max(1, found.sum()), right / max(1, truth.sum())
    return precision, recall, 2 * precision * recall / max(1e-9, precision + recall)


def against_truth(run: Run) -> dict[str, Any]:
    """Mean over pages of each stage's precision, recall and F, with the mean's 95% interval."""
    numbers = range(PAGES if run.limit is None else run.limit)
    with ProcessPoolExecutor(run.workers, get_context("spawn")) as pool:
        pages = list(pool.map(partial(f_measures, run.data), numbers))
    rows: dict[str, Any] = {}
    for name in STAGES:
        values = np.array([page[name] for page in pages])  # [pages, cuts, 3]
        half = 1.96 * values[..., 2].std(axis=0, ddof=1) / len(pages) ** 0.5  # [cuts]
        rows[name] = {
            f"from {cut}": {"precision": p, "recall": r, "f": f, "f_95": [f - h, f + h],
                            "pages": len(pages)}
            for cut, (p, r, f), h in zip(
                CUTS, values.mean(axis=0).tolist(), half.tolist(), strict=True
            )
        }  # fmt: skip
        said = (f"{100 * row['f']:.1f} {cut}" for cut, row in rows[name].items())
        print(f"{name:38} F {', '.join(said)}", flush=True)
    return rows


# --- by what comes of it ------------------------------------------------------------------------


def reading_with(stage: str) -> Engine:
    """Our reader with its ink stage replaced; for a process that does nothing else."""
    names = vars(reader)
    assert names["inked"] is ink_stage.inked, "the reader takes its ink from elsewhere"
    names["inked"] = STAGES[stage]
    return OurReader(None)


def downstream(run: Run) -> dict[str, Any]:
    """Pictures, and of pages lines, read right with each stage."""
    rows: dict[str, Any] = {}
    for stage in STAGES:
        rows[stage] = {}
        for name in SETS:
            chosen = sample(name, run, PAGES if name in PAGED else MOST)
            read = outcomes(name, partial(reading_with, stage), run, chosen, f"{stage}: {name}")
            lines = [count_lines(o.lines, o.answers[OURS].lines) for o in read]
            right = sum(o.lines == o.answers[OURS].lines for o in read)
            row = lines_row(lines) if name in PAGED else share(right, len(read))
            rows[stage][name] = row
        said = ", ".join(f"{name} {row['right']}/{row['n']}" for name, row in rows[stage].items())
        print(f"{stage}: {said}", flush=True)
    return rows


def main() -> None:
    """Measure both, print and write down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data(parser)
    parser.add_argument("--limit", type=int, help="only so many pictures of each set")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    run = Run(options.data, True, options.workers, options.limit)
    result = {
        "command": "python benchmarks/ink.py" + (f" --limit {run.limit}" if run.limit else ""),
        "models": models(),
        "machine": describe("digitreader", "numpy", "opencv-python-headless"),
        "pixels": against_truth(run),
        "read": downstream(run),
    }
    output = options.output or Path(__file__).parent / "results" / "ink.json"
    if options.output or options.limit is None:
        write_json_file(result, output)


if __name__ == "__main__":
    main()
