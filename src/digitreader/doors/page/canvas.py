"""The sheet to draw on: a component of our own, and its strokes as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Any, TypedDict

import cv2
import numpy as np
import streamlit as st
from numpy.typing import NDArray

from digitreader.reading import Digit

WIDTH, HEIGHT = 640, 320  # px, however large it is on the screen
# The reader sees every fourth: of 120 digits by 12 writers, drawn 60, 120 and 220 px high, it reads
# 115, 119 and 118 then, 116, 117 and 117 otherwise. Strokes that are no digit yet, for which it
# looks in many sizes, take 0.16 s of processor time instead of 0.43.
COARSE = 4
PAPER, INK = 255, 0
KEY = "canvas"


class Stroke(TypedDict):
    """What the pen did from where it was set down to where it was lifted; lengths are in px."""

    width: int
    eraser: bool
    points: list[tuple[int, int]]


def picture_of(strokes: Sequence[Stroke]) -> NDArray[np.uint8]:
    """Draw strokes as the sheet shows them: uint8 [HEIGHT / COARSE, WIDTH / COARSE], ink dark."""
    page = np.full((HEIGHT, WIDTH), PAPER, np.uint8)
    for stroke in strokes:
        first, *points = stroke["points"]
        colour = PAPER if stroke["eraser"] else INK
        path = np.array([first, first, *points], np.int32)  # so that a dot is a line, too
        cv2.polylines(page, [path], False, colour, stroke["width"], cv2.LINE_AA)
    size = (WIDTH // COARSE, HEIGHT // COARSE)
    return np.asarray(cv2.resize(page, size, interpolation=cv2.INTER_AREA), np.uint8)


def strokes() -> list[Stroke]:
    """Return what is on this session's sheet."""
    drawn: list[Stroke] = _sent()["strokes"]
    return drawn


def sheet(digits: Sequence[Digit]) -> None:
    """Show the sheet, and on it what its digits were read as."""
    boxes = ({"box": d.box, "label": d.label or "–", "status": d.status} for d in digits)
    sent = _sent()
    # Tuples: of a list Streamlit asks whether it is a table, and imports pandas to know.
    data = {
        "width": WIDTH,
        "height": HEIGHT,
        "strokes": tuple(sent["strokes"]),
        "answered": sent["version"],
        "boxes": tuple(boxes),
    }
    _component(key=KEY, data=data, on_drawing_change=lambda: None)


def _sent() -> dict[str, Any]:
    """What the sheet sent last."""
    state = st.session_state.get(KEY) or {}
    return state.get("drawing") or {"version": 0, "strokes": []}


def _text(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")


_component = st.components.v2.component(
    "digitreader.canvas",
    html=_text("canvas.html"),
    css=_text("canvas.css"),
    js=_text("canvas.js"),
)
