"""What holds for every picture: what is no ink changes nothing, nothing is lost in writing."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from PIL import Image

from digitreader.doors.cli import run
from digitreader.errors import ExitCode, WriteError
from digitreader.outputs import DIGIT_COLUMNS, FORMATS
from digitreader.reader import Reader
from digitreader.reading import DIGIT_LABELS, Box, Digit, DigitStatus, Reading
from digitreader.sources import open_pages

Pixels = NDArray[np.uint8]

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
FEW = settings(max_examples=10)  # of what reads whole pages
FRAME = 40  # px, at most, that are added to each side
DRAWN = ("felt_pen.png", "scan_16_bit.png", "transparent.png", "postcode.png", "page.jpg")
SMALL = ("felt_pen.png", "tiny_28x28.png", "transparent.png", "postcode.png", "empty_sheet.jpg")
LOSSLESS: dict[str, dict[str, Any]] = {
    "png": {}, "bmp": {}, "tiff": {}, "ppm": {}, "webp": {"lossless": True},
    "tif": {"compression": "tiff_lzw"},
}  # fmt: skip


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader(threads=1)


@pytest.fixture(scope="module")
def pages(examples: dict[Path, tuple[str, ...]]) -> dict[str, tuple[Pixels, tuple[str, ...]]]:
    """Examples decoded, and the lines they say; those on even paper, which goes on beyond them."""
    return {
        path.name: (next(open_pages(path)).pixels, lines)
        for path, lines in examples.items()
        if path.name in DRAWN
    }


# --- what is no ink -----------------------------------------------------------------------------

pads = st.tuples(*[st.integers(0, FRAME)] * 4)
drawn = st.sampled_from(DRAWN)


@FEW
@given(name=drawn, sides=pads, inverted=st.booleans())
def test_more_paper_and_other_polarity_change_nothing(
    name: str, sides: tuple[int, ...], inverted: bool, reader: Reader, pages: Any
) -> None:
    """Whole pages and single digits; more on one side than on the other is a shift.

    The finder is in doubt whether the felt pen's bold 7 is a digit at all: of 150 such frames, two
    made a picture of it `not_a_digit`. No other page changed, and none may say anything else.
    """
    pixels, lines = pages[name]
    top, bottom, left, right = sides
    colours = [(0, 0)] * (pixels.ndim - 2)
    framed = np.pad(pixels, [(top, bottom), (left, right), *colours], mode="edge")
    reading = reader.read(255 - framed if inverted else framed)
    doubted = name == "felt_pen.png" and reading.status == "not_a_digit"
    assert reading.lines == (() if doubted else lines)


@FEW
@given(name=st.sampled_from(DRAWN[:-1]), times=st.integers(2, 4))
def test_whole_factors_change_nothing(name: str, times: int, reader: Reader, pages: Any) -> None:
    pixels, lines = pages[name]
    enlarged = pixels.repeat(times, axis=0).repeat(times, axis=1)
    assert reader.read(enlarged).lines == lines


@pytest.mark.parametrize("form", [*LOSSLESS, "npy"])
def test_encoding_without_loss_changes_nothing_at_all(
    form: str, reader: Reader, pages: Any, tmp_path: Path
) -> None:
    for name, (pixels, _) in pages.items():
        path = tmp_path / f"{name}.{form}"
        if form == "npy":
            np.save(path, pixels)
        else:
            Image.fromarray(pixels).save(path, **LOSSLESS[form])
        alike = replace(reader.read(pixels), source=str(path))
        assert reader.read(path).as_dict() == alike.as_dict()


@given(arrays.arrays(np.uint8, arrays.array_shapes(min_dims=2, max_dims=2, max_side=70)))
def test_whatever_is_read_makes_sense(reader: Reader, pixels: Pixels) -> None:
    reading = reader.read(pixels)
    for digit in reading.digits:
        assert 0 <= digit.probabilities.min() <= digit.probabilities.sum() <= 1 + 1e-4
        assert digit.confidence == digit.probabilities.max() == digit.top3[0][1]
        assert digit.label in {None, digit.top3[0][0]}
        assert 0 <= digit.box.x < digit.box.right <= pixels.shape[1]
        assert 0 <= digit.box.y < digit.box.bottom <= pixels.shape[0]
    labels = [digit.label for digit in reading.digits if digit.label is not None]
    assert re.sub(r"\s", "", reading.text) == "".join(labels)
    assert (reading.status == "empty") == (not reading.digits)


# --- many pictures ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def alone(
    reader: Reader, examples: Any, tmp_path_factory: pytest.TempPathFactory
) -> dict[Path, list[Reading]]:
    """Sources, one of them broken, and what is read in each."""
    broken = tmp_path_factory.mktemp("broken") / "broken.png"
    broken.write_bytes(b"broken")
    small = [path for path in examples if path.name in SMALL]
    return {source: list(reader.read_many([source])) for source in [*small, broken]}


@FEW
@given(order=st.permutations(range(len(SMALL) + 1)))
def test_many_pictures_in_any_order_are_read_as_each_alone(
    order: list[int], reader: Reader, alone: dict[Path, list[Reading]]
) -> None:
    chosen = [[*alone][i] for i in order]
    for source, readings in zip(chosen, reader.read_together(chosen), strict=True):
        for reading, same in zip(readings, alone[source], strict=True):
            assert told(reading) == told(same)
            for digit, its in zip(reading.digits, same.digits, strict=True):
                np.testing.assert_allclose(digit.probabilities, its.probabilities, atol=1e-5)


def told(reading: Reading) -> tuple[Any, ...]:
    digits = [(digit.label, digit.box) for digit in reading.digits]
    return (reading.source, reading.page, reading.lines, reading.error, digits)


# --- what is written ----------------------------------------------------------------------------

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)  # no half characters
unit = st.floats(0, 1, width=32)
side = st.integers(0, 100_000)


@st.composite
def digits(draw: st.DrawFn) -> Digit:
    probabilities = np.array(draw(st.lists(unit, min_size=10, max_size=10)), np.float32)
    top3 = tuple((DIGIT_LABELS[i], float(probabilities[i])) for i in np.argsort(-probabilities)[:3])
    label = draw(st.sampled_from([None, *DIGIT_LABELS]))
    box = Box(*(draw(side) for _ in range(4)))
    statuses: list[DigitStatus] = ["ok", "unsure", "not_a_digit"]
    status = draw(st.sampled_from(statuses))
    glyph = np.zeros((28, 28), np.uint8)
    return Digit(label, top3[0][1], probabilities, top3, box, glyph, status)


readings = st.lists(
    st.builds(
        Reading,
        source=words,
        page=st.integers(1, 10_000),
        status=st.sampled_from(["ok", "unsure", "not_a_digit", "empty", "error"]),
        lines=st.lists(words, max_size=3).map(tuple),
        digits=st.lists(digits(), max_size=3).map(tuple),
        model=words,
        error=st.none() | words,
    ),
    max_size=4,
)


def rows_of_json(content: str) -> list[Any]:
    rows = json.loads(content)
    return rows if isinstance(rows, list) else [rows]


def rows_of_lines(content: str) -> list[Any]:
    return [json.loads(line) for line in content.split("\n") if line]


@given(readings)
@pytest.mark.parametrize(("form", "back"), [("json", rows_of_json), ("jsonl", rows_of_lines)])
def test_json_comes_back_as_it_was(
    form: str, back: Callable[[str], list[Any]], some: list[Reading]
) -> None:
    stream = io.StringIO()
    FORMATS[form].write(some, stream, DIGIT_LABELS)
    assert back(stream.getvalue()) == [reading.as_dict() for reading in some]


@given(readings)
def test_parquet_comes_back_as_it_was(some: list[Reading]) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    stream = io.BytesIO()
    FORMATS["parquet"].write(some, stream, DIGIT_LABELS)
    rows = parquet.read_table(io.BytesIO(stream.getvalue())).to_pylist()
    for digit in (digit for row in rows for digit in row["digits"]):
        digit["top3"] = [[pair["label"], pair["confidence"]] for pair in digit["top3"]]
    assert rows == [reading.as_dict() for reading in some]


@given(readings)
def test_csv_comes_back_as_it_was(some: list[Reading]) -> None:
    stream = io.StringIO()
    FORMATS["csv"].write(some, stream, DIGIT_LABELS)
    rows = list(csv.DictReader(io.StringIO(stream.getvalue(), newline="")))
    assert rows == [row for reading in some for row in rows_of(reading)]


def rows_of(reading: Reading) -> list[dict[str, str]]:
    """A reading as CSV has it, made of what JSON has."""
    whole = reading.as_dict()
    page = {key: str(whole[key] or "") for key in ("source", "page", "status", "text", "model")}
    page["error"] = whole["error"] or ""
    names = (*DIGIT_COLUMNS, *(f"p_{label}" for label in DIGIT_LABELS))
    rows = [
        (str(i), digit["label"] or "", f"{digit['confidence']:.6f}", digit["status"],
         *map(str, digit["box"]), *(f"{p:.6f}" for p in digit["probabilities"]))
        for i, digit in enumerate(whole["digits"], 1)
    ] or [("",) * len(names)]  # fmt: skip
    return [page | dict(zip(names, row, strict=True)) for row in rows]


# --- exit codes ---------------------------------------------------------------------------------

PICTURE = str(EXAMPLES / "tiny_28x28.png")
ENDS: dict[ExitCode, list[str]] = {
    ExitCode.OK: ["read", PICTURE],
    ExitCode.SOME_FAILED: ["read", PICTURE, "absent.png"],
    ExitCode.USAGE: ["read", PICTURE, "--layout", "round"],
    ExitCode.MISSING: ["read", PICTURE, "--model", "absent.onnx"],
    ExitCode.UNWRITTEN: ["read", PICTURE],
    ExitCode.INTERRUPTED: ["read", PICTURE],
}


FALLS: dict[ExitCode, BaseException] = {  # in the midst of reading
    ExitCode.UNWRITTEN: WriteError("readings.csv: cannot be written"),
    ExitCode.INTERRUPTED: KeyboardInterrupt(),
}


@pytest.mark.parametrize("code", ExitCode)
def test_every_exit_code_is_reached(code: ExitCode, monkeypatch: pytest.MonkeyPatch) -> None:
    if code in FALLS:
        monkeypatch.setattr(Reader, "read_pages", lambda *_, **__: fall(FALLS[code]))
    assert run(ENDS[code]) == code


def fall(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize("page", ["README.md", "docs/commands.md"])
def test_every_exit_code_is_documented(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    sentence = text.split("Exit codes:")[1].split(".")[0]
    assert [int(number) for number in re.findall(r"\b\d+\b", sentence)] == list(ExitCode)
