"""The page in a real browser: what a user does, and what the page shows then."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from PIL import Image

from conftest import EXAMPLES

pytest.importorskip("streamlit", reason="the extra 'page' is not installed")
pytest.importorskip("playwright", reason="playwright is not installed")

from playwright.sync_api import Browser, Page, ViewportSize, expect

from page_browser import (
    CANVAS,
    FOUR,
    HERE,
    SEVEN,
    Stroke,
    browsing,
    chromium,
    draw,
    enter,
    on_screen,
    opened,
    served,
    set_down,
    shows,
    write_film,
)

pytestmark = pytest.mark.skipif(
    chromium() is None, reason="no Chromium on this machine: apt-get install chromium"
)
SMOOTH = 0.02  # of the ink: Chromium smooths edges a little otherwise once it was looked at
PHONE = ViewportSize(width=390, height=844)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the page is started."""
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with served(folder) as address:
        yield address


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    film = tmp_path_factory.mktemp("film") / "seven.y4m"
    write_film(EXAMPLES / "felt_pen.png", film)
    with browsing(film) as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """The page, opened; whatever a test does with it, it asks its own server only."""
    context = browser.new_context()
    page = context.new_page()
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda socket: asked.append(socket.url))
    opened(page, address)
    yield page
    context.close()
    hosts = {urlsplit(url).netloc for url in asked if urlsplit(url).scheme not in {"data", "blob"}}
    assert hosts == {urlsplit(address).netloc}


def drawn(page: Page) -> list[int]:
    """How much dark ink is on the sheet, and where, without the boxes around digits."""
    ink: list[int] = page.locator(CANVAS).evaluate(
        """sheet => {
            const { data } = sheet.getContext("2d").getImageData(0, 0, sheet.width, sheet.height);
            const ink = [0, 0, 0];
            for (let i = 0; i < data.length; i += 4) {
                if (Math.max(data[i], data[i + 1], data[i + 2]) > 64 || data[i + 3] < 255) continue;
                ink[0] += 1;
                ink[1] += (i / 4) % sheet.width;
                ink[2] += Math.floor(i / 4 / sheet.width);
            }
            return ink;
        }"""
    )
    return ink


def test_strangers_cannot_connect(address: str) -> None:
    port = urlsplit(address).port
    assert port is not None
    socket.create_connection((HERE, port), timeout=5).close()
    with pytest.raises(OSError, match="refused"):  # an address of this machine, but not that one
        socket.create_connection(("127.0.0.2", port), timeout=5)


def test_a_seven_is_read_before_the_pen_is_lifted(page: Page) -> None:
    set_down(page, SEVEN)
    shows(page, "7")
    page.mouse.up()
    draw(page, *FOUR)
    shows(page, "74")
    expect(page.get_by_alt_text("The digit's 28×28 pixels")).to_be_visible()
    expect(page.locator(".bars tr")).to_have_count(11)  # ten digits, and none


def test_undo_redo_clear_and_eraser(page: Page) -> None:
    draw(page, SEVEN)
    shows(page, "7")
    seven = drawn(page)
    draw(page, *FOUR)
    shows(page, "74")
    for _ in FOUR:
        page.get_by_role("button", name="Undo").click()
    shows(page, "7")
    page.locator(CANVAS).press("Control+Shift+Z")
    page.get_by_role("button", name="Redo").click()
    shows(page, "74")
    page.get_by_role("button", name="Clear").click()
    shows(page, "–")
    page.locator(CANVAS).press("Control+Z")
    shows(page, "74")
    page.get_by_role("button", name="Eraser").click()
    page.get_by_role("slider").fill("48")
    rubbed: list[Stroke] = [((x, 30), (x, 300)) for x in range(320, 500, 35)]
    draw(page, *rubbed)
    shows(page, "7")
    assert drawn(page) == pytest.approx(seven, rel=SMOOTH)  # nothing of the four is left


def test_the_keyboard_draws(page: Page) -> None:
    sheet = page.locator(CANVAS)
    sheet.focus()
    there = ["ArrowUp"] * 12 + ["ArrowLeft"] * 8
    seven = ["ArrowRight"] * 14 + ["ArrowDown", "ArrowDown", "ArrowLeft"] * 9
    for key in [*there, " ", *seven, " "]:
        sheet.press(key)
    shows(page, "7")
    sheet.press("Delete")
    shows(page, "–")


def test_a_finger_draws_and_the_page_stays(browser: Browser, address: str) -> None:
    context = browser.new_context(viewport=PHONE, has_touch=True, is_mobile=True)
    page = context.new_page()
    opened(page, address)
    corners = on_screen(page, SEVEN)
    points = [
        {"x": a[0] + (b[0] - a[0]) * i / 8, "y": a[1] + (b[1] - a[1]) * i / 8}
        for a, b in pairwise(corners)
        for i in range(9)
    ]
    touch = context.new_cdp_session(page)
    for i, point in enumerate(points):
        kind = "touchMove" if i else "touchStart"
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    shows(page, "7")
    assert on_screen(page, SEVEN) == corners
    context.close()


def test_a_drawing_survives_what_happens_around_it(page: Page) -> None:
    draw(page, SEVEN, *FOUR)
    shows(page, "74")
    before = drawn(page)
    page.get_by_role("radio", name="7", exact=True).first.click()  # a rerun of the room
    enter(page, "History")  # a rerun of the whole page
    expect(page.get_by_role("button", name="Download CSV")).to_be_visible()
    enter(page, "Draw")
    shows(page, "74")
    assert drawn(page) == pytest.approx(before, rel=SMOOTH)
    for _ in FOUR:
        page.get_by_role("button", name="Undo").click()
    shows(page, "7")


def test_uploaded_pages_are_read_and_a_broken_file_is_named(page: Page, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    pages = [Image.open(EXAMPLES / name).convert("L") for name in ("postcode.png", "felt_pen.png")]
    pages[0].save(tmp_path / "two.tiff", save_all=True, append_images=pages[1:])
    enter(page, "Upload")
    page.locator("input[type=file]").set_input_files(
        [EXAMPLES / "page.jpg", broken, tmp_path / "two.tiff"]
    )
    shows(page, "314159 2026 11 21 8067")
    expect(page.get_by_role("alert")).to_contain_text("broken.png")
    page.get_by_role("combobox", name="Page").click()
    page.get_by_role("option", name=re.compile("two.tiff, page 2: 7")).click()
    shows(page, "7")


def test_what_is_pasted_is_read(page: Page) -> None:
    enter(page, "Upload")
    expect(page.locator("input[type=file]")).to_be_attached()
    content = list((EXAMPLES / "felt_pen.png").read_bytes())
    page.evaluate(
        """bytes => {
            const clipboardData = new DataTransfer();
            const picture = new File([new Uint8Array(bytes)], "image.png", { type: "image/png" });
            clipboardData.items.add(picture);
            const paste = new ClipboardEvent("paste", { clipboardData, bubbles: true });
            document.body.dispatchEvent(paste);
        }""",
        content,
    )
    shows(page, "7")


def test_the_camera_reads(page: Page) -> None:
    enter(page, "Camera")
    page.wait_for_function("document.querySelector('video')?.readyState === 4")
    page.get_by_role("button", name="Take Photo").click()
    shows(page, "7")


def test_a_right_answer_is_kept_until_it_is_taken_back(page: Page, folder: Path) -> None:
    draw(page, SEVEN)
    shows(page, "7")
    answers = page.get_by_role("radiogroup", name=re.compile("Wrong"))
    one = answers.get_by_role("radio", name="1", exact=True)
    one.click()
    expect(page.get_by_text("Kept in corrections/1")).to_be_visible()
    (kept,) = (folder / "corrections" / "1").iterdir()
    assert kept.suffix == ".png"
    enter(page, "History")
    expect(page.get_by_text("1 × 1", exact=False)).to_be_visible()
    enter(page, "Draw")
    expect(one).to_be_checked()
    one.click()
    expect(page.get_by_text("Taken back")).to_be_visible()
    expect(one).not_to_be_checked()
    assert not kept.exists()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_every_room_in_its_width(browser: Browser, address: str, scheme: str) -> None:
    context = browser.new_context(viewport=PHONE, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    opened(page, address)
    for room in ("Draw", "Upload", "Examples", "Model"):
        enter(page, room)
        if room == "Examples":
            shows(page, "314159 2026 11 21 8067")
        wide = page.evaluate("document.scrollingElement.scrollWidth")
        assert wide == PHONE["width"], room
    light = page.evaluate(
        "Number(getComputedStyle(document.querySelector('.stApp')).backgroundColor.match(/\\d+/))"
    )
    assert (light > 127) == (scheme == "light")
    context.close()
