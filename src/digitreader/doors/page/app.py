"""The page: what Streamlit runs, again with everything that a user does."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from digitreader.doors.page import front
from digitreader.errors import ModelError

if TYPE_CHECKING:
    from digitreader.doors.page.visit import Visit

TABS = ("Draw", "Upload", "Camera", "Examples", "History", "Model")
KEPT = ("Upload",)  # in the back, too, or what is in it would be forgotten


def main() -> None:
    """Show the page, by the arguments that the script was started with."""
    st.set_page_config(front.NAME, layout="wide")
    front.show_head()
    given = _given(sys.argv[1:])
    trouble = st.empty()
    tabs = dict(zip(TABS, st.tabs(TABS, key="room", on_change="rerun"), strict=True))
    with tabs["Model"]:
        model = front.choose_model(given.model)

    def begin() -> Visit:
        from digitreader.doors.page.visit import Visit

        return Visit.begin(model, given.corrections)

    with tabs["Draw"]:
        front.draw(begin)
    try:
        visit = begin()
    except ModelError as error:
        trouble.error(str(error))
        return
    from digitreader.doors.page.rooms import ROOMS

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


if __name__ == "__main__":
    main()
