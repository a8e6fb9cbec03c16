"""The finder that ships: finds digits that touch, in boxes, among letters, and invents none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from digitreader.cells import CLASSES, STRIDE, Found
from digitreader.errors import ModelError
from digitreader.finder import HALF, Finder, shown_of
from digitreader.ink import Inked, inked
from digitreader.pieces import shared_part
from digitreader.reading import Box
from digitreader.training.synthetic import papers
from digitreader.training.synthetic.hands import Hands
from digitreader.training.synthetic.pages import Range, SyntheticPage, synthetic_page
from digitreader.training.synthetic.pens import BLACK, RED, Pen
from digitreader.training.synthetic.sheet import Sheet, Style
from digitreader.training.synthetic.writers import writers

Page = NDArray[np.uint8]


@pytest.fixture(scope="module")
def finder() -> Finder:
    return Finder.open()


@pytest.fixture(scope="module")
def hands() -> Hands:
    """Writers that no network was trained with: scikit-learn's digits, matplotlib's fonts."""
    return writers(dataset="optdigits")


def _digits(finder: Finder, pixels: Page) -> list[Found]:
    return [f for f in finder.find(inked(pixels)) if f.digit > HALF]


def _sheet(height: int = 220, width: int = 520, seed: int = 1) -> Sheet:
    return Sheet(np.ones((height, width, 3), np.float32), np.random.default_rng(seed))


def _style(hands: Hands, **changes: object) -> Style:
    values = {"pen": Pen(BLACK), "height": 44.0, "gap": 0.15} | changes
    return Style(hands.digits[0], hands.letters[0], **values)  # type: ignore[arg-type]


def _pixels(sheet: Sheet) -> Page:
    return np.rint(sheet.left * 240).astype(np.uint8)


def _share_found(found: list[Found], boxes: list[Box]) -> float:
    hits = (any(shared_part(f.box, box) > 0.5 for f in found) for box in boxes)
    return sum(hits) / len(boxes)


def test_numbers_are_found_digit_by_digit(finder: Finder, hands: Hands) -> None:
    sheet = _sheet()
    sheet.write("3141592", 30, 90, _style(hands))
    sheet.write("2718", 60, 180, _style(hands))
    found = _digits(finder, _pixels(sheet))
    assert len(found) == 11
    assert _share_found(found, [mark.box for mark in sheet.written]) == 1


@pytest.mark.parametrize("gap", [-0.05, 0.0])
def test_touching_digits_are_told_apart(finder: Finder, hands: Hands, gap: float) -> None:
    shares = []
    for seed in range(6):
        sheet = _sheet(seed=seed)
        sheet.write("60253849", 30, 120, _style(hands, gap=gap))
        found = _digits(finder, _pixels(sheet))
        shares.append(_share_found(found, [mark.box for mark in sheet.written]))
    assert np.mean(shares) > 0.85


def test_boxes_of_a_form_are_no_digits(finder: Finder, hands: Hands) -> None:
    sheet = _sheet()
    for i, digit in enumerate("80265"):
        sheet.rectangle(Box(40 + 70 * i, 60, 70, 80), RED, 3, wobble=1.0)
        sheet.write(digit, 58 + 70 * i, 122, _style(hands))
    found = _digits(finder, _pixels(sheet))
    assert len(found) == 5
    assert _share_found(found, [mark.box for mark in sheet.written]) == 1


def test_print_is_no_handwriting(finder: Finder, hands: Hands) -> None:
    sheet = _sheet()
    words = Style(
        hands.print[0], hands.print[0], Pen(BLACK, edge=0.5), 26.0, unsteady=0, read=False
    )
    sheet.write("Invoice of the month", 20, 60, words)
    sheet.write("for Messrs Parker", 20, 110, words)
    assert len(_digits(finder, _pixels(sheet))) <= 1


@pytest.mark.parametrize("factor", [0.6, 1.7, 3.0])
def test_scale_moves_boxes_only(finder: Finder, hands: Hands, factor: float) -> None:
    sheet = _sheet()
    sheet.write("9073", 60, 120, _style(hands))
    pixels = _pixels(sheet)
    scaled = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    found = _digits(finder, np.asarray(scaled, np.uint8))
    boxes = [Box(*(round(factor * v) for v in mark.box)) for mark in sheet.written]
    assert len(found) == 4
    assert _share_found(found, boxes) == 1


def test_a_pencil_is_seen_beside_a_marker(finder: Finder, hands: Hands) -> None:
    sheet = _sheet()
    sheet.write("5203", 30, 90, _style(hands, pen=Pen(BLACK, edge=0.3)))
    sheet.write("4718", 30, 180, _style(hands, pen=Pen(BLACK, strength=0.15)))
    assert len(_digits(finder, _pixels(sheet))) == 8


@pytest.mark.parametrize("seed", range(12))
def test_empty_papers_have_no_digits(finder: Finder, seed: int) -> None:
    rng = np.random.default_rng((77, seed))
    left = papers.rules((300, 400), 50, rng)
    pixels = papers.photographed(papers.lit(left, rng), 30, rng)
    assert _digits(finder, pixels) == []


def test_most_digits_of_made_up_pages_are_found(finder: Finder, hands: Hands) -> None:
    pages = [
        synthetic_page(hands, np.random.default_rng((5, i)), "numbers", Range((300, 500), (26, 44)))
        for i in range(6)
    ]
    shares = [_page_share(finder, page) for page in pages if page.digits]
    assert np.mean(shares) > 0.8


def _page_share(finder: Finder, page: SyntheticPage) -> float:
    return _share_found(_digits(finder, page.pixels), [mark.box for mark in page.digits])


def test_cells_cover_the_page_whatever_its_sides(finder: Finder) -> None:
    for height, width in ((1, 1), (16, 16), (17, 33), (5, 200)):
        cells = finder.cells(np.zeros((height, width, 2), np.uint8))
        assert cells.shape == (-(-height // STRIDE), -(-width // STRIDE), CLASSES + 4)
        np.testing.assert_allclose(cells[..., :CLASSES].sum(axis=2), 1, atol=1e-5)


def test_faint_contrast_is_raised_and_its_order_kept() -> None:
    contrast = np.linspace(0, 1, 101, dtype=np.float32)[None]
    both = shown_of(Inked(contrast, contrast, contrast * np.float32(0.5)))[0].astype(int)
    assert (both[50, 1], both[100, 1]) == (both[25, 0], both[50, 0])
    shown = both[:, 0]
    assert (np.diff(shown) >= 0).all()
    assert (shown[0], shown[-1]) == (0, 255)
    assert shown[10] > 100


def test_a_broken_file_is_a_clear_error(tmp_path: object) -> None:
    from pathlib import Path

    path = Path(str(tmp_path)) / "finder.onnx"
    with pytest.raises(ModelError, match="no model file"):
        Finder.open(path)
    path.write_bytes(b"broken")
    with pytest.raises(ModelError, match="not a readable ONNX model"):
        Finder.open(path)
