"""Measures the page: how soon it is there, and how soon a stroke is read.

    python tests/page_speed.py

A stroke's time is that from the browser's last message to the server's with the number in it. Both
share this machine's cores; so the browser's messages are sent once more without one, which tells
what the server takes. Where other programs run here, the processor's time tells more.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, WebSocket
from playwright.sync_api import Page as Window
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from digitreader.doors.page.canvas import HEIGHT, WIDTH
from digitreader.doors.page.drawing import picture_of
from digitreader.reader import Reader
from digitreader.sources import Page
from page_browser import FOUR, SEVEN, Stroke, browsing, draw, opened, served, shows

STARTS, STROKES = 9, 20
NUMBER = b'class="number"'


def main() -> None:
    """Print medians and extremes."""
    with browsing() as browser, TemporaryDirectory() as home:
        starts = [start(browser, Path(home)) for _ in range(STARTS)]
        with served(Path(home)) as address:
            with closing(browser.new_page()) as page:
                strokes, messages = read_strokes(page, address)
            answers = answered(messages, address)
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
    print(f"the same, without the browser:   {told([1000 * s for s in answers], 'ms')}")
    for name, drawing in drawings.items():
        print(f"the processor reads {name}: {told(processor_ms(reader, drawing), 'ms')}")


def start(browser: Browser, home: Path) -> tuple[float, float]:
    """Seconds until the page's server answers, and until the sheet is seen, alone and anew."""
    with closing(browser.new_page()) as page:
        begin = time.perf_counter()
        with served(home) as address:
            answers = time.perf_counter() - begin
            opened(page, address)
            return answers, time.perf_counter() - begin


def read_strokes(page: Window, address: str) -> tuple[list[float], list[bytes]]:
    """Seconds that each of many drawings of a 7, then a 4, takes from its last message.

    With them come all messages.
    """
    sent, numbers, messages = [0.0], [0.0], []

    def listen(socket: WebSocket) -> None:
        def was_sent(frame: str | bytes) -> None:
            sent.append(time.perf_counter())
            messages.append(_bytes(frame))

        def was_received(frame: str | bytes) -> None:
            if NUMBER in _bytes(frame):
                numbers.append(time.perf_counter())

        socket.on("framesent", was_sent)
        socket.on("framereceived", was_received)

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
    return seconds, messages


def answered(messages: Sequence[bytes], address: str) -> list[float]:
    """Seconds from each message, sent when all before it are answered, to the number."""
    seconds = []
    stream = f"{address.replace('http', 'ws')}/_stcore/stream"
    with connect(stream, subprotocols=[Subprotocol("streamlit")]) as socket:
        for message in messages:
            begin, number, answer = time.perf_counter(), 0.0, ForwardMsg()
            socket.send(message)
            while answer.WhichOneof("type") != "script_finished":
                received = _bytes(socket.recv())
                if NUMBER in received:
                    number = number or time.perf_counter()
                answer.ParseFromString(received)
            seconds += [number - begin] if number else []
    return seconds[1:]  # without the first, which opens the page


def _bytes(frame: str | bytes) -> bytes:
    return frame if isinstance(frame, bytes) else frame.encode()


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
