"""Measures the page: how soon it is there, and how soon a stroke is read.

    python tests/page_speed.py

A stroke's time is that from the browser's last message to the server's with the number in it; both
are on this machine. Where other programs run on it, the processor's time tells more.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Page as Window
from playwright.sync_api import WebSocket

from digitreader.doors.page.canvas import HEIGHT, WIDTH, picture_of
from digitreader.reader import Reader
from digitreader.sources import Page
from page_browser import FOUR, SEVEN, Stroke, browsing, draw, opened, served, shows

STARTS, STROKES = 5, 20


def main() -> None:
    """Print medians and extremes."""
    with browsing() as browser, TemporaryDirectory() as home:
        starts = [start(browser.new_page(), Path(home)) for _ in range(STARTS)]
        with served(Path(home)) as address:
            strokes = read_strokes(browser.new_page(), address)
    reader = Reader(threads=1)
    drawings: dict[str, Sequence[Stroke]] = {
        "nothing yet": [SEVEN[:2]],
        "a digit": [SEVEN],
        "two digits": [SEVEN, *FOUR],
    }
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load {load:.1f}")
    print(f"from the command to an answer:   {told([a for a, _ in starts], 's')}")
    print(f"from the command to the sheet:   {told([b for _, b in starts], 's')}")
    print(f"from a stroke to its reading:    {told([1000 * s for s in strokes], 'ms')}")
    for name, drawing in drawings.items():
        print(f"the processor reads {name}: {told(processor_ms(reader, drawing), 'ms')}")


def start(page: Window, home: Path) -> tuple[float, float]:
    """Seconds until the page's server answers, and until the sheet is seen."""
    begin = time.perf_counter()
    with served(home) as address:
        answers = time.perf_counter() - begin
        opened(page, address)
        return answers, time.perf_counter() - begin


def read_strokes(page: Window, address: str) -> list[float]:
    """Seconds that each of many drawings of a 7, then a 4, takes from its last message."""
    sent, numbers = [0.0], [0.0]

    def listen(socket: WebSocket) -> None:
        def received(frame: str | bytes) -> None:
            if b'class="number"' in (frame if isinstance(frame, bytes) else frame.encode()):
                numbers.append(time.perf_counter())

        socket.on("framesent", lambda _: sent.append(time.perf_counter()))
        socket.on("framereceived", received)

    page.on("websocket", listen)
    opened(page, address)
    seconds = []
    for _ in range(STROKES // 2):
        for strokes, text in (([SEVEN], "7"), (FOUR, "74")):
            draw(page, *strokes)
            shows(page, text)
            page.wait_for_timeout(1000)  # until the last answer
            seconds.append(numbers[-1] - sent[-1])
        page.get_by_role("button", name="Clear").click()
        shows(page, "–")
    return seconds


def processor_ms(reader: Reader, drawing: Sequence[Stroke]) -> list[float]:
    """Milliseconds that a processor reads a drawing, each of many times."""
    picture = picture_of(
        [{"width": 16, "eraser": False, "points": list(points)} for points in drawing]
    )
    taken = []
    for _ in range(STROKES):
        begin = time.thread_time()
        reader.read_page(Page(picture, "drawing", shape=(HEIGHT, WIDTH)))
        taken.append(1000 * (time.thread_time() - begin))
    return taken


def told(values: list[float], unit: str) -> str:
    return (
        f"median {statistics.median(values):.3g} {unit} "
        f"({min(values):.3g}–{max(values):.3g}, {len(values)} times)"
    )


if __name__ == "__main__":
    main()
