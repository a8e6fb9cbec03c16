"""Recipes: every knob of a training run, with its default, on one screen."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

from digitreader.errors import UsageError


def _require(holds: bool, knob: str, value: object, expected: str) -> None:
    if not holds:
        raise UsageError(f"{knob} is {value!r}; expected {expected}")


def check_bounds(recipe: object, bounds: Bounds) -> None:
    """Refuse a recipe of which a knob's value makes no sense.

    Raises:
        UsageError: one does not; it is named.
    """
    for names, holds, expected in bounds:
        for name in names:
            value = getattr(recipe, name)
            _require(holds(value), name, value, expected)


def _typed(knob: str, value: Any) -> Any:
    """The value in the knob's own type, as from a file or a command line."""
    kind = KNOBS[knob]
    try:
        typed = kind(value)
    except (TypeError, ValueError, OverflowError):
        typed = None
    same = typed is not None and (isinstance(value, str) or typed == value)
    _require(same, knob, value, KINDS[kind])
    return typed


@dataclass(frozen=True)
class Recipe:
    """What is trained, on what, and how. A run writes its own down, resolved."""

    dataset: str = "mnist"
    network: str = "default"
    augment: str = "shift"
    harmed: float = 0.0  # share of each batch that is harmed besides, as many in each of ten ways
    flagged_ones: float = 0.0  # share of the ones given a flag, which few of MNIST's have
    page_glyphs: int = 0  # digits cut out of synthetic pages to train on beside the images
    outliers: int = 0  # glyphs that are no digit, to learn what is none
    start_from: str = ""  # a trained network, which learns the dataset beside what it knows
    replay: str = ""  # the dataset that it knows, shown again so that it is not forgotten
    replayed: int = 5000  # images of that
    new: float = 0.2  # share of the dataset's images in what is shown then
    forgotten: float = 0.001  # accuracy that it may lose on what is held out of that
    members: int = 1  # networks, each from a seed of its own, whose logits are averaged
    epochs: int = 4
    batch_size: int = 128
    optimizer: str = "adamw"
    learning_rate: float = 8e-3  # at its peak
    schedule: str = "cosine"  # warm-up, then a cosine down to zero; or "constant"
    warm_up: float = 0.2  # share of the steps
    weight_decay: float = 0.05  # AdamW's, relative to the learning rate
    label_smoothing: float = 0.05
    views: int = 0  # ways in which each image is shown to a teacher first; 0: there is none
    taught: float = 0.9  # a teacher's share in the labels
    softness: float = 1.0  # temperature of its probabilities
    averaged: float = 0.0  # momentum of the weights' moving average, which then is the result
    shifts: int = 0  # pixels; the result is the mean over views of the image moved by up to so many
    validation: int = 5000  # training images held out, stratified; at most a tenth; 0: none
    fold: int = 0  # which ones: every number holds out others
    patience: int = 10  # epochs without a better validation accuracy before stopping
    temperature: float = 0.0  # of the probabilities; 0 fits it on the images held out
    risk: float = 0.003  # greatest share of errors, with 95% certainty, of digits called sure
    seed: int = 0
    precision: str = "auto"  # bfloat16 where the processor computes in it, else float32

    def __post_init__(self) -> None:
        """Refuse values that make no sense, naming the knob."""
        check_bounds(self, BOUNDS + STARTED_BOUNDS * bool(self.start_from))
        _require(
            self.validation > 0 or self.temperature > 0,
            "temperature",
            self.temperature,
            "above 0 where no image is held out to fit it on",
        )
        for name, choices in CHOICES.items():
            value = getattr(self, name)
            _require(value in choices, name, value, f"one of {', '.join(choices)}")

    def with_changes(self, **changes: Any) -> Recipe:
        """Return a copy with the given knobs turned, to values or what they are as text.

        None leaves a knob as it is.

        Raises:
            UsageError: a key is not a knob, or a value makes no sense for its knob.
        """
        turned = {knob: value for knob, value in changes.items() if value is not None}
        unknown = [knob for knob in turned if knob not in KNOBS]
        if unknown:
            raise UsageError(
                f"a recipe has no knob called {', '.join(unknown)}; it has {', '.join(KNOBS)}"
            )
        return replace(self, **{knob: _typed(knob, value) for knob, value in turned.items()})

    def resolved(self) -> Recipe:
        """Return a copy with nothing left to the machine."""
        if self.precision != "auto":
            return self
        if self.start_from:
            return replace(self, precision="float32")  # what networks are kept in
        return replace(self, precision="bfloat16" if _computes_in_bfloat16() else "float32")

    @property
    def known(self) -> str:
        """The dataset whose classes are told apart, and of which some images are held out."""
        return self.replay or self.dataset

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Recipe:
        """Build a recipe from plain values; knobs that are not among them have their defaults.

        Raises:
            UsageError: a key is not a knob, or a value makes no sense for its knob.
        """
        return cls().with_changes(**values)


KNOBS: dict[str, type] = get_type_hints(Recipe)
KINDS = {str: "text", int: "a whole number", float: "a number"}

Bounds = tuple[tuple[tuple[str, ...], Callable[[Any], bool], str], ...]  # knobs, check, expected
BOUNDS: Bounds = (
    (("members", "epochs", "batch_size", "patience", "replayed"), lambda v: v >= 1, "1 or more"),
    (("page_glyphs", "outliers", "views", "shifts", "fold", "validation"),
     lambda v: v >= 0, "0 or more"),
    (("temperature",), lambda v: v == 0 or 0.001 <= v <= 1000, "0, or from 0.001 to 1000"),
    (("weight_decay",), lambda v: 0 <= v < math.inf, "0 or more"),
    (("seed",), lambda v: 0 <= v < 2**32, "from 0 to 4294967295"),
    (("learning_rate", "softness"), lambda v: 0 < v < math.inf, "above 0"),
    (("harmed", "flagged_ones", "forgotten", "taught", "risk"),
     lambda v: 0 <= v <= 1, "from 0 to 1"),
    (("warm_up", "averaged", "new", "label_smoothing"), lambda v: 0 <= v < 1, "from 0 up to 1"),
)  # fmt: skip
STARTED_BOUNDS: Bounds = (  # of a run that starts from a trained network
    (("replay",), bool, "the dataset that the network knows"),
    (("views",), lambda v: v == 0, "0 where a run starts from a network"),
    (("members",), lambda v: v == 1, "1 where a run starts from a network"),
    (("precision",), lambda v: v != "bfloat16", "float32 where a run starts from a network"),
)
CHOICES = {
    "optimizer": ("adamw", "adam", "muon"),
    "schedule": ("cosine", "constant"),
    "precision": ("auto", "bfloat16", "float32"),
}

BEST = Recipe(
    network="residual",
    augment="bent",
    epochs=24,
    averaged=0.99,
    shifts=1,
    validation=0,
    temperature=0.55,  # as fitted for it on images held out
)

SMALL = BEST.with_changes(augment="mild", optimizer="muon")

QUICK = Recipe(
    network="compact",
    augment="strong",
    harmed=0.25,
    flagged_ones=0.4,
    outliers=15_000,
    optimizer="muon",
    epochs=30,
    patience=30,
    averaged=0.99,
)

STARTED = Recipe(
    augment="none",
    optimizer="adam",
    learning_rate=1e-3,
    schedule="constant",
    warm_up=0.0,
    weight_decay=0.0,
    label_smoothing=0.0,
)

RECIPES: dict[str, Recipe] = {
    "default": Recipe(),
    "fast": Recipe(epochs=2, batch_size=256, learning_rate=1.2e-2),
    "best": BEST,
    "ensemble": BEST.with_changes(members=5, shifts=0),  # views gain it little, and are slow
    # The three that the shipped model is made of: one reads every glyph, the others those that the
    # first is in doubt about. Two were trained on harm and on what is no digit, one on neither.
    "clean": Recipe(augment="strong", flagged_ones=0.4, epochs=30, patience=30),
    "quick": QUICK,
    "robust": Recipe(
        network="residual",
        augment="strong",
        harmed=0.4,
        flagged_ones=0.4,
        outliers=15_000,
        epochs=18,
        patience=18,
        averaged=0.99,
    ),
    # One small network, a student of the model that ships.
    "distilled": QUICK.with_changes(epochs=45, patience=45, views=15, label_smoothing=0.0),
    # Of few parameters.
    "tiny": SMALL.with_changes(network="tiny", epochs=30),
    "nano": SMALL.with_changes(network="nano", epochs=60, temperature=0.5),
    # A trained model, taught a few dozen digits that it read wrong.
    "corrections": Recipe(epochs=1, batch_size=64, learning_rate=1e-3, replayed=20_000),
    # The starting projects' networks, under their own recipes: peers in benchmarks.
    "dense-64-dropout": STARTED.with_changes(network="dense-64-dropout", epochs=5),
    "dense-128": STARTED.with_changes(network="dense-128", epochs=10),
    "plain": STARTED.with_changes(network="plain", epochs=15),
    "double-conv": STARTED.with_changes(network="double-conv", augment="classic", epochs=30),
}


def named(name: str) -> Recipe:
    """Return the recipe of that name, or the one in a `.json` file: some knobs, or all of them.

    Raises:
        UsageError: there is none, or the file holds something else.
    """
    if name in RECIPES:
        return RECIPES[name]
    if not name.endswith(".json"):
        raise UsageError(
            f"no recipe is called {name!r}; there are {', '.join(RECIPES)}, and FILE.json"
        )
    try:
        knobs = json.loads(Path(name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{name}: not a recipe that can be read ({error})") from error
    if not isinstance(knobs, dict):
        raise UsageError(f"{name}: expected an object of knobs and their values")
    try:
        return Recipe.from_dict(knobs)
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from error


def _computes_in_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 itself; emulated, it is slower than float32."""
    cpuinfo = Path("/proc/cpuinfo")
    if os.name != "posix" or not cpuinfo.exists():
        return False
    flags = cpuinfo.read_text(encoding="ascii", errors="replace")
    return "avx512_bf16" in flags or "amx_bf16" in flags
