"""The images of a run: what it trains on, what it holds out, and what is made up besides."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from digitreader.errors import DataError
from digitreader.training.catalogue import DIGITS
from digitreader.training.datasets import Dataset, Split, hold_out, keep_and_hold
from digitreader.training.recipes import Recipe
from digitreader.training.synthetic.cut import cut_glyphs
from digitreader.training.synthetic.outliers import outliers
from digitreader.training.synthetic.writers import writers_with

NO_CLASS = ""  # the label of what is no digit


@dataclass(frozen=True, eq=False)
class Images:
    """What a run trains on, what it holds out, and the classes that its network tells apart."""

    dataset: Dataset
    kept: Split
    held: Split | None
    labels: tuple[str, ...]


def images_of(dataset: Dataset, recipe: Recipe, fonts: Path | None) -> Images:
    """Part the training images in those trained on and those held out, and make up more."""
    kept, held = dataset.train, None
    if recipe.validation:
        kept, held = keep_and_hold(dataset, recipe.validation, recipe.fold)
    if recipe.start_from:
        kept = _replayed(kept, recipe)
    if len(kept) < recipe.batch_size:
        raise DataError(
            f"{dataset.name} has {len(dataset.train)} training images; expected at least "
            f"{recipe.batch_size} (one batch) beside the validation images: lower --batch-size"
        )
    labels = dataset.labels + (NO_CLASS,) * bool(recipe.outliers)
    if (recipe.page_glyphs or recipe.outliers) and dataset.labels != DIGITS:
        raise DataError(
            f"{dataset.name} has other labels than 0–9: page_glyphs and outliers are made up "
            "beside digits alone; expected 0 of both"
        )
    made_up = _made_up(kept, recipe, fonts)
    return Images(dataset, kept + made_up, held, labels)


def _replayed(known: Split, recipe: Recipe) -> Split:
    """As many of the known images as are to be shown again; where they are few, the same again."""
    if recipe.replayed < len(known):
        return hold_out(known, recipe.replayed, recipe.seed)[1]
    return known.take(np.resize(np.arange(len(known)), recipe.replayed))


def _made_up(kept: Split, recipe: Recipe, fonts: Path | None) -> Split:
    """Digits cut from pages that the images wrote, and what is no digit, as the recipe says."""
    made = kept.take(np.arange(0))
    if not (recipe.page_glyphs or recipe.outliers):
        return made
    hands = writers_with(kept, fonts)
    if recipe.page_glyphs:
        made += cut_glyphs(hands, recipe.page_glyphs, recipe.seed)
    if recipe.outliers:
        images = outliers(hands, kept, recipe.outliers, recipe.seed)
        made += Split(images, np.full(len(images), len(DIGITS), np.int64))
    return made
