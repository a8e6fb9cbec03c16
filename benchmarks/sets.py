"""The pictures that are read, each with its truth: real ones, and synthetic pages.

A set's pictures are opened or made one by one, as they are asked for, so that several processes
can share the work. MNIST's and the synthetic pages have a held-out variant, to choose by; the
collections and photographs are few, have none, and were looked at as choices were made. Pictures
without digits are in `nothing.py`.
"""

from __future__ import annotations

import argparse
import csv
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

from digitreader.detection import Layout
from digitreader.training.datasets import hold_out, load
from digitreader.training.synthetic.hands import (
    FontHand,
    Hands,
    ScannedHand,
    StrokeHand,
    fonts_in,
    stroke_hands,
)
from digitreader.training.synthetic.pages import Range, synthetic_page
from digitreader.training.synthetic.sheet import Written
from scores import Found

PAGES = 320  # synthetic ones; they hold some 3,000 lines
PAGE = Range(side=(600, 1600), digit=(24.0, 70.0))  # px
HELD_OUT = 5000  # MNIST training images that no shipped model is trained on
FONTS = ("DejaVuSans.ttf", "DejaVuSerif.ttf", "DejaVuSansMono.ttf", "STIXGeneral.ttf", "cmr10.ttf")


@dataclass(frozen=True, eq=False)
class Case:
    """One picture and the truth about it; `digits` is None where nobody knows the boxes."""

    name: str
    picture: Path | NDArray[np.uint8]
    lines: tuple[str, ...]
    digits: tuple[Found, ...] | None = None
    kind: str = ""


@dataclass(frozen=True, eq=False)
class Pictures:
    """A set: how many pictures, how they are laid out, and the picture of a number."""

    count: int
    layout: Layout
    case: Callable[[int], Case]


MakeSet = Callable[[Path, bool], Pictures]  # from the data folder; True: held out, if it can be


def add_data(parser: argparse.ArgumentParser) -> None:
    """Let the data's folder be named."""
    place = os.environ.get("DIGITREADER_DATA")
    parser.add_argument("--data", type=data_folder, default=place, required=place is None,
                        help="the folder of mnist/ and dev/; $DIGITREADER_DATA")  # fmt: skip


def data_folder(text: str) -> Path:
    """Return the folder of that name, where it holds the development sets."""
    if not (Path(text) / "dev").is_dir():
        raise argparse.ArgumentTypeError(f"{text} has no folder 'dev' with pictures to read")
    return Path(text)


def files(folder: str, *starts: str, layout: Layout = "single") -> MakeSet:
    """Pictures of a folder with a `labels.csv`, those whose name starts so; held out, the same."""

    def make(data: Path, held_out: bool) -> Pictures:
        del held_out
        root = data / "dev" / folder
        with (root / "labels.csv").open(encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row["file"].startswith(starts)]

        def case(i: int) -> Case:
            name = rows[i]["file"]
            says = rows[i].get("label") or rows[i]["lines"]
            return Case(name, root / name, tuple(says.split("|")), kind=name.split("_")[0])

        return Pictures(len(rows), layout, case)

    return make


def arrays(name: str) -> MakeSet:
    """Single digits of an .npz file; held out, the same."""

    def make(data: Path, held_out: bool) -> Pictures:
        del held_out
        with np.load(data / "dev" / f"{name}.npz") as file:
            images = (file["X"] * (255 if file["X"].max() == 1 else 1)).astype(np.uint8)
            labels = [str(label) for label in file["y"]]
        return singles(name, images, labels)

    return make


def mnist(data: Path, held_out: bool) -> Pictures:
    """MNIST's test images, or those held out of training, as pictures."""
    split = load("mnist", data / "mnist")
    assert split.test is not None
    part = hold_out(split.train, HELD_OUT, 0)[1] if held_out else split.test
    return singles("mnist", part.images, [str(target) for target in part.targets])


def singles(name: str, images: NDArray[np.uint8], labels: list[str]) -> Pictures:
    """Pictures of one digit each: uint8 [N, H, W]."""
    return Pictures(len(images), "single", lambda i: Case(f"{name}[{i}]", images[i], (labels[i],)))


def synthetic(data: Path, held_out: bool) -> Pictures:
    """Pages written by people, and printed in fonts, that no model was trained on."""
    hands = writers(data, held_out)

    def case(i: int) -> Case:
        page = synthetic_page(hands, np.random.default_rng((2, held_out, i)), bounds=PAGE)
        return Case(f"synthetic[{i}], {page.kind}", page.pixels, page.lines,
                    truth(page.digits), page.kind)  # fmt: skip

    return Pictures(PAGES, "auto", case)


def truth(written: tuple[Written, ...]) -> tuple[Found, ...]:
    return tuple(Found(mark.label, mark.box) for mark in written)


@lru_cache(maxsize=2)
def writers(data: Path, held_out: bool) -> Hands:
    """All who write on the synthetic pages.

    About half of the digits are MNIST's, those of its test writers or of the held-out images, and
    half a tablet's writers'. Of these, one in three writes on held-out pages only, so that what
    is chosen on those was not chosen on the test's writers.
    """
    tablet = tablet_writers(data, held_out)
    split = load("mnist", data / "mnist")
    assert split.test is not None
    scanned = ScannedHand(hold_out(split.train, HELD_OUT, 0)[1] if held_out else split.test)
    # A quarter of the digits is drawn from those who write letters, the rest from these.
    return Hands((scanned,) * (2 * len(tablet)) + tablet, tablet, printed())


def tablet_writers(data: Path, held_out: bool) -> tuple[StrokeHand, ...]:
    everyone = _tablet(data / "dev" / "tablet_strokes.json")
    return tuple(hand for i, hand in enumerate(everyone) if (i % 3 == 0) == held_out)


@lru_cache(maxsize=1)
def _tablet(path: Path) -> tuple[StrokeHand, ...]:
    return stroke_hands(path)


def printed() -> tuple[FontHand, ...]:
    """Return the fonts that matplotlib ships."""
    return fonts_in(Path(mpl.get_data_path()) / "fonts" / "ttf", FONTS, printed=True)


SINGLE: dict[str, MakeSet] = {
    "drawn": files("drawn", "drawn_"),
    "scans": files("photos", "scan_"),
    "phone photos": files("photos", "phone_"),
    "hwd1000": arrays("hwd1000"),
    "optdigits32": arrays("optdigits32"),
    "nsysu": arrays("nsysu"),
    "dida": arrays("dida_dev"),
}
PAGED: dict[str, MakeSet] = {
    "pages and forms": files("pages", "page_", "form_", layout="auto"),
    "synthetic pages": synthetic,
}
