"""A drawing: its strokes as a picture, and what they say."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from streamlit.delta_generator import DeltaGenerator

from digitreader.doors.page import canvas, panels
from digitreader.doors.page.canvas import HEIGHT, WIDTH, Stroke
from digitreader.doors.page.number import show_number
from digitreader.doors.page.visit import Visit
from digitreader.sources import Page

# The reader sees every fourth px: of 120 digits by 12 writers, drawn 60, 120 and 220 px high, it
# reads 115, 119 and 118 then, 116, 117 and 117 otherwise. Strokes that are no digit yet, for which
# it looks in many sizes, take 0.16 s of processor time instead of 0.43.
COARSE = 4
PAPER, INK = 255, 0
ROOM = "draw"


def show(
    visit: Visit, strokes: Sequence[Stroke], name: str, left: DeltaGenerator, right: DeltaGenerator
) -> None:
    """Read a drawing, and show the sheet with its boxes on the left, the number on the right."""
    page = Page(picture_of(strokes), name, shape=(HEIGHT, WIDTH))
    reading = visit.reader.read_page(page)
    with left:
        canvas.sheet(reading.digits)
    with right:
        show_number(reading.lines, reading.status)
    if reading.digits:
        visit.history.keep(f"{visit.model} {name}", [(page, reading)], visit.reader.labels)
        panels.show_digits(visit, reading, ROOM)
        panels.show_steps(page, reading, ROOM)


def picture_of(strokes: Sequence[Stroke]) -> NDArray[np.uint8]:
    """Draw strokes as the sheet shows them: uint8 [HEIGHT / COARSE, WIDTH / COARSE], ink dark."""
    page = np.full((HEIGHT, WIDTH), PAPER, np.uint8)
    for stroke in strokes:
        first, *points = stroke["points"]
        colour = PAPER if stroke["eraser"] else INK
        path = np.array([first, first, *points], np.int32)  # so that a dot is a line, too
        cv2.polylines(page, [path], False, colour, stroke["width"], cv2.LINE_AA)
    size = (WIDTH // COARSE, HEIGHT // COARSE)
    return np.asarray(cv2.resize(page, size, interpolation=cv2.INTER_AREA), np.uint8)
