"""Who writes on synthetic pages: MNIST's digits, and the letters of fonts.

Handwritten and printed fonts come from a folder, as `npm install @fontsource/caveat …` makes
it, or any other with .ttf, .otf or .woff files of these names. All are under the SIL Open Font
License or Apache's. Without a folder the fonts that matplotlib ships must do.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from digitreader.errors import DataError, UsageError
from digitreader.training.catalogue import DIGITS
from digitreader.training.datasets import Dataset, Split, keep_and_hold, load
from digitreader.training.synthetic.hands import (
    Hand,
    Hands,
    ScannedHand,
    fonts_in,
    invented_hand,
)

HANDWRITTEN = """
    caveat kalam patrick-hand indie-flower shadows-into-light gloria-hallelujah
    nothing-you-could-do reenie-beanie homemade-apple cedarville-cursive la-belle-aurore
    over-the-rainbow covered-by-your-grace rock-salt permanent-marker just-another-hand gochi-hand
    coming-soon annie-use-your-telescope architects-daughter handlee neucha sue-ellen-francisco
    waiting-for-the-sunrise zeyada crafty-girls schoolbell walter-turncoat short-stack delius
    mynerve nanum-pen-script gaegu hi-melody dekko amatic-sc dawning-of-a-new-day give-you-glory
    loved-by-the-king kristi mansalva sedgwick-ave the-girl-next-door swanky-and-moo-moo
    just-me-again-down-here herr-von-muellerhoff mrs-saint-delafield dancing-script pacifico
    marck-script bad-script caveat-brush single-day gamja-flower east-sea-dokdo
    cabin-sketch
"""
PRINTED = """
    roboto open-sans lato merriweather playfair-display roboto-slab source-code-pro inconsolata
    oswald pt-serif eb-garamond special-elite courier-prime libre-baskerville bebas-neue anton
    abril-fatface
"""
ITALIC = ("DejaVuSans-Oblique.", "DejaVuSerif-Italic.", "STIXGeneralItalic.", "cmmi10.")
UPRIGHT = ("DejaVuSans.", "DejaVuSerif.", "DejaVuSansMono.", "STIXGeneral.", "cmr10.")
HELD_OUT = 5000  # images, as a recipe holds out by default; at most a tenth
INVENTED = 8  # alphabets that nobody writes, beside the fonts' letters
PARTS = ("train", "held-out", "test")


def writers(
    fonts: Path | None = None,
    part: str = "train",
    data_dir: Path | None = None,
    dataset: str = "mnist",
) -> Hands:
    """Return those who write with one part of a dataset of digits: `train`, `held-out` or `test`.

    Raises:
        DataError: the dataset is missing or not of digits, or the folder has none of the fonts.
        UsageError: there is no such dataset or part.
    """
    return writers_with(_part(load(dataset, data_dir), part), fonts)


def writers_with(digits: Split, fonts: Path | None = None) -> Hands:
    """Return those who write with these digits, and with a folder's fonts or matplotlib's."""
    hand = ScannedHand(digits)
    if fonts is None:
        import matplotlib

        shipped = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
        italic = fonts_in(shipped, ITALIC, printed=False)
        return Hands((hand,), italic, fonts_in(shipped, UPRIGHT, printed=True))
    named = [tuple(f"{name}-latin" for name in names.split()) for names in (HANDWRITTEN, PRINTED)]
    letters = (*fonts_in(fonts, named[0], printed=False), *_invented())
    return Hands((hand,), letters, fonts_in(fonts, named[1], printed=True))


def _invented() -> tuple[Hand, ...]:
    return tuple(invented_hand(np.random.default_rng(seed)) for seed in range(INVENTED))


def _part(dataset: Dataset, part: str) -> Split:
    if dataset.labels != DIGITS:
        raise DataError(f"{dataset.name} has other labels than 0–9: pages are of digits")
    if part not in PARTS:
        raise UsageError(f"{dataset.name} has no part {part!r}; there are: {', '.join(PARTS)}")
    if part == "test":
        if dataset.test is None:
            raise DataError(f"{dataset.name} has no test images")
        return dataset.test
    kept, held = keep_and_hold(dataset, HELD_OUT, fold=0)
    return kept if part == "train" else held
