"""What comes out: digits, and readings made of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

DigitStatus = Literal["ok", "unsure", "not_a_digit"]
DIGIT_LABELS = tuple("0123456789")
ReadingStatus = Literal["ok", "unsure", "not_a_digit", "empty", "error"]


class Box(NamedTuple):
    """A rectangle in page pixels; x and y are its top left corner."""

    x: int
    y: int
    width: int
    height: int

    @property
    def right(self) -> int:
        return self.x + self.width

    @property
    def bottom(self) -> int:
        return self.y + self.height


@dataclass(frozen=True, eq=False)
class Digit:
    """One digit found on a page.

    `probabilities` are calibrated, float32 [number of labels], in the model's order; what they
    lack to one is the probability that it is no digit. Where that is more likely than not, the
    status is `not_a_digit`, there is no `label`, and no line of the reading holds it.
    `glyph` is what the model saw: uint8 [28, 28], ink bright.
    """

    label: str | None
    confidence: float
    probabilities: NDArray[np.float32]
    top3: tuple[tuple[str, float], ...]
    box: Box
    glyph: NDArray[np.uint8]
    status: DigitStatus

    @property
    def digit(self) -> int | None:
        """The value 0–9, or None where it is not a digit."""
        return int(self.label) if self.label in DIGIT_LABELS else None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as in the JSON output."""
        return {
            "label": self.label,
            "confidence": _rounded(self.confidence),
            "probabilities": [_rounded(p) for p in self.probabilities],
            "top3": [[label, _rounded(p)] for label, p in self.top3],
            "box": list(self.box),
            "status": self.status,
        }


@dataclass(frozen=True, eq=False)
class Reading:
    """A page's digits in reading order.

    `lines` holds one string per line of writing, with a space where a wide gap parts two
    numbers. `digits` are the same digits, in the same order; a picture of something else has
    one that is `not_a_digit`, and no lines.
    """

    source: str
    page: int
    status: ReadingStatus
    lines: tuple[str, ...]
    digits: tuple[Digit, ...]
    model: str
    error: str | None = None

    @property
    def text(self) -> str:
        """All lines, joined by line breaks."""
        return "\n".join(self.lines)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as in the JSON output."""
        return {
            "source": self.source,
            "page": self.page,
            "status": self.status,
            "text": self.text,
            "lines": list(self.lines),
            "digits": [digit.as_dict() for digit in self.digits],
            "model": self.model,
            "error": self.error,
        }

    @classmethod
    def failed(cls, source: str, page: int, model: str, error: str) -> Reading:
        """The row of a page that could not be read."""
        return cls(source, page, "error", (), (), model, error)


def percent(confidence: float) -> str:
    """A confidence for people, rounded down: only certainty is 100%."""
    return f"{int(1000 * confidence) / 10:.1f}%"


def _rounded(probability: float) -> float:
    """Six decimals: enough to tell 99.9999% from certainty, short enough to read."""
    return round(float(probability), 6)
