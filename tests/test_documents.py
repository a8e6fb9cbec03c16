"""A PDF's pages come one by one, scans with the pixels that they have."""

from __future__ import annotations

import io
import sys
import threading
import tracemalloc
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from digitreader.errors import SourceError
from digitreader.pdf_pages import AT_ONCE, MOST_BROKEN, PAGE_PIXELS, PAGE_SIDE
from digitreader.reader import Reader
from digitreader.sources import Failed, Page, open_pages, pages_of
from pdf_files import GOOD, from_pillow, kids, locked, one_page, scan, stream, written

PIL_JPEG = b"\xff\xd8"
DRAWN = b"0 g 20 30 30 30 re f"


def only(source: Any) -> Page:
    (page,) = open_pages(source)
    return page


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    """A picture of soft blots, as JPEG has them."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def test_a_drawing_has_200_dots_an_inch() -> None:
    pixels = only(one_page(DRAWN + b" 1 0 0 rg 0 0 9 9 re f")).pixels
    assert pixels.shape == (400, 200, 3)
    assert pixels.dtype == np.uint8
    inside = pixels[235:315, 57:137]  # 60–30 points below the top of 144, at 2.78 px a point
    assert not inside.any()
    assert (pixels[:230] == 255).all()
    assert (pixels[390, 10] == [255, 0, 0]).all()  # red, not blue


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_page_that_is_turned_comes_upright(turn: int) -> None:
    upright = only(one_page(DRAWN)).pixels
    turned = only(one_page(DRAWN, more=b"/Rotate %d" % turn)).pixels
    np.testing.assert_array_equal(turned, np.rot90(upright, -turn // 90))


def test_a_scan_in_black_and_white_keeps_each_pixel() -> None:
    page = noise(331, 467).convert("1")
    pixels = only(from_pillow(page, resolution=300)).pixels
    np.testing.assert_array_equal(pixels[..., 0], np.asarray(page) * np.uint8(255))


def test_a_scan_in_colour_is_what_its_jpeg_is() -> None:
    document = from_pillow(noise(1653, 2338), resolution=200)
    jpeg = np.asarray(Image.open(io.BytesIO(document[document.index(PIL_JPEG) :])))
    pixels = only(document).pixels
    assert pixels.shape == jpeg.shape
    assert np.abs(pixels.astype(int) - jpeg).max() <= 2


SEARCHED = b"BT 3 Tr /F 9 Tf 10 10 Td (17) Tj ET "  # invisible, as character recognition adds it
READ = b"BT /F 9 Tf 10 10 Td (17) Tj ET "
WHOLE = b"q 72 0 0 144 0 0 cm /I Do Q "


@pytest.mark.parametrize(
    "content",
    [WHOLE, WHOLE + SEARCHED, READ + WHOLE, b"1 g 0 0 72 144 re f " + WHOLE],
    ids=["alone", "with invisible text", "over text", "on a white ground"],
)
def test_a_page_that_is_one_scan_has_the_scans_own_pixels(content: bytes) -> None:
    picture, pixels = scan(120, 240)  # 120 dots an inch
    np.testing.assert_array_equal(only(one_page(content, i=picture)).pixels[..., 0], pixels)


@pytest.mark.parametrize(
    ("content", "more"),
    [(WHOLE + READ, b""), (WHOLE + b"0 g 9 9 9 9 re f", b""), (WHOLE, b"/Annots[<</Type/Annot>>]")],
    ids=["text", "a drawing", "a note"],
)
def test_what_is_added_to_a_scan_is_drawn_in_full(content: bytes, more: bytes) -> None:
    assert only(one_page(content, i=scan(30, 60)[0], more=more)).pixels.shape == (400, 200, 3)


def test_a_stylus_note_on_a_page_is_drawn() -> None:
    note = b"/Annots[<</Type/Annot/Subtype/Ink/Rect[20 30 50 60]/AP<</N 5 0 R>>>>]"
    look = stream(b"/Type/XObject/Subtype/Form/BBox[0 0 30 30]", b"0 g 0 0 30 30 re f")
    pixels = only(one_page(b"", more=note, i=look)).pixels
    np.testing.assert_array_equal(pixels, only(one_page(DRAWN)).pixels)


def test_a_scan_that_is_turned_keeps_its_resolution() -> None:
    turned = b"0 144 -72 0 72 0 cm /I Do"
    assert only(one_page(turned, i=scan(288, 144)[0])).pixels.shape == (288, 144, 3)


def test_a_scan_in_a_group_keeps_its_pixels() -> None:
    group = b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Matrix[4 0 0 4 0 0]/Resources<</XObject"
    picture, pixels = scan(120, 240)
    parts = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 72 144]/Contents 4 0 R/Resources"
        b"<</XObject<</I 5 0 R>>>>>>",
        stream(b"", b"9 0 0 12 0 0 cm /I Do"),
        stream(group + b"<</J 6 0 R>>>>", b"2 0 0 3 0 0 cm /J Do"),
        picture,
    ]  # 9 x 4 x 2 = 72 points across, 12 x 4 x 3 = 144 up
    np.testing.assert_array_equal(only(written(parts)).pixels[..., 0], pixels)


def test_a_fax_keeps_its_finer_side() -> None:
    fax = one_page(WHOLE, i=scan(204, 196)[0])  # 204 dots an inch across, 98 down
    assert only(fax).pixels.shape == (408, 204, 3)


def test_a_digit_of_28_pixels_in_a_pdf_is_that_digit() -> None:
    digit = Image.fromarray(np.eye(28, dtype=np.uint8) * 255).convert("1")
    assert only(from_pillow(digit)).pixels.shape == (28, 28, 3)


@pytest.mark.parametrize("size", [b"7200 7200", b"14400 10", b"3 14400"])
def test_a_page_of_any_size_is_drawn_within_bounds(size: bytes) -> None:
    height, width, _ = only(one_page(DRAWN, size)).pixels.shape
    assert height * width <= PAGE_PIXELS * 1.01
    assert max(height, width) <= PAGE_SIDE
    across, down = map(int, size.split())
    assert width / height == pytest.approx(across / down, rel=0.1)


@pytest.mark.parametrize("count", [1, AT_ONCE, AT_ONCE + 1, 2 * AT_ONCE + 3])
def test_pages_come_one_by_one(count: int) -> None:
    sizes = [(20 + number % 7, 30 + number % 5) for number in range(count)]
    pages = list(open_pages(from_pillow(*(Image.new("1", size) for size in sizes))))
    assert [page.number for page in pages] == list(range(1, count + 1))
    assert [page.pixels.shape[1::-1] for page in pages] == sizes


def test_a_long_document_is_never_held_whole() -> None:
    document = from_pillow(*(noise(1000, 1000, seed) for seed in range(12)))
    tracemalloc.start()
    try:
        assert sum(1 for _ in open_pages(document)) == 12
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * 3_000_000  # bytes: the page that is there, the next, and change


def test_pages_before_a_broken_one_are_given() -> None:
    pages = open_pages(kids(2, GOOD))
    assert next(pages).number == 1
    with pytest.raises(SourceError, match=r"^<bytes>: page 2 cannot be drawn"):
        next(pages)


def test_pages_behind_a_broken_one_are_read() -> None:
    document = kids(3, GOOD, b"null", GOOD)
    readings = list(Reader().read_many([document]))
    assert [(r.page, r.status) for r in readings] == [(1, "empty"), (2, "error"), (3, "empty")]
    assert (readings[1].error or "").startswith("<bytes>: page 2 cannot be drawn")
    assert [r.status for r in Reader().read_together([document])[0]] == ["empty", "error", "empty"]


def test_a_document_that_claims_a_million_pages_ends_soon() -> None:
    document = kids(1, GOOD).replace(b"/Count 1>>", b"/Count 999999>>")
    first, *broken = pages_of(document)
    assert isinstance(first, Page)
    assert len(broken) == MOST_BROKEN + 1
    assert isinstance(broken[-1], Failed)
    assert broken[-1].why.endswith("what follows it is not read")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (locked(b"/Standard/V 1"), "is locked with a password"),
        (locked(b"/Unheard/V 1"), "is locked in a way"),
        (kids(0), "has no pages"),
        (b"%PDF-1.7\nand nothing else", "cannot be read as PDF"),
        (from_pillow(noise(90, 90))[:700], "cannot be read as PDF"),
        (b"\xef\xbb\xbf \n%PDF-1.4", "cannot be read as PDF"),
    ],
    ids=["password", "unknown lock", "no pages", "empty", "cut", "begins late"],
)
def test_a_document_that_cannot_be_read_says_why(
    document: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "some.pdf"
    path.write_bytes(document)
    for source, name in ((document, "<bytes>"), (path, str(path))):
        with pytest.raises(SourceError, match=message) as caught:
            list(open_pages(source))
        assert str(caught.value).startswith(f"{name}: ")
        assert "\n" not in str(caught.value)


def test_a_scan_that_is_broken_is_no_empty_page() -> None:
    flat = one_page(b"q 72 0 0 0 0 0 cm /I Do Q", i=scan(9, 9)[0])  # a picture without a height
    assert only(flat).pixels.shape == (400, 200, 3)
    document = from_pillow(noise(600, 400))
    start = document.index(PIL_JPEG)
    end = document.index(b"endstream", start)
    with pytest.raises(SourceError, match="page 1 cannot be drawn: the picture on it is broken"):
        list(open_pages(document[:start] + bytes(end - start) + document[end:]))
    white = Image.new("1", (60, 40), 1)
    assert (only(from_pillow(white)).pixels == 255).all()


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=20))
def test_damage_anywhere_gives_pages_or_one_error(place: int, junk: bytes) -> None:
    whole = one_page(WHOLE + READ, i=scan(12, 24)[0])
    place %= len(whole)
    damaged = whole[:place] + junk + whole[place + len(junk) :]
    with suppress(SourceError):
        assert all(page.pixels.size for page in open_pages(damaged))


def test_digits_in_a_pdf_are_read(examples: dict[Path, tuple[str, ...]]) -> None:
    path = next(path for path in examples if path.name == "postcode.png")
    with Image.open(path) as image:
        document = from_pillow(image.convert("RGB"))
    (reading,) = Reader().read_many([document])
    assert reading.lines == examples[path]


def test_documents_are_drawn_by_many_threads_as_by_one() -> None:
    documents = [from_pillow(*(noise(90, 60, s + k) for s in range(3))) for k in range(4)]
    drawn: dict[int, list[NDArray[np.uint8]]] = {}

    def draw_all(number: int) -> None:
        drawn[number] = [page.pixels for page in open_pages(documents[number % 4])]

    threads = [threading.Thread(target=draw_all, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(12):
        np.testing.assert_array_equal(drawn[number], drawn[number % 4])


@pytest.fixture
def without_pdfium(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pypdfium2", None)


@pytest.mark.usefixtures("without_pdfium")
def test_without_the_extra_the_rest_is_read_and_the_command_named() -> None:
    document = from_pillow(noise(60, 40))
    with pytest.raises(SourceError, match=r"<bytes>: PDF .* pip install 'digitreader\[pdf\]'"):
        list(open_pages(document))
    blank = np.full((40, 40), 255, np.uint8)
    assert [r.status for r in Reader().read_many([document, blank])] == ["error", "empty"]
