"""Photographs the page for the documentation: docs/images/page-*.png.

python tests/page_pictures.py [FOLDER]
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize

from page_browser import FOUR, SEVEN, browsing, draw, enter, opened, served, shows

IMAGES = Path(__file__).parent.parent / "docs" / "images"
DESK, PHONE = ViewportSize(width=1120, height=860), ViewportSize(width=390, height=844)
SETTLED = 1500  # ms until nothing fades in any more
COLOURS = 64  # are enough for a page of few, and a quarter of the bytes


def main() -> None:
    """Photograph a drawing, a page and a phone."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    with TemporaryDirectory() as home, served(Path(home)) as address, browsing() as browser:
        page = visit(browser, address, "light", DESK)
        draw(page, SEVEN, *FOUR)
        shows(page, "74")
        photograph(page, folder / "page-draw.png")
        page = visit(browser, address, "dark", DESK)
        enter(page, "Examples")
        shows(page, "314159 2026 11 21 8067")
        photograph(page, folder / "page-examples.png")
        page = visit(browser, address, "dark", PHONE)
        draw(page, SEVEN, *FOUR)
        shows(page, "74")
        photograph(page, folder / "page-phone.png")


def visit(browser: Browser, address: str, scheme: str, size: ViewportSize) -> Page:
    """Open the page in a window of its own."""
    context = browser.new_context(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    opened(page, address)
    return page


def photograph(page: Page, path: Path) -> None:
    """Write what the window shows, in few colours."""
    page.mouse.move(0, 0)
    page.wait_for_timeout(SETTLED)
    with Image.open(io.BytesIO(page.screenshot())) as picture:
        picture.convert("RGB").quantize(COLOURS).save(path, optimize=True)
    print(path)


if __name__ == "__main__":
    main()
