"""What every room of the page needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from digitreader.doors.page.corrections import Corrections
from digitreader.doors.page.history import History
from digitreader.reader import Reader


@dataclass(frozen=True)
class Visit:
    """A user's stay: the model that reads, None being the one that ships, and what is kept."""

    model: Path | None
    reader: Reader
    corrections: Corrections
    history: History

    @classmethod
    def begin(cls, model: Path | None, corrections: Path) -> Visit:
        """Begin a stay, or go on with this session's.

        Raises:
            ModelError: the model is missing or is not one of ours.
        """
        history = st.session_state.setdefault("history", History())
        return cls(model, _reader(model), Corrections(corrections), history)


@st.cache_resource(show_spinner=False)
def _reader(model: Path | None) -> Reader:
    return Reader(model, threads=1)  # the server and the browser want a core, too
