"""Training the finder on synthetic pages, from a recipe to the file that reading needs.

A run folder holds `recipe.json`, `history.csv` (a row per hundred steps), `last.keras` (where a
killed run goes on), and what was trained: `finder.keras`, and `finder.onnx`, its file in float32.
Batch i of a seed is always the same, so a resumed run sees what the whole one would have seen.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

import digitreader
from digitreader.errors import DivergedError, UsageError
from digitreader.training import export, page_network
from digitreader.training.epochs import save
from digitreader.training.recipes import Bounds, Recipe, check_bounds
from digitreader.training.run_folder import begun, check_folder
from digitreader.training.synthetic.windows import MakeHands, batches
from digitreader.training.synthetic.writers import writers
from digitreader.writing import whole

Tensor = Any  # Keras ships no types

ROW = 100  # steps
KEEP = 500  # steps between two states to go on from

Reporter = Callable[[int, float], None]  # steps done, loss of late

BOUNDS: Bounds = (
    (("steps", "batch_size"), lambda v: v >= 1, "1 or more"),
    (("width", "learning_rate", "clip"), lambda v: 0 < v < math.inf, "above 0"),
    (("warm_up", "averaged"), lambda v: 0 <= v < 1, "from 0 up to 1"),
    (("seed",), lambda v: 0 <= v < 2**32, "from 0 to 4294967295"),
)


@dataclass(frozen=True)
class FinderRecipe:
    """Every knob of a finder's training."""

    dataset: str = "mnist"  # whose training digits write the pages
    steps: int = 20_000
    batch_size: int = 16  # windows of 192×192 px
    width: float = 1.0  # of the network's layers
    learning_rate: float = 4e-3  # at its peak
    warm_up: float = 0.05  # share of the steps; then a cosine down to zero
    weight_decay: float = 0.02
    averaged: float = 0.995  # of the weights' moving average, which is what is kept
    clip: float = 5.0  # norm of each gradient
    seed: int = 0
    precision: str = "auto"  # bfloat16 where the processor computes in it, else float32

    def __post_init__(self) -> None:
        """Refuse values that make no sense, naming the knob."""
        check_bounds(self, BOUNDS)

    def resolved(self) -> FinderRecipe:
        """Return a copy with nothing left to the machine."""
        return replace(self, precision=Recipe(precision=self.precision).resolved().precision)


def train_finder(  # noqa: PLR0913 (all but the first two by name)
    recipe: FinderRecipe,
    out: Path,
    *,
    fonts: Path | None = None,
    resume: bool = False,
    data_dir: Path | None = None,
    workers: int = 1,
    report: Reporter | None = None,
) -> Path:
    """Train by a recipe into a folder, or go on there; return the model file.

    Raises:
        UsageError: the folder holds a run and `resume` is not set, or holds none and it is; or
            it was made by another recipe, or another process trains there.
        DataError: MNIST or the fonts are missing.
        DivergedError: the loss is no number any more.
    """
    recipe = recipe.resolved()
    check_folder(out, recipe, resume, _written)
    make_hands = partial(writers, fonts, "train", data_dir, recipe.dataset)
    make_hands()  # what is missing is said now, not by a worker
    with begun(out, recipe, resume, _written):
        network = _fit(recipe, out, make_hands, workers, report)
        network.optimizer.finalize_variable_values(network.trainable_variables)  # the average
        network = export.in_float32(network)
        save(network, out / "finder.keras")
        card = {"recipe": asdict(recipe), "digitreader": digitreader.__version__}
        return export.write_finder(network, out / "finder.onnx", card)


def _written(path: str) -> FinderRecipe:
    """The recipe in a run's file; knobs that are not in it have their defaults."""
    try:
        return FinderRecipe(**json.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError, UsageError) as error:
        raise UsageError(f"{path}: not a finder's recipe that can be read ({error})") from error


def _fit(
    recipe: FinderRecipe, out: Path, make_hands: MakeHands, workers: int, report: Reporter | None
) -> keras.Model:
    """Train a network from where it was left, its weights not averaged yet."""
    keras.utils.set_random_seed(recipe.seed)
    keras.config.set_dtype_policy("mixed_bfloat16" if recipe.precision == "bfloat16" else "float32")
    try:
        network = _last(out) or _untrained(recipe)
        start = int(network.optimizer.iterations)
        seen = batches(make_hands, recipe.seed, start, recipe.steps, recipe.batch_size, workers)
        for step, loss in enumerate(_steps(network, seen, start, out), start + 1):
            if report is not None:
                report(step, loss)
    finally:
        keras.config.set_dtype_policy("float32")
    return network


def _untrained(recipe: FinderRecipe) -> keras.Model:
    network = page_network.build(recipe.width)
    warm = round(recipe.warm_up * recipe.steps)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, max(1, recipe.steps - warm), warmup_target=recipe.learning_rate, warmup_steps=warm
    )
    optimizer = keras.optimizers.AdamW(
        rate,
        weight_decay=recipe.weight_decay,
        clipnorm=recipe.clip,
        use_ema=True,
        ema_momentum=recipe.averaged,
    )
    optimizer.build(network.trainable_variables)  # else TensorFlow traces the first step twice
    network.compile(optimizer, page_network.loss)
    return network


def _last(out: Path) -> keras.Model | None:
    path = out / "last.keras"
    if not path.exists():
        return None
    return keras.saving.load_model(path, custom_objects={"loss": page_network.loss})


def _steps(
    network: keras.Model,
    seen: Iterator[tuple[NDArray[np.uint8], NDArray[np.float32]]],
    start: int,
    out: Path,
) -> Iterator[float]:
    """Train step by step, noting losses and keeping states; yield the loss of late."""
    shown = ((shown_in(ink), truth) for ink, truth in seen)
    for step, late in enumerate(taught(network, shown), start + 1):
        if step % ROW == 0:
            _note(out, step, late)
        if step % KEEP == 0:
            save(network, out / "last.keras")
        yield late


def shown_in(ink: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Ink as the network takes it, in 0–1."""
    return np.asarray(ink / np.float32(255), np.float32)


def taught(network: keras.Model, batches: Iterable[tuple[Tensor, Tensor]]) -> Iterator[float]:
    """Train on batch after batch; yield the loss, averaged over a row's steps.

    Raises:
        DivergedError: the loss is no number.
    """
    losses: list[float] = []
    for ink, truth in batches:
        losses.append(float(network.train_on_batch(ink, truth)))
        if not math.isfinite(losses[-1]):
            raise DivergedError(
                f"the training has diverged: a loss is {losses[-1]}; try a lower learning rate"
            )
        yield float(np.mean(losses[-ROW:]))


def _note(out: Path, step: int, loss: float) -> None:
    """Add a row to the history; what a killed run noted beyond its last state goes."""
    path = out / "history.csv"
    rows: list[list[str]] = []
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in islice(csv.reader(file), 1, None) if int(row[0]) < step]
    with whole(path) as draft, draft.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["step", "loss"], *rows, [str(step), f"{loss:.5f}"]])
