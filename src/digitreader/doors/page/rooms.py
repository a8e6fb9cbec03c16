"""The page's rooms behind the sheet: where pictures come from, and what came of them."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import streamlit as st

from digitreader.doors.page import panels, pictures
from digitreader.doors.page.history import Pages
from digitreader.doors.page.models import show_model
from digitreader.doors.page.visit import Visit


@st.fragment
def upload(visit: Visit) -> None:
    """Read files that are chosen, dropped or pasted."""
    _pasting(key="pasting")
    chosen = st.file_uploader(
        "Pictures, PDF or TIFF: choose, drop, or paste with Ctrl+V",
        type=pictures.TAKEN,
        accept_multiple_files=True,
        key="uploader",
    )
    pages = []
    for file in chosen:
        pages += _read(visit, file.name, file.getvalue(), file.file_id)
    panels.show_pages(visit, pages, "upload")


@st.fragment
def camera(visit: Visit) -> None:
    """Read what the camera sees when its button is pressed."""
    photo = st.camera_input("Hold the digits before the camera", resolution="720p")
    if photo:
        pages = _read(visit, "photo.jpg", photo.getvalue(), photo.file_id)
        panels.show_pages(visit, pages, "camera")


@st.fragment
def examples(visit: Visit) -> None:
    """Read a picture that comes with the program."""
    paths = pictures.examples()
    name = st.pills("Picture", list(paths), default="page", required=True, key="example")
    pages = _read(visit, paths[name].name, paths[name].read_bytes(), name)
    panels.show_pages(visit, pages, "examples")


def _read(visit: Visit, name: str, content: bytes, key: str) -> Pages:
    """Read a file, or return what was read of it before."""
    key = f"{visit.model} {key}"
    known = visit.history.find(key)
    if known is not None:
        return known
    with st.spinner(f"Reading {name}"):
        pages = pictures.read_file(visit.reader, name, content)
    return visit.history.keep(key, pages, visit.reader.labels)


def history(visit: Visit) -> None:
    """Show what was read in this session, and what was corrected, for download."""
    readings = visit.history.readings
    if not readings:
        st.markdown("Nothing was read yet.")
        return
    rows = [
        {
            "picture": reading.source,
            "text": reading.text,
            "status": reading.error or reading.status,
            "least sure": min((digit.confidence for digit in reading.digits), default=None),
            "page": reading.page,
            "model": reading.model,
        }
        for reading in readings
    ]
    shares = {"least sure": st.column_config.NumberColumn(format="percent")}
    st.dataframe(rows, hide_index=True, column_config=shares)
    with st.container(horizontal=True):
        csv = visit.history.as_csv()
        st.download_button("Download CSV", csv, "readings.csv", "text/csv", on_click="ignore")
        json = visit.history.as_json()
        st.download_button(
            "Download JSON", json, "readings.json", "application/json", on_click="ignore"
        )
    _show_corrections(visit)


def _show_corrections(visit: Visit) -> None:
    """Show how many right answers there are, and how to train the model with them."""
    folder, counts = visit.corrections.folder, visit.corrections.counts()
    if not counts:
        return
    told = ", ".join(f"{count} × {label.removeprefix('.')}" for label, count in counts.items())
    st.markdown(f"**Corrections** in `{folder}`: {told}. To learn from them:")
    start = _start(visit.model)
    if start is None:
        st.markdown(
            f"`{visit.model}` has no `best.keras` beside it to train: choose another model."
        )
        return
    asked = shlex.join(["--from", start, "--dataset", f"folder:{folder}"])
    st.code(f"digitreader train {asked}", language="shell")


def _start(model: Path | None) -> str | None:
    """What `digitreader train --from` takes to go on with a model; None: nothing is beside it."""
    if model is None:
        return "shipped"
    return str(model.parent) if model.with_name("best.keras").is_file() else None


_pasting = st.components.v2.component(
    "digitreader.paste", js=(files(__package__) / "paste.js").read_text(encoding="utf-8")
)

ROOMS: dict[str, Callable[[Visit], None]] = {
    "Upload": upload,
    "Camera": camera,
    "Examples": examples,
    "History": history,
    "Model": show_model,
}
