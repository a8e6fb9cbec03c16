"""Synthetic pages: what the truth says is there is there, and the same seed gives the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from digitreader.cells import CLASSES, NOTHING, OTHER_WRITING, STRIDE
from digitreader.classifier import Classifier
from digitreader.doors.cli import cli, run
from digitreader.errors import DataError, UsageError
from digitreader.reading import Box
from digitreader.training.datasets import load
from digitreader.training.synthetic import papers, windows
from digitreader.training.synthetic.cut import cut_glyphs
from digitreader.training.synthetic.drawings import figure, scribble, underline
from digitreader.training.synthetic.folder import write_pages
from digitreader.training.synthetic.hands import HEIGHT, Hands, invented_hand, stroke_hands
from digitreader.training.synthetic.outliers import KINDS as OUTLIERS
from digitreader.training.synthetic.outliers import outliers
from digitreader.training.synthetic.pages import (
    KINDS,
    Range,
    synthetic_page,
)
from digitreader.training.synthetic.pens import BLACK, Pen, Slope, inked
from digitreader.training.synthetic.sheet import OTHER, Sheet, Style, Written
from digitreader.training.synthetic.texts import some_letter, some_number, some_word
from digitreader.training.synthetic.writers import writers


@pytest.fixture(scope="module")
def hands() -> Hands:
    """Writers who need no download."""
    return writers(dataset="optdigits")


def _style(hands: Hands, **changes: object) -> Style:
    values = {"pen": Pen(BLACK), "height": 40.0, "unsteady": 0.0, "gap": 0.2} | changes
    return Style(hands.digits[0], hands.letters[0], **values)  # type: ignore[arg-type]


def _sheet(height: int = 200, width: int = 600) -> Sheet:
    return Sheet(np.ones((height, width, 3), np.float32), np.random.default_rng(5))


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_page(hands: Hands, kind: str) -> None:
    one, same = (synthetic_page(hands, np.random.default_rng(3), kind) for _ in range(2))
    np.testing.assert_array_equal(one.pixels, same.pixels)
    assert (one.written, one.lines) == (same.written, same.lines)
    other = synthetic_page(hands, np.random.default_rng(4), kind)
    assert other.pixels.shape != one.pixels.shape or (other.pixels != one.pixels).any()


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"blank"}))
def test_pages_say_what_is_on_them(hands: Hands, kind: str) -> None:
    pages = [synthetic_page(hands, np.random.default_rng((9, i)), kind) for i in range(8)]
    assert any(page.written for page in pages) or kind == "scribbles"
    for page in pages:
        height, width = page.pixels.shape[:2]
        assert sorted("".join(page.lines)) == sorted(w.label for w in page.digits)
        for mark in page.written:
            assert 0 <= mark.box.x < mark.box.right <= width
            assert 0 <= mark.box.y < mark.box.bottom <= height


def test_a_box_is_where_the_ink_is(hands: Hands) -> None:
    sheet = _sheet()
    sheet.write("7", 100, 150, _style(hands))
    (mark,) = sheet.written
    rows, columns = np.nonzero(sheet.left.min(axis=2) < 0.8)
    found = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    np.testing.assert_allclose(
        found, (mark.box.x, mark.box.y, mark.box.right, mark.box.bottom), 0, 1
    )
    assert mark.label == "7"
    assert mark.box.bottom == pytest.approx(150, abs=1)
    assert mark.box.height == pytest.approx(40, abs=2)


@pytest.mark.parametrize(("gap", "touching"), [(-0.06, True), (0.3, False)])
def test_neighbours_touch_or_do_not(hands: Hands, gap: float, touching: bool) -> None:
    import cv2

    sheet = _sheet()
    sheet.write("00000", 20, 150, _style(hands, gap=gap))
    pieces, _ = cv2.connectedComponents((sheet.left.min(axis=2) < 0.7).astype(np.uint8))
    assert len(sheet.written) == 5
    assert (pieces - 1 < 5) == touching


def test_what_does_not_fit_is_not_claimed(hands: Hands) -> None:
    sheet = _sheet(width=100)
    sheet.write("1234567890", 10, 150, _style(hands))
    assert 0 < len(sheet.written) < 10
    assert sheet.write("5", 10, 20, _style(hands)) is None  # above the sheet's edge


def test_digits_in_print_and_in_words_are_other_writing(hands: Hands) -> None:
    sheet = _sheet()
    sheet.write("45", 20, 150, _style(hands, read=False))
    assert [w.label for w in sheet.written] == [OTHER, OTHER]


def test_a_finer_pen_leaves_less_ink(hands: Hands) -> None:
    shape = hands.digits[0].draw("8", np.random.default_rng(0))
    rng = np.random.default_rng(0)
    ink = [inked(shape, 60, Pen(BLACK, edge=edge), Slope(), rng).sum() for edge in (0.2, 0.4, 0.6)]
    assert ink[0] > ink[1] > ink[2] > 0
    fine, broad = (inked(shape, 60, Pen(BLACK, monoline=w), Slope(), rng).sum() for w in (2, 6))
    assert fine < broad


def test_numbers_look_like_numbers() -> None:
    rng = np.random.default_rng(0)
    numbers = {some_number(rng) for _ in range(300)}
    assert len(numbers) > 200
    assert all(any(c.isdigit() for c in number) and "#" not in number for number in numbers)
    assert any("." in number for number in numbers)
    assert any("-" in number for number in numbers)


def test_only_words_go_on_with_digits() -> None:
    rng = np.random.default_rng(0)
    words = [some_word(rng) for _ in range(500)]
    numbered = [word for word in words if any(c.isdigit() for c in word)]
    assert 0.1 < len(numbered) / len(words) < 0.3
    assert any("-" in word for word in numbered)
    assert all(sum(c.isalpha() for c in word) >= 3 for word in numbered)


def test_every_word_has_a_letter_that_no_digit_looks_like() -> None:
    rng = np.random.default_rng(0)
    words = [some_word(rng, longest) for longest in (1, 2, 4) for _ in range(300)]
    assert all(any(c.isalpha() and c not in "OoDQlIiZzSsbBgqG" for c in word) for word in words)
    assert max(sum(c.isalnum() for c in word) for word in words) == 4


def test_some_digits_are_much_larger_or_smaller_than_the_others(hands: Hands) -> None:
    def heights(outsized: float) -> list[int]:
        sheet = _sheet()
        for base in (80, 140):
            sheet.write("5" * 12, 10, base, _style(hands, outsized=outsized))
        return [w.box.height for w in sheet.written]

    assert np.ptp(heights(0.0)) <= 6
    assert np.ptp(heights(0.5)) > 12


def test_letters_that_nobody_writes_are_strokes_of_their_own() -> None:
    hand = invented_hand(np.random.default_rng(0))
    assert hand.characters.isalpha()
    rng = np.random.default_rng(0)
    inks = [hand.draw(character, rng).ink for character in hand.characters]
    assert min((ink > 0.5).mean() for ink in inks) > 0.01
    assert len({ink.shape for ink in inks}) > 20


def test_an_area_is_filled_and_no_more() -> None:
    sheet = _sheet(40, 60)
    sheet.fill(Box(-5, 10, 20, 100), (0.5, 0.6, 0.7))
    assert np.allclose(sheet.left[10:, :15], (0.5, 0.6, 0.7))
    assert (sheet.left[:10] == 1).all()
    assert (sheet.left[:, 15:] == 1).all()


def test_single_letters_look_like_no_digit(hands: Hands) -> None:
    rng = np.random.default_rng(0)
    letters = {some_letter(hands.letters[0], rng) for _ in range(500)}
    assert len(letters) > 20
    assert not letters & set("0123456789OoIlZzSs|")


def test_figures_and_scribbles_are_ink_but_no_characters() -> None:
    for draw in (figure, scribble):
        drawn = 0
        for seed in range(20):
            sheet = _sheet()
            sheet.rng = np.random.default_rng(seed)
            draw(sheet, 30)
            drawn += bool((sheet.left < 0.9).any())
            assert sheet.written == []
        assert drawn > 10


def test_an_underline_is_below_what_it_underlines() -> None:
    sheet = _sheet()
    underline(sheet, Box(50, 60, 80, 40), BLACK)
    rows, columns = np.nonzero(sheet.left.min(axis=2) < 0.5)
    assert 96 <= rows.min() <= rows.max() <= 115
    assert columns.min() < 50
    assert columns.max() > 130


def test_light_and_camera_keep_black_ink_darker_than_its_paper() -> None:
    left = np.ones((120, 160, 3), np.float32)
    left[50:70, 40:120] = 0.05
    for seed in range(30):
        rng = np.random.default_rng(seed)
        pixels = papers.photographed(papers.lit(left, rng), 30, rng).astype(int)
        ink, paper = pixels[55:65, 60:100].mean(), pixels[30:40, 60:100].mean()
        assert abs(ink - paper) > 20, seed


def test_the_truth_of_a_window_lies_in_the_middle_of_each_character() -> None:
    window = np.zeros((windows.SIDE, windows.SIDE), np.uint8)
    marks = (Written("3", Box(50, 60, 24, 32), 1), Written(OTHER, Box(120, 100, 8, 30), 2))
    for box in (mark.box for mark in marks):
        window[box.y - 10 : box.bottom - 10, box.x - 20 : box.right - 20 : 4] = 200
    truth = windows.truth(window, marks, top=10, left=20)
    for mark, label in zip(marks, (3, OTHER_WRITING), strict=True):
        x, y = mark.box.x - 20 + mark.box.width // 2, mark.box.y - 10 + mark.box.height // 2
        cell = truth[y // STRIDE, x // STRIDE]
        assert cell[:CLASSES].argmax() == label
        assert cell[CLASSES] == 1
        left, above, right, below = cell[CLASSES + 1 :]
        assert (left + right, above + below) == (mark.box.width, mark.box.height)
    assert truth[0, 0, NOTHING] == 1
    labels = truth[..., :CLASSES].argmax(axis=2)
    assert set(np.unique(labels)) == {3, OTHER_WRITING, NOTHING}


def test_what_cannot_be_seen_is_not_asked_for() -> None:
    empty = np.zeros((windows.SIDE, windows.SIDE), np.uint8)
    truth = windows.truth(empty, (Written("3", Box(50, 60, 24, 32), 1),), 0, 0)
    digit = truth[..., :CLASSES].argmax(axis=2) == 3
    assert digit.any()
    assert not truth[digit, CLASSES].any()


def test_pages_are_the_same_in_any_order() -> None:
    """However many fonts are asked for between: none is measured in another size than drawn."""
    pages = [[synthetic_page(fresh, np.random.default_rng((1, i)), "form") for i in order]
             for order, fresh in ((range(4), writers(dataset="optdigits")),
                                  (range(3, -1, -1), writers(dataset="optdigits")))]  # fmt: skip
    for forth, back in zip(pages[0], reversed(pages[1]), strict=True):
        np.testing.assert_array_equal(forth.pixels, back.pixels)


def test_letters_of_a_font_stand_on_the_line_as_high_as_its_digits(hands: Hands) -> None:
    for hand in hands.print:
        for capital in "EH":
            _, top, bottom = hand.draw(capital, np.random.default_rng(0))
            assert [top, bottom] == pytest.approx([1, 0], abs=0.05)


def test_batches_are_the_same_wherever_they_start(hands: Hands) -> None:
    ink, truth = windows.batch(hands, np.random.default_rng((1, 2)), 6)
    again, _ = windows.batch(hands, np.random.default_rng((1, 2)), 6)
    assert ink.shape == (6, windows.SIDE, windows.SIDE, 2)
    assert (ink[..., 1] <= ink[..., 0]).all()
    cells = windows.SIDE // STRIDE
    assert truth.shape == (6, cells, cells, windows.CHANNELS)
    np.testing.assert_array_equal(ink, again)


def test_a_folder_of_pages_and_its_truth(hands: Hands, tmp_path: Path) -> None:
    few = list(write_pages(hands, tmp_path / "few", 2, bounds=Range((200, 300))))
    more = list(write_pages(hands, tmp_path / "more", 3, bounds=Range((200, 300))))
    assert [p.read_bytes() for p in few] == [p.read_bytes() for p in more[:2]]
    truth = (tmp_path / "more" / "truth.jsonl").read_text()
    rows = [json.loads(line) for line in truth.splitlines()]
    assert [row["file"] for row in rows] == [path.name for path in more]
    for row, path in zip(rows, more, strict=True):
        with Image.open(path) as picture:
            width, height = picture.size
        for digit in row["digits"]:
            x, y, w, h = digit["box"]
            assert x + w <= width
            assert y + h <= height
        assert len("".join(row["lines"])) == len(row["digits"])
    with pytest.raises(UsageError, match="is not empty"):
        list(write_pages(hands, tmp_path / "few", 1))
    with pytest.raises(UsageError, match="no kind of page"):
        list(write_pages(hands, tmp_path / "none", 1, kind="poem"))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["--side", "1000", "400"], "side is (1000, 400); expected the shorter first"),
        (["--side", "0", "400"], "1 to 10000"),
        (["--digit", "80", "20"], "digit is (80.0, 20.0); expected the smaller first"),
        (["--digit", "0", "20"], "4 to 280 (70% of a page's shortest side)"),
        (["--digit", "nan", "20"], "digit is (nan, 20.0)"),
        (["--side", "60", "60", "--digit", "60", "80"], "4 to 42"),
    ],
)
def test_bounds_that_no_page_can_keep_leave_no_folder(
    asked: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "p"
    assert run(["data", "synthesize", str(folder), "--dataset", "optdigits", *asked]) == 2
    assert message in capsys.readouterr().err
    assert not folder.exists()


def test_the_command_writes_pages(tmp_path: Path) -> None:
    arguments = ["data", "synthesize", str(tmp_path / "p"), "--pages", "2", "--kind", "form"]
    done = CliRunner().invoke(cli, [*arguments, "--dataset", "optdigits", "--side", "200", "300"])
    assert done.exit_code == 0, done.output
    truth = (tmp_path / "p" / "truth.jsonl").read_text()
    rows = [json.loads(line) for line in truth.splitlines()]
    assert [row["kind"] for row in rows] == ["form", "form"]


def test_strokes_are_drawn_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "strokes.json"
    file.write_text(json.dumps({"1": [[[[5, 0], [5, 100]]]], "x": [[[[0, 0], [9, 9]]]]}))
    (hand,) = stroke_hands(file)
    ink, top, bottom = hand.draw("1", np.random.default_rng(0))
    assert (top, bottom) == (1.0, 0.0)
    assert ink.shape[0] == pytest.approx(HEIGHT, abs=15)
    assert ink.shape[1] < 20
    file.write_text('{"1": 5}')
    with pytest.raises(DataError, match="not a file of pen strokes"):
        stroke_hands(file)


def test_writers_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has none of the fonts"):
        writers(tmp_path, dataset="optdigits")
    with pytest.raises(UsageError, match="no part 'all'"):
        writers(part="all", dataset="optdigits")


def test_cut_glyphs_are_the_digits_that_were_written(hands: Hands) -> None:
    cut = cut_glyphs(hands, 120, seed=1)
    again = cut_glyphs(hands, 40, seed=1)
    assert cut.images.shape == (120, 28, 28)
    np.testing.assert_array_equal(cut.images[:40], again.images)
    np.testing.assert_array_equal(cut.targets[:40], again.targets)
    assert set(cut.targets) == set(range(10))
    # Cut out among neighbours and lines, most are still what they were, says who never saw them.
    read = Classifier.open().probabilities(cut.images).argmax(axis=1)
    assert (read == cut.targets).mean() > 0.6


def test_outliers_are_glyphs_of_every_kind_and_repeat_with_their_seed(hands: Hands) -> None:
    digits = load("optdigits").train
    once, again = (outliers(hands, digits, 60, seed=3) for _ in range(2))
    np.testing.assert_array_equal(once, again)
    assert (once != outliers(hands, digits, 60, seed=4)).any()
    assert once.shape == (60, 28, 28)
    assert once.dtype == np.uint8
    assert (once.max(axis=(1, 2)) > 100).mean() > 0.95
    for name, (_, make) in OUTLIERS.items():
        inks = [make(hands, digits, np.random.default_rng(i)) for i in range(10)]
        assert all(0 <= ink.min() <= ink.max() <= 1 for ink in inks), name
        assert np.mean([(ink > 0.5).mean() for ink in inks]) > 0.02, name


def test_a_pair_is_two_digits_on_one_line(hands: Hands) -> None:
    digits = load("optdigits").train
    inks = [OUTLIERS["pair"][1](hands, digits, np.random.default_rng(i)) for i in range(20)]
    assert all(ink[-3:].any() for ink in inks)
    assert np.mean([ink.shape[1] > 1.1 * ink.shape[0] for ink in inks]) > 0.8
