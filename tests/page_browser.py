"""The page as a user meets it: its command in a process of its own, and a real Chromium."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import cv2
import numpy as np
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
    *("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"),
)
WAIT = 30_000  # ms that a busy machine may take
CANVAS = "canvas[role=application]"  # tables are drawn on others
SHEET = 640  # px of the drawing's own across
SEVEN = ((120, 60), (230, 60), (160, 270))
FOUR = (((370, 60), (330, 170), (460, 175)), ((430, 90), (425, 270)))
HERE = "127.0.0.1"

expect.set_options(timeout=WAIT)

Stroke = Sequence[tuple[int, int]]


def chromium() -> str | None:
    """Where the system's own browser is."""
    return next(filter(None, map(shutil.which, CHROMIUMS)), None)


@contextmanager
def served(folder: Path, *arguments: str) -> Iterator[str]:
    """Start `digitreader page` in a folder; give its address, and end it as Ctrl-C does."""
    with socket.socket() as free:
        free.bind((HERE, 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "digitreader", "page", "--no-browser", f"--port={port}"]
    server = subprocess.Popen([*command, *arguments], cwd=folder, stdout=subprocess.DEVNULL)
    try:
        address = f"http://{HERE}:{port}"
        _wait_for(f"{address}/_stcore/health", server)
        yield address
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(WAIT / 1000)


def _wait_for(address: str, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + WAIT / 1000
    while time.monotonic() < end:
        assert server.poll() is None, "the page ended before it answered"
        try:
            urlopen(address, timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(address)


@contextmanager
def browsing(film: Path | None = None) -> Iterator[Browser]:
    """Start the system's Chromium, with nothing of its user's; its camera sees the film."""
    flags = [*FLAGS, *([f"--use-file-for-fake-video-capture={film}"] if film else [])]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        flags.append("--no-sandbox")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=flags)
        yield browser
        browser.close()


def write_film(picture: Path, film: Path) -> None:
    """Write one picture as a film that Chromium's camera can show: raw frames in YUV4MPEG2."""
    width, height = 640, 480
    pixels = cv2.imread(str(picture))
    assert pixels is not None
    scale = 0.8 * height / max(pixels.shape[:2])
    small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    frame = np.full((height, width, 3), 245, np.uint8)
    top, left = (height - small.shape[0]) // 2, (width - small.shape[1]) // 2
    frame[top : top + small.shape[0], left : left + small.shape[1]] = small
    planes = cv2.cvtColor(frame, cv2.COLOR_BGR2YUV_I420).tobytes()
    head = f"YUV4MPEG2 W{width} H{height} F10:1 Ip A1:1 C420jpeg\n".encode()
    film.write_bytes(head + b"FRAME\n" + planes)


def opened(page: Page, address: str) -> Locator:
    """Go to the page, and wait for the sheet to draw on."""
    page.set_default_timeout(WAIT)
    page.goto(address)
    sheet = page.locator(CANVAS)
    sheet.wait_for()
    return sheet


def draw(page: Page, *strokes: Stroke) -> None:
    """Draw with the mouse, until all is read; points are in the drawing's own pixels."""
    for stroke in strokes:
        set_down(page, stroke)
        page.mouse.up()
    expect(page.locator(CANVAS)).to_have_attribute("aria-busy", "false")
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")


def set_down(page: Page, stroke: Stroke) -> None:
    """Draw a stroke, and leave the button pressed."""
    first, *rest = on_screen(page, stroke)
    page.mouse.move(*first)
    page.mouse.down()
    for point in rest:
        page.mouse.move(*point, steps=8)


def on_screen(page: Page, stroke: Stroke) -> list[tuple[float, float]]:
    """Where a stroke's points are in the window; the sheet is brought there."""
    sheet = page.locator(CANVAS)
    sheet.scroll_into_view_if_needed()
    box = sheet.bounding_box()
    assert box is not None
    scale = box["width"] / SHEET
    return [(box["x"] + x * scale, box["y"] + y * scale) for x, y in stroke]


def shows(page: Page, text: str) -> None:
    """Wait until the open room shows this number."""
    number = page.locator(".number:visible")
    expect(number).to_have_text(text, use_inner_text=True)


def enter(page: Page, room: str) -> None:
    """Open one of the page's rooms."""
    page.get_by_role("tab", name=room).click()
