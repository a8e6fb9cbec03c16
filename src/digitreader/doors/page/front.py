"""What a visitor sees first: the name, the sheet, the choice of a model.

Nothing here reads, or imports what does: the sheet is there half a second before that.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from digitreader.doors.page import canvas
from digitreader.doors.page.number import show_number
from digitreader.errors import ModelError

if TYPE_CHECKING:
    from digitreader.doors.page.visit import Visit

NAME = "digitreader"
NAMED = "the model that ships"
RUNS = "runs/*/model.onnx"  # below the folder in which the page was started


def show_head() -> None:
    """Show the page's name, in its style."""
    sheet = (files(__package__) / "page.css").read_text(encoding="utf-8")
    words = f"{NAME} <span>reads handwritten digits</span>"
    st.html(f'<style>{sheet}</style><h1 class="name">{words}</h1>')


def choose_model(given: Path | None) -> Path | None:
    """Let one of the models that are offered be chosen; None is the one that ships.

    Who visits the page names no path: a browser may send another choice than those it was shown.
    """
    found = [given] if given else []
    found += sorted(path for path in Path().glob(RUNS) if path != given)
    offered = {NAMED: None} | {str(path): path for path in found}
    chosen = st.selectbox("Model", list(offered), index=1 if given else 0, key="model")
    return offered.get(chosen)


@st.fragment
def draw(begin: Callable[[], Visit]) -> None:
    """Show the sheet, and read while something is drawn on it."""
    left, right = st.columns([3, 2], gap="medium")
    drawn = canvas.strokes()
    name = _drawing(empty=not drawn)
    if not drawn:
        with left:
            canvas.sheet()
        with right:
            show_number((), "empty")
        return
    try:
        visit = begin()
    except ModelError:  # as the page says above its rooms
        with left:
            canvas.sheet()
        return
    from digitreader.doors.page import drawing

    drawing.show(visit, drawn, name, left, right)


def _drawing(*, empty: bool) -> str:
    """Return this drawing's name: after an empty sheet comes the next."""
    state = st.session_state
    if empty and not state.get("sheet_empty", True):
        state.drawings = state.get("drawings", 1) + 1
    state.sheet_empty = empty
    return f"drawing {state.get('drawings', 1)}"
