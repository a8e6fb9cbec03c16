"""What is shown of a reading: the page, the number, a digit from every side, the steps."""

from __future__ import annotations

import streamlit as st

from digitreader.doors.page import markup
from digitreader.doors.page.corrections import NO_DIGIT, Corrections, name_of
from digitreader.doors.page.history import Pages
from digitreader.doors.page.number import show_number
from digitreader.doors.page.visit import Visit
from digitreader.errors import ModelError, UsageError, WriteError
from digitreader.outputs import annotated
from digitreader.reader import Reader
from digitreader.reading import Digit, Reading, percent
from digitreader.sources import Page
from digitreader.steps import steps_of

STEPS = {
    "page": "The page, upright, at most 1,600 px large",
    "ink": "Its ink: shadows and grain are gone",
    "characters": "Every character found: digits green, other writing blue",
    "glyphs": "The digits' glyphs, 28×28 px each, as the model sees them",
    "reading": "The reading, with its confidences",
}
STEP_WIDTH = 400  # px


def show_pages(visit: Visit, pages: Pages, room: str) -> None:
    """Show one of many pages that were read, and what is wrong with those that could not be."""
    for _, reading in pages:
        if reading.error:
            st.error(reading.error)
    read = [(page, reading) for page, reading in pages if page]
    if not read:
        return
    chosen = 0
    if len(read) > 1:
        chosen = st.selectbox(
            "Page", range(len(read)), format_func=lambda i: _titled(read[i][1]), key=f"{room}-page"
        )
    show_page(visit, *read[chosen], room)


def show_page(visit: Visit, page: Page, reading: Reading, room: str) -> None:
    """Show a page with its boxes beside what it says, and below that its digits and steps."""
    left, right = st.columns(2, gap="medium")
    with left:
        shown = annotated(page.pixels, reading, page.shape)
        st.image(shown, width="stretch", output_format="JPEG", alt=f"{reading.source}, with boxes")
    with right:
        show_number(reading.lines, reading.status)
    show_digits(visit, reading, room)
    show_steps(page, reading, room)


def show_digits(visit: Visit, reading: Reading, room: str) -> None:
    """Show one of a page's digits; at first the one that is least sure."""
    digits = reading.digits
    if not digits:
        return
    chosen = 0
    if len(digits) > 1:
        chosen = st.pills(
            "Look at a digit",
            range(len(digits)),
            format_func=lambda i: _short(digits[i]),
            default=min(range(len(digits)), key=lambda i: digits[i].confidence),
            required=True,
            key=f"{room}-digit-{''.join(map(_short, digits))}",
        )
    show_digit(visit.reader, digits[chosen])
    correct(visit, digits[chosen], room)


def show_digit(reader: Reader, digit: Digit) -> None:
    """Show what the model saw, how likely it is what, and what spoke for that."""
    seen, likely = st.columns([1, 2], gap="medium")
    with seen:
        st.caption("What the model saw, 28×28")
        st.html(markup.glyph(digit.glyph))
    with likely:
        st.caption(_judged(digit))
        st.html(markup.bars(digit, reader.labels))
    show_evidence(reader, digit)


def show_evidence(reader: Reader, digit: Digit) -> None:
    """Show where on a digit lies what speaks for its likeliest labels."""
    try:
        drawn = reader.explain(digit)
    except ModelError:
        st.caption("This model has no activation maps, so what spoke for the digit is not shown.")
        return
    st.caption("What spoke for the three likeliest: the redder, the more")
    st.html(markup.picture(drawn, "The digit, and what speaks for each label", "explanation"))


def correct(visit: Visit, digit: Digit, room: str) -> None:
    """Take the right answer, and keep the digit under it; the folder knows what was said."""
    answers = [*visit.reader.labels, NO_DIGIT]
    kept = visit.corrections.find(digit.glyph)
    key = f"{room}-right-{name_of(digit.glyph)}"
    st.session_state[key] = kept if kept in answers else None
    st.pills(
        "Wrong? Say what it is, and it is kept to learn from",
        answers,
        format_func=lambda label: markup.NO_DIGIT if label == NO_DIGIT else label,
        key=key,
        on_change=_keep,
        args=(visit.corrections, digit, key),
    )


def _keep(corrections: Corrections, digit: Digit, key: str) -> None:
    """Keep a digit under the answer that was just chosen, or under none."""
    right = st.session_state[key]
    try:
        if right is None:
            corrections.forget(digit.glyph)
            st.toast("Taken back")
        else:
            st.toast(f"Kept in {corrections.keep(digit.glyph, right).parent}")
    except (OSError, UsageError, WriteError) as error:
        st.toast(f"Not kept: {error}")


def show_steps(page: Page, reading: Reading, room: str) -> None:
    """Show how a page was read, step by step, where that is asked for."""
    opened = st.expander("How it was read", key=f"{room}-steps", on_change="rerun")
    if not opened.open:
        return
    with opened, st.container(horizontal=True):
        for name, picture in steps_of(page, reading).items():
            with st.container(width=STEP_WIDTH):
                st.caption(STEPS[name])
                st.image(picture, width="stretch", output_format="JPEG", alt=STEPS[name])


def _judged(digit: Digit) -> str:
    """Say in words what a digit was taken for."""
    said = ", ".join(f"{label} ({percent(p)})" for label, p in digit.top3)
    if digit.status == "not_a_digit":
        return f"Not a digit. If it were one: {said}"
    return f"{'Sure' if digit.status == 'ok' else 'Unsure'}. Likeliest: {said}"


def _short(digit: Digit) -> str:
    return (digit.label or "–") + ("" if digit.status == "ok" else " ?")


def _titled(reading: Reading) -> str:
    page = f", page {reading.page}" if reading.page > 1 else ""
    return f"{reading.source}{page}: {' / '.join(reading.lines) or '–'}"
