"""What a page says, in large type, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import streamlit as st

SAID = {
    "ok": "Sure.",
    "unsure": "Unsure: one digit or more may be another.",
    "not_a_digit": "Not a digit: something else is drawn or written here.",
    "empty": "Nothing is written here.",
}


def show_number(lines: Sequence[str], status: str) -> None:
    """Show a page's lines, and what its status means."""
    st.html(number(lines))
    st.markdown(SAID[status])


def number(lines: Sequence[str]) -> str:
    """Return a page's lines in large type, as HTML."""
    rows = "".join(f"<div>{escape(line)}</div>" for line in lines)
    return f'<div class="number" role="status">{rows or "–"}</div>'
