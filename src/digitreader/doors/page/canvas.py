"""The sheet to draw on: a component of our own."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypedDict

import streamlit as st

if TYPE_CHECKING:
    from digitreader.reading import Digit

WIDTH, HEIGHT = 640, 320  # px, however large it is on the screen
KEY = "canvas"


class Stroke(TypedDict):
    """What the pen did from where it was set down to where it was lifted; lengths are in px."""

    width: int
    eraser: bool
    points: list[tuple[int, int]]


def strokes() -> list[Stroke]:
    """Return what is on this session's sheet."""
    drawn: list[Stroke] = _sent()["strokes"]
    return drawn


def sheet(digits: Sequence[Digit] = ()) -> None:
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
