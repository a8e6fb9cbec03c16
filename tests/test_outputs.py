"""Readings written down can be read back, by the tools people use."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from digitreader.errors import UsageError
from digitreader.outputs import COLOURS, FORMATS, annotated, format_of
from digitreader.reading import Box, Digit, DigitStatus, Reading, percent

LABELS = tuple("0123456789")
BOX = Box(10, 20, 30, 40)


def digit(value: int, confidence: float, box: Box = BOX) -> Digit:
    rest = (1 - confidence) / 9
    probabilities = np.full(10, rest, np.float32)
    probabilities[value] = confidence
    top3 = tuple((LABELS[i], float(probabilities[i])) for i in np.argsort(-probabilities)[:3])
    status: DigitStatus = "ok" if confidence > 0.7 else "unsure"
    glyph = np.zeros((28, 28), np.uint8)
    return Digit(LABELS[value], confidence, probabilities, top3, box, glyph, status)


READINGS = [
    Reading("a, b.png", 1, "unsure", ("42", "7 1"),
            (digit(4, 0.99), digit(2, 0.8), digit(7, 0.6), digit(1, 0.95)), "m"),
    Reading("empty.png", 2, "empty", (), (), "m"),
    Reading.failed("bad.png", 1, "m", 'bad.png: "broken"'),
]  # fmt: skip


@pytest.mark.parametrize(("label", "value"), [("7", 7), ("12", None), ("", None), (None, None)])
def test_only_a_digit_has_a_value(label: str | None, value: int | None) -> None:
    assert replace(digit(1, 0.9), label=label).digit == value


def written(form: str, readings: list[Reading]) -> str:
    stream = io.StringIO()
    FORMATS[form].write(readings, stream, LABELS)
    return stream.getvalue()


def test_json_is_an_object_for_one_page_and_an_array_for_several() -> None:
    assert json.loads(written("json", READINGS[:1])) == READINGS[0].as_dict()
    assert json.loads(written("json", READINGS)) == [r.as_dict() for r in READINGS]
    assert json.loads(written("json", [])) == []


def test_the_json_object_has_the_promised_keys() -> None:
    row = json.loads(written("json", READINGS[:1]))
    assert list(row) == ["source", "page", "status", "text", "lines", "digits", "model", "error"]
    assert row["text"] == "42\n7 1"
    first = row["digits"][0]
    assert list(first) == ["label", "confidence", "probabilities", "top3", "box", "status"]
    assert first["box"] == [10, 20, 30, 40]
    assert first["top3"][0] == ["4", pytest.approx(0.99)]


def test_json_lines_are_written_as_they_are_ready() -> None:
    stream = io.StringIO()
    seen = []

    def arriving() -> Iterator[Reading]:
        for reading in READINGS:
            seen.append(stream.getvalue().count("\n"))
            yield reading

    FORMATS["jsonl"].write(arriving(), stream, LABELS)
    assert seen == [0, 1, 2]
    rows = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert rows == [r.as_dict() for r in READINGS]


def test_csv_has_a_row_a_digit_and_loses_no_page() -> None:
    rows = list(csv.DictReader(io.StringIO(written("csv", READINGS))))
    assert [(r["source"], r["index"], r["label"]) for r in rows] == [
        ("a, b.png", "1", "4"), ("a, b.png", "2", "2"), ("a, b.png", "3", "7"),
        ("a, b.png", "4", "1"), ("empty.png", "", ""), ("bad.png", "", ""),
    ]  # fmt: skip
    assert rows[0]["text"] == "42\n7 1"
    assert float(rows[0]["p_4"]) == pytest.approx(0.99)
    assert rows[-1]["error"] == 'bad.png: "broken"'


def test_parquet_holds_what_json_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("digitreader.outputs.PARQUET_GROUP", 2)
    stream = io.BytesIO()
    FORMATS["parquet"].write(READINGS, stream, LABELS)
    rows = parquet.read_table(io.BytesIO(stream.getvalue())).to_pylist()
    for row in rows:
        for found in row["digits"]:
            found["top3"] = [[pair["label"], pair["confidence"]] for pair in found["top3"]]
    assert rows == [reading.as_dict() for reading in READINGS]
    assert parquet.ParquetFile(io.BytesIO(stream.getvalue())).num_row_groups == 2


def test_a_table_in_a_pipe_is_not_cut() -> None:
    long = Reading.failed("x" * 300, 1, "m", "y" * 300)
    table = written("table", [*READINGS, long])
    assert "x" * 300 in table
    assert "y" * 300 in table
    assert "60.0%" in table


def test_a_table_commands_no_terminal() -> None:
    """A name may hold anything; in a table it is a row's first cell, and never more."""
    table = written("table", [Reading.failed("a\x1b[31m\n\x9bb", 1, "m", "broken")])
    assert table.splitlines()[1].startswith(r"a\x1b[31m\n\x9bb ")


@pytest.mark.parametrize(
    ("confidence", "shown"), [(1.0, "100.0%"), (0.99999, "99.9%"), (0.5, "50.0%"), (0.0, "0.0%")]
)
def test_only_certainty_is_a_hundred_percent(confidence: float, shown: str) -> None:
    assert percent(confidence) == shown


def test_markup_in_a_name_is_shown_as_it_is() -> None:
    reading = Reading("[bold]x[/bold].png", 1, "empty", (), (), "m")
    assert "[bold]x[/bold].png" in written("table", [reading])


@pytest.mark.parametrize("suffix", [s for form in FORMATS.values() for s in form.suffixes])
def test_a_suffix_names_its_format(suffix: str) -> None:
    assert suffix in FORMATS[format_of(Path("x" + suffix.upper()))].suffixes


def test_an_unknown_suffix_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"'\.xls' names no format; expected .*\.csv"):
        format_of(Path("x.xls"))


def test_boxes_are_drawn_where_they_are_and_the_labels_stay_inside() -> None:
    page = np.full((400, 500), 255, np.uint8)
    corners = [Box(0, 0, 30, 40), Box(460, 350, 40, 50), Box(200, 150, 60, 80)]
    digits = tuple(digit(i, 0.9, box) for i, box in enumerate(corners))
    reading = Reading("p", 1, "ok", ("012",), digits, "m")
    drawn = np.asarray(annotated(page, reading))
    assert drawn.shape == (400, 500, 3)
    for box in corners:
        right = min(box.right, 499)
        assert tuple(drawn[box.y + box.height // 2, right]) == COLOURS["ok"]
    assert (drawn[155:225, 205:255] == 255).all()  # the digit itself is not painted over


def test_a_small_page_is_enlarged() -> None:
    reading = Reading("p", 1, "ok", ("3",), (digit(3, 0.9, Box(4, 4, 20, 20)),), "m")
    assert isinstance(annotated(np.zeros((28, 28), np.uint8), reading), Image.Image)
    assert min(annotated(np.zeros((28, 28), np.uint8), reading).size) >= 280
