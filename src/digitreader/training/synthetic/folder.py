"""A folder of synthetic pages: PNG files, and the truth about them, a line of JSON to a page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from digitreader.errors import UsageError
from digitreader.training.synthetic.hands import Hands
from digitreader.training.synthetic.pages import KINDS, Range, SyntheticPage, synthetic_page
from digitreader.writing import make_folder, whole

TRUTH = "truth.jsonl"


def write_pages(  # noqa: PLR0913 (all but the first three by name)
    hands: Hands,
    out: Path,
    count: int,
    *,
    seed: int = 0,
    kind: str | None = None,
    bounds: Range | None = None,
) -> Iterator[Path]:
    """Write pages into a new or empty folder, yielding each picture's path when it is there.

    Page i of a seed is the same however many there are. `truth.jsonl` appears when all are
    written: for each page its file, kind, lines, and the label and box [x, y, width, height]
    in px of each digit.

    Raises:
        UsageError: the folder is not empty, or no kind of page is called so.
    """
    if kind is not None and kind not in KINDS:
        raise UsageError(f"no kind of page is called {kind!r}; there are: {', '.join(KINDS)}")
    if out.exists() and any(out.iterdir()):
        raise UsageError(f"{out} is not empty: choose another folder")
    make_folder(out)
    digits = len(str(max(count - 1, 0)))
    with whole(out / TRUTH) as draft, draft.open("w", encoding="utf-8") as truth:
        for i in range(count):
            page = synthetic_page(hands, np.random.default_rng((seed, i)), kind, bounds)
            path = out / f"page_{i:0{digits}}.png"
            with whole(path) as picture:
                Image.fromarray(page.pixels).save(picture, format="PNG")
            truth.write(json.dumps(_row(path.name, page)) + "\n")
            yield path


def _row(name: str, page: SyntheticPage) -> dict[str, object]:
    return {
        "file": name,
        "kind": page.kind,
        "lines": page.lines,
        "digits": [{"label": w.label, "box": list(w.box)} for w in page.digits],
    }
