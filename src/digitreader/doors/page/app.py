"""The page: what Streamlit runs, again with everything that a user does."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import streamlit as st

from digitreader.doors.page import markup, rooms
from digitreader.doors.page.corrections import Corrections
from digitreader.doors.page.history import History
from digitreader.doors.page.models import choose_model, show_model
from digitreader.errors import ModelError
from digitreader.reader import Reader

ROOMS = ("Draw", "Upload", "Camera", "Examples", "History", "Model")


def main() -> None:
    """Show the page, by the arguments that the script was started with."""
    st.set_page_config(markup.NAME, layout="wide")
    st.html(markup.head())
    given = _given(sys.argv[1:])
    draw, upload, camera, examples, history, model = st.tabs(ROOMS, key="room", on_change="rerun")
    with model:
        path = choose_model(given.model)
    try:
        reader = _reader(path)
    except ModelError as error:
        st.error(str(error))
        return
    visit = rooms.Visit(reader, Corrections(given.corrections), _history())
    with draw:
        rooms.draw(visit)
    with upload:
        rooms.upload(visit)
    if camera.open:  # a camera is asked for only where it is wanted
        with camera:
            rooms.camera(visit)
    if examples.open:
        with examples:
            rooms.examples(visit)
    if history.open:
        with history:
            rooms.history(visit)
    if model.open:
        with model:
            show_model(reader.card, path)


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
