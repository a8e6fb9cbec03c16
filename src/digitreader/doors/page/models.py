"""What is known about the model that reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import streamlit as st

from digitreader.card import ModelCard
from digitreader.classifier import SHIPPED, shipped_model
from digitreader.doors.page import markup
from digitreader.doors.page.visit import Visit

LIMITS = """
It knows the characters above and nothing else. A second network, which finds digits on a page,
keeps other writing from it, not always: short words, signs and writing of other alphabets may be
read as digits. Confidence is calibrated on pictures like those it was trained on; on photos and
old documents it is too high.
"""


def show_model(visit: Visit) -> None:
    """Show the model's card, how well it reads, what it takes for what, and its limits."""
    card = visit.reader.card
    st.table(_rows(card))
    if scores := scores_of(visit.model):
        low, high = (100 * bound for bound in scores["accuracy_95"])
        st.subheader(f"{100 * scores['accuracy']:.2f}% right")
        st.markdown(
            f"{scores['errors']:,} errors in {scores['n']:,} {scores['images']}; "
            f"95% interval {low:.2f}–{high:.2f}%. A row is what a digit is, a column what was read."
        )
        st.html(markup.confusion(scores["confusion"], card.labels))
    else:
        st.caption("There are no test results beside this model file.")
    st.subheader("Limits")
    st.markdown(LIMITS)


def scores_of(path: Path | None) -> dict[str, Any] | None:
    """Return what was measured of a model: `Scores.as_dict`, and which `images` these were.

    The numbers of the model that ships, None, lie beside it: `digitreader evaluate -o` wrote
    them. Those of a run are in its `metrics.json`; where there is none, nothing is known.
    """
    if path is None:
        shipped = _json(shipped_model(SHIPPED).with_suffix(".json"))
        return {**shipped, "images": "test images of mnist"}
    run = path.with_name("metrics.json")
    metrics = _json(run) if run.is_file() else {}
    for part, images in (("test", "test images"), ("validation", "held-out training images")):
        if metrics.get(part):
            return {**metrics[part], "images": f"{images} of {metrics['recipe']['dataset']}"}
    return None


def _json(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return values


def _rows(card: ModelCard) -> dict[str, str]:
    """What a card says, for people."""
    recipe = card.trained.get("recipe", {})
    rows = {
        "Name": card.name,
        "Reads": " ".join(card.labels),
        "Unsure below": f"{100 * card.unsure_below:.0f}% confidence",
        "Temperature": f"{card.temperature:.3f}",
    }
    knobs = {"Network": "network", "Trained on": "dataset", "Augmentation": "augment"}
    rows |= {name: str(recipe[knob]) for name, knob in knobs.items() if knob in recipe}
    if held := card.trained.get("validation"):
        rows["Held-out training images"] = f"{100 * held['accuracy']:.2f}% of {held['n']:,} right"
    return rows
