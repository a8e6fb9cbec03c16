"""A model's card: what the reader needs to know of it beside the network, and what makes sense."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from digitreader.glyphs import GLYPH_FORM


@dataclass(frozen=True)
class ModelCard:
    """What a model file says about itself; everything the reader needs beside the network."""

    name: str
    labels: tuple[str, ...]
    temperature: float  # logits are divided by it, so that confidence is honest
    unsure_below: float  # a digit with less confidence is called unsure
    glyph_form: int = GLYPH_FORM  # which version of glyphs.py it was trained for
    trained: dict[str, Any] = field(default_factory=dict)  # recipe, seed and measured scores

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, text: str) -> ModelCard:
        """Read a card.

        Raises:
            ValueError: it is not one, or an entry makes no sense.
        """
        try:
            values = json.loads(text)
        except RecursionError as error:
            raise ValueError("it is nested too deep") from error
        if not isinstance(values, dict) or set(values) != {f.name for f in fields(cls)}:
            raise ValueError("the card's entries are not the expected ones")
        for entry, (makes_sense, expected) in ENTRIES.items():
            if not makes_sense(values[entry]):
                raise ValueError(f"its {entry} is {repr(values[entry])[:40]}; expected {expected}")
        return cls(**values | {"labels": tuple(values["labels"])})


def is_label(value: object) -> bool:
    """Whether this can be a class's name: some characters that can be printed, and not many."""
    return isinstance(value, str) and 0 < len(value) <= MOST_IN_LABEL and value.isprintable()


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MOST_IN_NAME


def _are_labels(value: Any) -> bool:
    if not isinstance(value, list) or not value or not all(map(is_label, value)):
        return False
    return len(set(value)) == len(value)


def _is_number(value: Any, low: float, high: float) -> bool:
    return type(value) in {int, float} and low <= value <= high


def _is_training(value: Any) -> bool:
    """Whether a run's notes have the parts that are read again in the form they are read in."""
    if not isinstance(value, dict):
        return False
    recipe, held = value.get("recipe", {}), value.get("validation") or {"n": 0, "accuracy": 0}
    if not isinstance(recipe, dict) or not isinstance(held, dict):
        return False
    plain = all(isinstance(knob, str | int | float) for knob in recipe.values())
    scores = ((held.get("n"), float("inf")), (held.get("accuracy"), 1))
    return plain and all(_is_number(score, 0, most) for score, most in scores)


MOST_IN_LABEL = 100  # characters
MOST_IN_NAME = 255  # that of a run's folder
ENTRIES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "name": (_is_name, f"up to {MOST_IN_NAME} characters"),
    "labels": (_are_labels, f"different names of up to {MOST_IN_LABEL} printable characters"),
    "temperature": (lambda value: _is_number(value, 0.001, 1000), "0.001 to 1000"),
    "unsure_below": (lambda value: _is_number(value, 0, 1), "0 to 1"),
    "glyph_form": (lambda value: type(value) is int, "a whole number"),
    "trained": (_is_training, "a run's notes: a recipe of plain values, and scores"),
}
