"""The page: what Streamlit runs, again with everything that a user does."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import streamlit as st

from digitreader.doors.page import markup, rooms
from digitreader.doors.page.corrections import Corrections
from digitreader.doors.page.history import History
from digitreader.doors.page.models import choose_model, show_model
from digitreader.doors.page.visit import Visit
from digitreader.errors import ModelError
from digitreader.reader import Reader

ROOMS: dict[str, Callable[[Visit], None]] = {
    "Draw": rooms.draw,
    "Upload": rooms.upload,
    "Camera": rooms.camera,
    "Examples": rooms.examples,
    "History": rooms.history,
    "Model": show_model,
}
KEPT = ("Draw", "Upload")  # in the back, too, or what is in them would be forgotten


def main() -> None:
    """Show the page, by the arguments that the script was started with."""
    st.set_page_config(markup.NAME, layout="wide")
    st.html(markup.head())
    given = _given(sys.argv[1:])
    tabs = dict(zip(ROOMS, st.tabs(list(ROOMS), key="room", on_change="rerun"), strict=True))
    with tabs["Model"]:
        model = choose_model(given.model)
    try:
        visit = Visit(model, _reader(model), Corrections(given.corrections), _history())
    except ModelError as error:
        st.error(str(error))
        return
    for name, show in ROOMS.items():
        if tabs[name].open or name in KEPT:
            with tabs[name]:
                show(visit)


def _given(arguments: list[str]) -> argparse.Namespace:
    """Take apart what stands behind `--` in `streamlit run app.py -- …`."""
    parser = argparse.ArgumentParser("app.py")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--corrections", type=Path, default=Path("corrections"))
    return parser.parse_args(arguments)


@st.cache_resource(show_spinner=False)
def _reader(model: Path | None) -> Reader:
    return Reader(model, threads=1)  # the server and the browser want a core, too


def _history() -> History:
    kept: History = st.session_state.setdefault("history", History())
    return kept


if __name__ == "__main__":
    main()
