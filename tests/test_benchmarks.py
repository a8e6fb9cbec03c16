"""What the benchmarks count: lines, digits by their boxes, and digits that are none."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from digitreader.reading import Box
from digitreader.training.recipes import Recipe

sys.path.append(str(Path(__file__).parent.parent / "benchmarks"))
sys.path.append(str(Path(__file__).parent.parent / "docs"))

import fast
import measured

import nothing
import speed_batch
import speed_growth
import speed_pages
from corruptions import CORRUPTIONS, corrupted
from machine import models
from peers import Rapid, Tesseract, dark_on_light, digits_in, in_rows, numbers_in, prepared
from scores import (
    Answer,
    Found,
    Lines,
    Marks,
    Outcome,
    by_page,
    count_lines,
    count_marks,
    invented_row,
    lines_row,
    marks_row,
    overlaps,
    paired,
    share,
)
from seeds import last_form
from side_by_side import not_done
from speed_batch import a_million, from_parquet, settled
from speed_clock import OURS, Plan, in_turn, told

boxes = st.builds(Box, *(st.integers(0, 30),) * 2, *(st.integers(1, 20),) * 2)


def test_lines_are_matched_one_to_one_in_any_order() -> None:
    assert count_lines(["12", "12", "3"], ["3", "12"]) == Lines(3, 2, 2, 0)
    assert count_lines(["12"], ["12", "12"]) == Lines(1, 2, 1, 1)
    assert count_lines([], ["8"]) == Lines(0, 1, 0, 1)


@given(st.lists(st.integers(0, 5), min_size=1), st.lists(st.integers(0, 5), min_size=1))
def test_the_area_under_the_curve_is_the_share_of_pairs_in_order(a: Any, b: Any) -> None:
    pytest.importorskip("keras", reason="training needs the extra: pip install '.[train]'")
    from shipped import area

    pairs = [(x > y) + 0.5 * (x == y) for x in a for y in b]
    assert area(np.array(a, np.float32), np.array(b, np.float32)) == pytest.approx(np.mean(pairs))


def test_only_the_last_form_of_a_recipe_counts() -> None:
    recipes = Recipe(epochs=1), Recipe(epochs=2), Recipe(epochs=2, seed=1, fold=1)
    rows = [{"name": "a", "recipe": recipe.as_dict()} for recipe in recipes]
    other = {"name": "b", "recipe": Recipe(epochs=3).as_dict()}
    assert last_form([*rows, other], "a") == rows[1:]


def test_the_shipped_model_has_the_same_figures_among_those_of_other_seeds() -> None:
    pytest.importorskip("keras", reason="training needs the extra: pip install '.[train]'")
    from shipped import row_of

    result = measured.result("accuracy")
    assert row_of(0, result["shipped"]) == result["other seeds"]["rows"][0]


def test_letters_are_trained_anew_by_another_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("keras", reason="training needs the extra: pip install '.[train]'")
    import letters

    done = [{"name": part, "recipe": recipe.as_dict()} for part, recipe in letters.wanted("test")]
    assert not_done(letters.wanted("test"), done) == []
    monkeypatch.setattr(letters, "RECIPE", letters.RECIPE.with_changes(epochs=1))
    assert len(not_done(letters.wanted("test"), done)) == len(done) == 3


def test_corrections_are_taught_anew_to_another_model() -> None:
    pytest.importorskip("keras", reason="training needs the extra: pip install '.[train]'")
    from corrections import still_true

    rows = [{"name": "corrections"}]
    assert still_true({"models": models(), "runs": rows}) == rows
    assert still_true({"models": models() | {"digits": "0"}, "runs": rows}) == []
    assert still_true({}) == []


def test_every_result_names_its_command() -> None:
    results = {file.name: file.read_text("utf-8") for file in measured.RESULTS.glob("*.json")}
    assert len(results) > 10
    said = '"command": "python benchmarks/'
    assert [name for name, text in results.items() if said not in text] == []


def test_a_recipe_s_row_names_all_machines_it_was_trained_on() -> None:
    pytest.importorskip("keras", reason="training needs the extra: pip install '.[train]'")
    import accuracy

    known = measured.result("accuracy")["runs"][-1]
    rows = [known | {"cores": 2, "processor": "A"}, known | {"cores": 1, "processor": "B"}]
    (row,) = accuracy.table([*rows, rows[0]]).values()
    assert row["machines"] == ["2 cores of A", "1 core of B"]


def test_a_misread_line_is_one_error() -> None:
    row = lines_row([count_lines(["12", "34"], ["12", "94"])])
    assert (row["right"], row["n"], row["extra"]) == (1, 2, 0)
    assert row["strict"] == pytest.approx(1 / 3)


def test_spaces_count_only_where_they_are_meant_to() -> None:
    assert count_lines(["1234"], ["12 34"]).right == 1
    assert count_lines(["1234"], ["12 34"], spaces=True).right == 0


def test_extra_lines_of_one_page_do_not_make_up_for_another() -> None:
    row = lines_row([count_lines(["1"], []), count_lines([], ["7"])])
    assert (row["right"], row["n"]) == (0, 2)


def test_digits_are_right_where_box_and_label_are() -> None:
    truth = [Found("1", Box(0, 0, 10, 20)), Found("2", Box(20, 0, 10, 20))]
    found = [Found("1", Box(1, 1, 10, 20)), Found("3", Box(20, 0, 10, 19)),
             Found("2", Box(21, 0, 10, 20)), Found("9", Box(60, 0, 9, 9))]  # fmt: skip
    marks = count_marks(truth, found)
    assert marks == Marks(truth=2, found=4, paired=2, right=1)  # the closer box has the wrong label
    row = marks_row([marks])
    assert (row["precision"], row["recall"]) == (0.25, 0.5)
    assert row["f1"] == pytest.approx(1 / 3)
    assert row["found_f1"] == pytest.approx(2 / 3)


@given(st.lists(boxes, max_size=6), st.lists(boxes, max_size=6))
def test_pairs_overlap_and_share_no_box(a: list[Box], b: list[Box]) -> None:
    pairs = paired(a, b)
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
    for i, j in pairs:
        cells = [{(x, y) for x in range(box.x, box.right) for y in range(box.y, box.bottom)}
                 for box in (a[i], b[j])]  # fmt: skip
        shared = len(cells[0] & cells[1]) / len(cells[0] | cells[1])
        assert shared >= 0.5
        assert overlaps(a, b)[i, j] == pytest.approx(shared)


def test_every_box_is_its_own_pair() -> None:
    row = [Box(30 * i, 0, 20, 40) for i in range(5)]
    assert sorted(paired(row, row)) == [(i, i) for i in range(5)]
    assert paired([], row) == paired(row, []) == []


def test_nothing_to_count_has_no_share() -> None:
    assert share(0, 0)["accuracy"] is None
    assert lines_row([Lines(0, 0, 0, 0)])["accuracy_95_by_page"] is None
    assert marks_row([])["f1"] is None


def test_pages_that_stand_or_fall_together_widen_the_interval() -> None:
    counts = np.array([[1, 10]] * 10 + [[9, 10]] * 10)
    low, high = by_page(counts, lambda c: (c[:, 0], c[:, 1])) or (0, 0)
    narrow = share(100, 200)["accuracy_95"]
    assert low < narrow[0] < 0.5 < narrow[1] < high


def test_few_pages_or_pages_all_alike_have_no_interval_by_page() -> None:
    assert by_page(np.array([[1, 10]] * 3 + [[9, 10]] * 3), lambda c: (c[:, 0], c[:, 1])) is None
    assert by_page(np.array([[1, 2], [2, 4]] * 10), lambda c: (c[:, 0], c[:, 1])) is None


def test_digits_that_are_none_are_counted_with_those_called_unsure() -> None:
    digits = (Found("1", Box(0, 0, 5, 9)), Found("7", Box(9, 0, 5, 9), "unsure"))
    read = [Outcome("a", "", (), (), {"us": Answer(("17",), digits)}),
            Outcome("b", "", (), (), {"us": Answer((), ())})]  # fmt: skip
    row = invented_row(read, "us")
    assert (row["digits"], row["ok_digits"], row["digits_per_picture"]) == (2, 1, 1.0)
    assert (row["pictures_with_any"]["right"], row["worst"]) == (1, ["a: 2, 17"])


def test_peers_text_becomes_lines_of_digits() -> None:
    assert digits_in(["No. 12", "abc", "3 4"]) == ("12", "34")
    assert numbers_in(["Ab12 34", "5,6", "$7"]) == ("34", "56", "7")
    segments = [("56", 90.0, 12.0, 30.0), ("12", 10.0, 10.0, 28.0), ("7", 11.0, 60.0, 80.0)]
    assert in_rows(segments) == ["12 56", "7"]


def test_peers_get_dark_digits_of_a_good_size_with_a_border() -> None:
    picture = np.zeros((28, 28, 3), np.uint8)
    picture[4:24, 12:16] = 255
    ready = prepared(picture)
    assert ready.shape == (112, 112, 3)
    assert ready[0, 0, 0] == 255
    assert ready.min() < 50
    assert (dark_on_light(255 - picture) == 255 - picture).all()


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_harm_repeats_and_leaves_most_of_the_picture(name: str, optdigits: tuple[Any, Any]) -> None:
    images = optdigits[0][:20]
    once, again = corrupted(name, images), corrupted(name, images)
    np.testing.assert_array_equal(once, again)
    assert (corrupted(name, images, seed=1) != once).any() or name in UNVARIED
    assert once.shape == images.shape
    assert once.dtype == np.uint8
    assert (once != images).any(axis=(1, 2)).all()


UNVARIED = ("scale", "brightness", "stripe", "canny edges")


def test_geometric_harm_is_as_large_as_said() -> None:
    bar = np.zeros((40, 28, 28), np.uint8)
    bar[:, 4:24, 13:15] = 255

    def slope(name: str) -> list[float]:
        """Columns per row of each harmed bar, downwards."""
        rows = np.arange(8, 20)
        middles = (corrupted(name, bar)[:, 8:20] / 255 * np.arange(28)).sum(axis=2)
        middles /= (corrupted(name, bar)[:, 8:20] / 255).sum(axis=2)
        return [float(np.polyfit(rows, m, 1)[0]) for m in middles]

    assert sorted({round(abs(s), 1) for s in slope("shear")}) == [0.4]
    assert {round(np.arctan(abs(s)), 1) for s in slope("rotate")} == {0.4}
    assert {s > 0 for s in slope("shear")} == {True, False}
    tall = (corrupted("scale", bar) > 127).any(axis=2).sum(axis=1)
    assert set(tall) == {14}
    moved = (corrupted("translate", bar) > 127).any(axis=1).argmax(axis=1) - 13
    assert set(np.abs(moved)) == {3}


# --- what pages say of results ------------------------------------------------------------------


def test_a_result_says_which_of_its_models_no_longer_ship(tmp_path: Path) -> None:
    now = models()
    assert measured.about({"command": "c", "models": now}) == "Measured by `c`."
    (tmp_path / "mine.onnx").write_bytes(b"another")
    other = models(tmp_path / "mine.onnx")
    assert other["finder"] == now["finder"]
    said = measured.about({"command": "c", "models": other})
    assert said == "Measured by `c`, with an earlier `digits.onnx` than ships now."


def test_pages_name_the_letters_that_are_left_out() -> None:
    assert measured.LOOK_ALIKES.split() == list(nothing.LOOK_ALIKES)
    for page in ("measured", "accuracy"):
        text = Path(measured.__file__).with_name(f"{page}.md").read_text("utf-8")
        assert f"({measured.LOOK_ALIKES})" in text


def test_intervals_of_lines_are_those_by_page() -> None:
    row = {**share(8, 10), "accuracy_95_by_page": [0.1, 0.9]}
    assert measured.shares(row) == ("8 (80.00%)", "10", "10.00%–90.00%")
    assert measured.shares(share(10, 10))[2] == "72.25%–100.00%"


def test_an_overload_is_told_by_what_was_sent_not_by_what_was_to_be() -> None:
    result = measured.result("service")
    answers = {"statuses": {"200": 300, "503": 500}, "errors": {"timeout": 100}}
    over = result["overload"] | {"asked_per_second": 5000.0} | answers
    page = "\n".join(measured.service(result | {"overload": over, "overload_seconds": 3}))
    assert "the overload 3 s" in page
    assert "MNIST form, 300 a second, from 200 connections" in page


# --- speed --------------------------------------------------------------------------------------


@pytest.fixture
def tiny() -> Plan:
    return Plan(Path(), runs=1, scale=1e-3, dataset="optdigits")


def test_contestants_take_turns_and_warm_up() -> None:
    called: list[str] = []
    times = {"a": [9.0, 1, 3, 2], "b": [9.0, 4, 6, 8]}

    def measure(name: str) -> float:
        called.append(name)
        return times[name].pop(0)

    samples = in_turn({name: partial(measure, name) for name in "ab"}, 3)
    assert called == ["a", "b"] * 4
    assert samples == {"a": [1, 3, 2], "b": [4, 6, 8]}
    row = told(samples, "seconds")
    assert (row["runs"], row["a"]) == (3, {"seconds_median": 2, "seconds_min_max": [1, 3]})
    assert row["ratios"] == {"b": 3}  # of seconds fewer are better, of a rate more
    assert told(samples, "per_second")["ratios"] == {"b": pytest.approx(1 / 3)}


def test_memory_counts_when_all_runs() -> None:
    sizes = [1, 50, *[100] * 7, 104, *[100] * 8, 40, 1]
    rss = settled([{"rss": float(size), "pss": size / 2} for size in sizes])["rss"]
    assert rss == {"first": 100, "last": 100, "least": 100, "most": 104}


def test_a_page_is_timed_as_the_whole_command_that_reads_it(
    tiny: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    for peer in (Rapid, Tesseract):
        monkeypatch.setattr(peer, "missing", lambda: "not now")
    monkeypatch.setattr(speed_pages, "SHAPE", (600, 600))
    monkeypatch.setattr(speed_pages, "whole_process", lambda *_: (9.0, 0.0))
    row = speed_pages.full_page(tiny)
    assert row[OURS]["seconds_median"] == 9
    assert row["lines"][OURS]["truth"] == row["digits"]["truth"] == 1


def test_files_are_read_in_turn_with_peers(tiny: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[list[str]] = []

    def turns(contestants: dict[str, Any], runs: int) -> dict[str, list[float]]:
        rounds.append(list(contestants))
        return dict.fromkeys(contestants, [1.0] * runs)

    monkeypatch.setattr(speed_batch, "in_turn", turns)
    monkeypatch.setattr(speed_batch, "_peers_on_files", lambda *_: {speed_batch.KERAS: float})
    speed_batch.picture_files(tiny)
    assert rounds == [[OURS, speed_batch.KERAS]]


@pytest.mark.parametrize("count", [1, 7, 200, 1000])
def test_a_page_of_digits_says_where_they_are(count: int, tiny: Plan) -> None:
    case = speed_pages.page(tiny, count)
    assert case.digits is not None
    assert len(case.digits) == count
    assert sorted("".join(case.lines)) == sorted(digit.label for digit in case.digits)
    left = np.asarray(case.picture).copy()
    assert left.shape == (3508, 2480)
    for digit in case.digits:
        x, y, width, height = digit.box
        assert left[y : y + height, x : x + width].min() < 128
        assert 30 < height < speed_pages.ROW
        left[max(0, y - 9) : y + height + 9, max(0, x - 9) : x + width + 9] = 255
    assert left.min() > 250  # no ink is outside of the boxes, but for its soft edge


def test_digits_come_again_until_there_are_enough() -> None:
    seen: list[NDArray[np.uint8]] = []
    speed_growth.repeated(seen.append, np.arange(3, dtype=np.uint8), 7)
    assert [part.tolist() for part in seen] == [[0, 1, 2], [0, 1, 2], [0]]


def test_the_call_that_warms_up_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([5.0, 2.0])  # both longer than is enough
    monkeypatch.setattr(speed_growth, "seconds_of", lambda call: call())
    assert speed_growth.costs({1: lambda: next(times)}) == {1: 2}


def test_cost_is_linear_from_where_no_larger_size_costs_more() -> None:
    assert speed_growth.linear_from({1: 1.05, 10: 15.0, 100: 105.0, 1000: 1000.0}) == 100
    assert speed_growth.linear_from({1: 1.0, 10: 10.0}) == 1


def test_speed_is_measured_and_told(tiny: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """What can be measured without other programs, of very little; the table has a row of each."""
    monkeypatch.setattr(speed_growth, "ENOUGH", 1e-9)
    results = {
        "MNIST from Parquet to Parquet": from_parquet(tiny),
        "a million digits in a batch": a_million(tiny),
        "cost against size": speed_growth.growth(Plan(Path(), 1, 1e-6, "optdigits")),
    }
    table, million, growth = results.values()
    assert (table["digits"], million["digits"]) == (70, 1000)
    assert 0 < table[OURS]["seconds_median"] < 60
    assert 30 < million["memory_mb"]["pss"]["most"] <= million["memory_mb"]["rss"]["most"] < 4000
    assert list(growth["glyphs"]) == ["1", "10"]
    assert list(growth["pages"]) == ["1", "3"]
    loaded = {title: {"load_before": 0.3, **part} for title, part in results.items()}
    results_of = {"speed": {"command": "c", **loaded}, "team": measured.result("team")}
    monkeypatch.setattr(fast, "result", results_of.__getitem__)
    page = fast.page("<!-- numbers: made by `make docs` -->\n<!-- end of numbers -->")
    assert "| MNIST from Parquet to Parquet |" in page
    assert "for 70 | 5 s | – | 0.3 |" in page
    assert "A glyph among 10 takes" in page
