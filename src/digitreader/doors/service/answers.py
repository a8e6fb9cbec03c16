"""What goes out: readings in the JSON of the command line, and refusals in one line.

The models are what OpenAPI shows; the JSON itself is `Reading.as_dict()`, as at every door.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from typing import Any

from fastapi import Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from digitreader.errors import DigitReaderError
from digitreader.reader import Reader
from digitreader.reading import DigitStatus, Reading, ReadingStatus


class DigitAnswer(BaseModel):
    """One digit; `explanation`, a PNG in base64, is there when it was asked for."""

    model_config = ConfigDict(extra="forbid")
    label: str | None
    confidence: float
    probabilities: list[float]
    top3: list[tuple[str, float]]
    box: tuple[int, int, int, int] = Field(description="x, y, width, height in the page's pixels")
    status: DigitStatus
    explanation: str = ""


class ReadingAnswer(BaseModel):
    """A page's digits in reading order, as `digitreader read --format json` writes them."""

    model_config = ConfigDict(extra="forbid")
    source: str
    page: int
    status: ReadingStatus
    text: str
    lines: list[str]
    digits: list[DigitAnswer]
    model: str
    error: str | None


class Problem(BaseModel):
    """Why a request was refused: what was expected, what came, what to do."""

    error: str


class Refusal(DigitReaderError):  # noqa: N818 (an answer, not a fault)
    """A request that is not read, and the HTTP status that says so.

    `retry_after` is in seconds, where trying again may help.
    """

    def __init__(self, status: int, text: str, retry_after: int | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.headers = {} if retry_after is None else {"Retry-After": str(retry_after)}

    def response(self) -> Response:
        return JSONResponse({"error": str(self)}, self.status, self.headers)


def as_json(readings: Sequence[Reading], *, array: bool = False) -> bytes:
    """Give one object for one page, an array for several, or always an array."""
    return _written([reading.as_dict() for reading in readings], array)


def explained(readings: Sequence[Reading], reader: Reader) -> bytes:
    """As `as_json`, where each digit has a picture of what decided it.

    Raises:
        ModelError: the model has no activation maps.
    """
    rows = [reading.as_dict() for reading in readings]
    for row, reading in zip(rows, readings, strict=True):
        for told, digit in zip(row["digits"], reading.digits, strict=True):
            picture = io.BytesIO()
            reader.explain(digit).save(picture, "PNG")
            told["explanation"] = base64.b64encode(picture.getvalue()).decode()
    return _written(rows)


def _written(rows: list[dict[str, Any]], array: bool = False) -> bytes:
    return json.dumps(rows if array or len(rows) != 1 else rows[0], ensure_ascii=False).encode()
