"""One's own classes: two letters from a folder, trained, read and measured by the same commands."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from PIL import Image

from digitreader.doors.cli import cli
from digitreader.reader import Reader

pytest.importorskip("keras")

Picture = NDArray[np.uint8]
SIDE = 90  # px of a picture


def written(letter: str, rng: np.random.Generator) -> Picture:
    """A large L or O in dark ink on grey paper, never twice the same."""
    picture = np.full((SIDE, SIDE), rng.integers(190, 250), np.uint8)
    left, right = rng.integers(18, 30), rng.integers(58, 72)
    top, bottom = rng.integers(10, 20), rng.integers(68, 80)
    ink, pen = int(rng.integers(0, 70)), int(rng.integers(4, 9))
    if letter == "L":
        corners = [[left + rng.integers(-4, 5), top], [left, bottom], [right, bottom]]
        cv2.polylines(picture, [np.array(corners)], False, ink, pen, cv2.LINE_AA)
    else:
        middle = (int(left + right) // 2, int(top + bottom) // 2)
        axes = (int(right - left) // 2, int(bottom - top) // 2)
        cv2.ellipse(picture, middle, axes, int(rng.integers(-20, 20)), 0, 360, ink, pen)
    return picture


def run(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(cli, list(map(str, arguments)), standalone_mode=False)
    assert result.exception is None, result.output
    return result


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the two letters, trained as a user would."""
    folder = tmp_path_factory.mktemp("letters")
    rng = np.random.default_rng(0)
    for letter in "LO":
        (folder / "mine" / letter).mkdir(parents=True)
        for i in range(60):
            picture = Image.fromarray(written(letter, rng))
            picture.save(folder / "mine" / letter / f"{i}.png")
    run(
        "train", "--dataset", f"folder:{folder / 'mine'}", "--network", "plain", "--augment",
        "classic", "--epochs", "8", "--batch-size", "12", "--out", folder / "run",
    )  # fmt: skip
    return folder / "run" / "model.onnx"


def test_the_model_carries_its_classes(model: Path) -> None:
    assert Reader(model).labels == ("L", "O")


def test_new_pictures_are_read_by_the_command(model: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    truth = "LOOLLOLOOLOL"
    for i, letter in enumerate(truth):
        Image.fromarray(written(letter, rng)).resize((200, 200)).save(tmp_path / f"{i:02}.png")
    result = run("read", tmp_path, "--model", model, "--format", "jsonl")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert "".join(row["text"] for row in rows) == truth
    for row in rows:
        (letter,) = row["digits"]
        assert len(letter["probabilities"]) == 2
        assert [label for label, _ in letter["top3"]] in (["L", "O"], ["O", "L"])

    out = tmp_path / "readings.csv"
    run("read", tmp_path / "00.png", "--model", model, "-o", out)
    (line,) = csv.DictReader(out.read_text(encoding="utf-8").splitlines())
    assert line["label"] == "L"
    assert float(line["p_L"]) > 0.5 > float(line["p_O"])


def test_a_page_of_letters_is_read_line_by_line(model: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    page = np.full((3 * SIDE, 8 * SIDE), 235, np.uint8)
    for row, line in enumerate(("LOL", "OOLLO")):
        for column, letter in enumerate(line):
            top, left = SIDE // 2 + row * SIDE, SIDE // 2 + column * SIDE
            place = page[top : top + SIDE, left : left + SIDE]
            place[:] = np.where(written(letter, rng) < 128, 20, place)
    Image.fromarray(page).save(tmp_path / "page.png")
    (reading,) = Reader(model).read_many([tmp_path / "page.png"])
    assert "".join(reading.text.split()) == "LOLOOLLO"
    assert [line.replace(" ", "") for line in reading.lines] == ["LOL", "OOLLO"]


def test_the_model_is_measured_on_a_folder(model: Path) -> None:
    mine = model.parent.parent / "mine"
    output = run("evaluate", "--model", model, "--dataset", f"folder:{mine}").stdout
    assert "n = 120" in output
    assert any(line.split()[0] == "L" for line in output.splitlines() if line.strip())
