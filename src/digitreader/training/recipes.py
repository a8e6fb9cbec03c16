"""Recipes: every knob of a training run, with its default, on one screen."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from digitreader.errors import UsageError


def _require(holds: bool, knob: str, value: object, expected: str) -> None:
    if not holds:
        raise UsageError(f"{knob} is {value!r}; expected {expected}")


@dataclass(frozen=True)
class Recipe:
    """What is trained, on what, and how. A run writes its own down, resolved."""

    dataset: str = "mnist"
    network: str = "default"
    augment: str = "shift"
    flagged_ones: float = 0.0  # share of the ones given a flag, which few of MNIST's have
    page_glyphs: int = 0  # digits cut out of synthetic pages to train on beside the images
    outliers: int = 0  # glyphs that are no digit, to learn what is none
    epochs: int = 4
    batch_size: int = 128
    optimizer: str = "adamw"
    learning_rate: float = 8e-3  # at its peak
    schedule: str = "cosine"  # warm-up, then a cosine down to zero; or "constant"
    warm_up: float = 0.2  # share of the steps
    weight_decay: float = 0.05  # AdamW's, relative to the learning rate
    label_smoothing: float = 0.05
    averaged: float = 0.0  # momentum of the weights' moving average, which then is the result
    validation: int = 5000  # training images held out, stratified; at most a tenth; 0: none
    fold: int = 0  # which ones: every number holds out others
    patience: int = 10  # epochs without a better validation accuracy before stopping
    temperature: float = 0.0  # of the probabilities; 0 fits it on the images held out
    seed: int = 0
    precision: str = "auto"  # bfloat16 where the processor computes in it, else float32

    def __post_init__(self) -> None:
        """Refuse values that make no sense, naming the knob."""
        for name in ("epochs", "batch_size", "patience"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        _require(self.learning_rate > 0, "learning_rate", self.learning_rate, "above 0")
        _require(0 <= self.warm_up < 1, "warm_up", self.warm_up, "from 0 up to 1")
        _require(0 <= self.flagged_ones <= 1, "flagged_ones", self.flagged_ones, "from 0 to 1")
        for name in ("page_glyphs", "outliers", "seed", "fold", "validation", "temperature"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        _require(0 <= self.averaged < 1, "averaged", self.averaged, "from 0 up to 1")
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
        """Return a copy with the given knobs turned; None leaves a knob as it is."""
        return replace(self, **{k: v for k, v in changes.items() if v is not None})

    def resolved(self) -> Recipe:
        """Return a copy with nothing left to the machine."""
        if self.precision != "auto":
            return self
        return replace(self, precision="bfloat16" if _computes_in_bfloat16() else "float32")

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Recipe:
        """Build a recipe from plain values.

        Raises:
            UsageError: a key is not a knob.
        """
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise UsageError(f"a recipe has no knob called {', '.join(unknown)}")
        return cls(**values)


CHOICES = {
    "optimizer": ("adamw", "adam"),
    "schedule": ("cosine", "constant"),
    "precision": ("auto", "bfloat16", "float32"),
}

RECIPES: dict[str, Recipe] = {
    "default": Recipe(),
    # The model that ships: longer, and on digits that look less like MNIST.
    "shipped": Recipe(augment="strong", flagged_ones=0.4, epochs=30, patience=30),
    # The best of the starting projects, under its own recipe: the peer in the benchmark.
    "double-conv": Recipe(
        network="double-conv",
        augment="classic",
        epochs=30,
        optimizer="adam",
        learning_rate=1e-3,
        schedule="constant",
        warm_up=0.0,
        weight_decay=0.0,
        label_smoothing=0.0,
    ),
}


def _computes_in_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 itself; emulated, it is slower than float32."""
    cpuinfo = Path("/proc/cpuinfo")
    if os.name != "posix" or not cpuinfo.exists():
        return False
    flags = cpuinfo.read_text(encoding="ascii", errors="replace")
    return "avx512_bf16" in flags or "amx_bf16" in flags
