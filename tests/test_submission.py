"""Kaggle's tables: images a row, and the answers in the form that it takes."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray

import digitreader
from digitreader import pixel_csv
from digitreader.classifier import Classifier
from digitreader.doors.cli import cli
from digitreader.errors import SourceError
from digitreader.glyphs import is_glyph
from digitreader.outputs import format_of
from digitreader.pixel_csv import places, rows_of
from digitreader.reader import Reader

Images = NDArray[np.uint8]
HEADER = ",".join(f"pixel{i}" for i in range(784))


@pytest.fixture(scope="module")
def images(optdigits: tuple[Images, NDArray[np.int64]]) -> Images:
    """Real digits, every second one out of MNIST's middle."""
    some = optdigits[0][:12].copy()
    some[::2] = np.roll(some[::2], 3, axis=2)
    assert not any(is_glyph(image.astype(np.float32) / 255) for image in some[::2])
    return some


@pytest.fixture(scope="module")
def expected(images: Images) -> NDArray[np.float32]:
    """What the network says of the pixels themselves: float32 [N, 10]."""
    return Classifier.open().probabilities(images)


def rows(images: Images) -> list[str]:
    return [",".join(map(str, image.ravel().tolist())) for image in images]


def table(path: Path, lines: list[str], header: str = HEADER) -> Path:
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def read(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["read", *map(str, arguments)], standalone_mode=False)


def test_the_promised_command(
    images: Images, expected: NDArray[np.float32], tmp_path: Path
) -> None:
    table(tmp_path / "test.csv", rows(images))
    command = [sys.executable, "-m", "digitreader", "read", "test.csv", "-o", "submission.csv"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
    answers = [f"{i},{label}" for i, label in enumerate(expected.argmax(axis=1), 1)]
    assert (tmp_path / "submission.csv").read_bytes() == "\n".join(
        ["ImageId,Label", *answers, ""]
    ).encode()


def test_labels_quotes_and_paper_change_no_answer(images: Images, tmp_path: Path) -> None:
    plain = read(table(tmp_path / "test.csv", rows(images)), "--format", "submission").stdout
    labelled = [f'"{name}",{row}' for name, row in zip("ABCDEFGHIJKL", rows(images), strict=True)]
    path = table(tmp_path / "train.csv", labelled, f"label,{HEADER}")
    assert read(path, "--format", "submission").stdout == plain
    quoted = [f'"{row}"'.replace(",", '","') for row in rows(images)]
    path = table(tmp_path / "quoted.csv", quoted, '"' + HEADER.replace(",", '","') + '"')
    assert read(path, "--format", "submission").stdout == plain
    path = table(tmp_path / "paper.csv", rows(255 - images))
    assert read(path, "--format", "submission").stdout == plain


def test_the_full_form_has_every_probability(
    images: Images, expected: NDArray[np.float32], tmp_path: Path
) -> None:
    path = table(tmp_path / "test.csv", rows(images))
    full = list(csv.DictReader(io.StringIO(read(path, "--format", "csv").stdout)))
    assert [row["page"] for row in full] == [str(i) for i in range(1, len(images) + 1)]
    said = [[float(row[f"p_{label}"]) for label in range(10)] for row in full]
    np.testing.assert_allclose(said, expected, atol=1e-6)
    objects = [json.loads(line) for line in read(path, "--format", "jsonl").stdout.splitlines()]
    said = [row["digits"][0]["probabilities"] for row in objects]
    np.testing.assert_allclose(said, expected, atol=1e-6)
    for image, row in zip(images, objects, strict=True):
        x, y, width, height = row["digits"][0]["box"]
        inside = np.zeros((28, 28), bool)
        inside[y : y + height, x : x + width] = True
        assert not image[~inside].any()
        assert image[inside].sum() == image.sum()


def test_a_broken_row_costs_no_other(
    images: Images, expected: NDArray[np.float32], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixel_csv, "AT_ONCE", 5)  # so that a good part follows broken ones
    lines = rows(images)
    lines[1] = lines[1].rpartition(",")[0]
    lines[3] = "x" + lines[3]
    lines[6] = lines[6].rpartition(",")[0] + ",256"
    out = tmp_path / "submission.csv"
    result = read(table(tmp_path / "test.csv", lines), "-o", out)
    assert result.return_value == 1
    told = result.stderr.splitlines()
    assert len(told) == 3
    for line, words in zip(told, ("row 2: expected 784", "row 4: ", "row 7: "), strict=True):
        assert f"test.csv, {words}" in line
    labels = [str(label) for label in expected.argmax(axis=1)]
    labels[1] = labels[3] = labels[6] = ""
    answers = list(csv.DictReader(out.read_text(encoding="utf-8").splitlines()))
    assert [row["Label"] for row in answers] == labels
    assert [row["ImageId"] for row in answers] == [str(i) for i in range(1, 13)]


def test_tables_and_pictures_are_read_together_as_alone(
    images: Images, examples: dict[Path, tuple[str, ...]], tmp_path: Path
) -> None:
    """On paper, but for one image, and with rows behind a broken one."""
    paper = 255 - images
    paper[3] = images[3]
    lines = rows(paper)
    lines[5] = "x"
    path = table(tmp_path / "test.csv", lines)
    picture = next(path for path in examples if path.name == "postcode.png")
    sources = [picture, path, table(tmp_path / "other.csv", ["1,7"], "ImageId,Label"), picture]
    together = Reader().read_together(sources)
    assert [len(some) for some in together] == [1, len(images), 1, 1]
    alone = [list(Reader().read_many([source])) for source in sources]
    for some, same in zip(together, alone, strict=True):
        assert [(r.page, r.status, r.text, r.error) for r in some] == [
            (r.page, r.status, r.text, r.error) for r in same
        ]


@pytest.mark.parametrize("at", [100_000, 99_999, 250_000])
def test_a_row_that_is_too_long_costs_no_other(images: Images, at: int, tmp_path: Path) -> None:
    """Not even where its beginning would be a row, and wherever the table is cut."""
    lines = rows(images)
    lines[4] = lines[4].rpartition(",")[0] + "," + "0" * at
    lines[7] = "x" * (3 * at)
    path = table(tmp_path / "test.csv", lines)
    for cut in (100, 5, 1):
        parts = [part for place in places(path, cut) for part in rows_of(path, *place)]
        assert sum(len(part.images) for part in parts) == len(images)
        read = np.concatenate([part.images for part in parts])
        for i, image in enumerate(images):
            np.testing.assert_array_equal(read[i], 0 if i in (4, 7) else image)
        told = [why for part in parts for why in part.broken.values()]
        assert len(told) == 2
        assert "row 5: expected whole numbers" in told[0]
        assert "row 8: expected 784 pixels, got 1" in told[1]
        assert max(map(len, told)) < 500


def test_a_blank_image_has_no_label(images: Images, tmp_path: Path) -> None:
    blank = images[:3].copy()
    blank[1] = 0
    path = table(tmp_path / "test.csv", rows(blank))
    result = read(path, "--format", "submission")
    assert result.return_value == 0
    assert result.stdout.splitlines()[2] == "2,"
    assert [reading.status for reading in Reader().read_many([path])][1] == "empty"


def test_what_may_be_no_digit_has_the_likeliest_label(
    images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that knows other things leaves little to the digits: Kaggle wants one even so."""
    said = np.full((1, 10), 0.01, np.float32)
    said[0, 4] = 0.2
    monkeypatch.setattr(Classifier, "probabilities", lambda self, glyphs: said)
    path = table(tmp_path / "test.csv", rows(images[:1]))
    assert [reading.status for reading in Reader().read_many([path])] == ["not_a_digit"]
    assert read(path, "--format", "submission").stdout.splitlines()[1] == "1,4"


def test_one_row_is_read_alike_by_every_way(
    images: Images, expected: NDArray[np.float32], tmp_path: Path
) -> None:
    path = table(tmp_path / "one.csv", rows(images[:1]))
    (many,) = Reader().read_many([path])
    for reading in (many, digitreader.read(path)):
        np.testing.assert_array_equal(reading.digits[0].probabilities, expected[0])
        np.testing.assert_array_equal(reading.digits[0].glyph, images[0])


def test_pictures_are_answered_too(examples: dict[Path, tuple[str, ...]], tmp_path: Path) -> None:
    picture = next(path for path in examples if path.name == "postcode.png")
    result = read(picture, tmp_path / "nowhere.png", picture, "--format", "submission")
    assert result.return_value == 1
    assert result.stdout.splitlines() == ["ImageId,Label", "1,90210", "2,", "3,90210"]


@pytest.mark.parametrize("at_once", [1, 7, 1000])
def test_a_table_is_the_same_in_any_parts(
    images: Images, at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixel_csv, "AT_ONCE", at_once)
    lines = [f"{i},{row}" for i, row in enumerate(rows(images))]
    lines.insert(4, "")  # no row
    parts = list(rows_of(table(tmp_path / "train.csv", lines, f"label,{HEADER}")))
    np.testing.assert_array_equal(np.concatenate([part.images for part in parts]), images)
    assert [label for part in parts for label in part.labels or ()] == [str(i) for i in range(12)]
    assert not any(part.broken for part in parts)


def test_other_names_of_columns_are_fine_and_other_tables_are_not(
    images: Images, tmp_path: Path
) -> None:
    names = ",".join(f"{row}x{column}" for row in range(1, 29) for column in range(1, 29))
    (part,) = rows_of(table(tmp_path / "a.csv", rows(images), names))
    np.testing.assert_array_equal(part.images, images)
    other = table(tmp_path / "submission.csv", ["1,7"], "ImageId,Label")
    with pytest.raises(SourceError, match=r"expected a header .* 2 columns from 'ImageId'"):
        list(rows_of(other))
    result = read(other, "--format", "jsonl")
    assert result.return_value == 1
    assert "expected a header" in json.loads(result.stdout)["error"]


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("submission.csv", "submission"),
        ("my-Submission.CSV", "submission"),
        ("submission.json", "json"),
        ("readings.csv", "csv"),
    ],
)
def test_the_name_of_the_output_chooses_the_form(name: str, form: str) -> None:
    assert format_of(Path(name)) == form
