"""A report shows what was told, all of it in one file, and says why where something is missing."""

from __future__ import annotations

import base64
import csv
import io
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("matplotlib")

from digitreader.classifier import Classifier
from digitreader.doors.cli import run
from digitreader.training.datasets import Split, load
from digitreader.training.evaluate import Predictions
from digitreader.training.metrics import COVERAGES, selective
from digitreader.training.report import LISTED, write_report
from digitreader.training.show import varied_grid
from digitreader.training.warps import WARPS

LABELS = tuple("0123456789")


class Page(HTMLParser):
    """Pictures, links, figures and text of a page, whose tags must be closed in order."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.figures = 0
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.sources += [v or "" for k, v in attributes if k in ("src", "href", "srcset")]
        self.figures += tag == "figure"
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def report(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reports") / "report"
    model = str(trained / "model.onnx")
    arguments = ["evaluate", "--model", model, "--dataset", "optdigits", "--report", str(folder)]
    assert run(arguments) == 0
    return folder


def test_the_pieces_lie_beside_the_page(report: Path, trained: Path) -> None:
    assert {path.name for path in report.iterdir()} == {
        "report.html", "scores.json", "classes.csv", "predictions.csv", "confusion.png",
        "reliability.png", "risk.png", "errors.png", "samples.png", "augmented.png", "curves.png",
    }  # fmt: skip
    assert (report / "curves.png").read_bytes() == (trained / "curves.png").read_bytes()
    assert [row["label"] for row in rows_of(report / "classes.csv")] == list(LABELS)
    for picture in report.glob("*.png"):
        with Image.open(picture) as opened:
            opened.load()


def test_every_prediction_is_written_down(report: Path, trained: Path) -> None:
    test = load("optdigits").test
    assert test is not None
    rows = rows_of(report / "predictions.csv")
    assert [int(row["index"]) for row in rows] == list(range(359))
    assert [int(row["label"]) for row in rows] == test.targets.tolist()
    told = np.array([[float(row[f"p_{label}"]) for label in LABELS] for row in rows])
    expected = Classifier.open(trained / "model.onnx").probabilities(test.images)
    np.testing.assert_allclose(told, expected, atol=1e-6)
    right = np.mean([row["label"] == row["predicted"] for row in rows])
    assert right == json.loads((report / "scores.json").read_text())["accuracy"]


def test_the_page_needs_no_other_file_and_shows_every_error(report: Path) -> None:
    page = Page(report / "report.html")
    head = "data:image/png;base64,"
    assert all(source.startswith(head) for source in page.sources)
    for source in page.sources:
        content = base64.b64decode(source.removeprefix(head), validate=True)
        with Image.open(io.BytesIO(content)) as picture:
            picture.load()
    scores = json.loads((report / "scores.json").read_text())
    assert 0 < page.figures == min(LISTED, scores["errors"])
    assert f"{100 * scores['accuracy']:.2f}%" in page.text
    assert "class-activation map" in page.text
    assert "$" not in page.text


def told_of(labels: tuple[str, ...], n: int, errors: int) -> Predictions:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, len(labels), n)
    said = np.where(np.arange(n) < errors, (targets + 1) % len(labels), targets)
    probabilities = np.full((n, len(labels)), 0.1 / (len(labels) - 1), np.float32)
    probabilities[np.arange(n), said] = 0.9
    split = Split(rng.integers(0, 256, (n, 28, 28), np.uint8), targets)
    return Predictions(split, probabilities, labels)


def test_names_are_escaped_and_only_so_many_errors_are_shown(tmp_path: Path) -> None:
    told = told_of(("<b>", "&", '"q"'), LISTED + 50, LISTED + 20)
    page = Page(write_report(told, Path("other.keras"), "<set>", tmp_path / "out"))
    assert page.figures == LISTED
    assert "other.keras on <set>" in page.text
    assert f"the {LISTED} that were read most surely" in page.text
    assert "is not drawn: only an .onnx model tells" in page.text
    assert not (tmp_path / "out" / "augmented.png").exists()


def test_a_model_without_errors_has_none_to_show(tmp_path: Path) -> None:
    write_report(told_of(("a", "b"), 40, 1), Path("x.h5"), "set", tmp_path)
    assert (tmp_path / "errors.png").exists()
    page = Page(write_report(told_of(("a", "b"), 40, 0), Path("x.h5"), "set", tmp_path))
    assert page.figures == 0
    assert "0 of 40 images" in page.text
    assert not (tmp_path / "errors.png").exists()


def test_the_surest_digits_counted_one_by_one() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(5), 400).astype(np.float32)
    targets = rng.integers(0, 5, 400)
    for row, share in zip(selective(probabilities, targets), COVERAGES, strict=True):
        sure = sorted(zip(probabilities.max(1), probabilities.argmax(1) != targets, strict=True),
                      key=lambda pair: -pair[0])[: round(share * 400)]  # fmt: skip
        assert (row["n"], row["errors"]) == (len(sure), sum(wrong for _, wrong in sure))
        assert row["confidence"] == min(confidence for confidence, _ in sure)
        assert row["risk"] == row["errors"] / row["n"]


def test_augmentation_is_seen_as_it_is_done(optdigits: Any) -> None:
    split = Split(optdigits[0], optdigits[1])

    def shown(name: str) -> Any:
        grid = np.asarray(varied_grid(split, LABELS, 2, 6, 0, WARPS[name]))
        cells = [[grid[6 + 80 * y :, 6 + 62 * x :][:56:2, :56:2] for x in range(6)] for y in (0, 1)]
        return np.array(cells)

    plain, moved = shown("none"), shown("shift")
    assert (split.images == plain[0, 0]).all(axis=(1, 2)).any()
    assert (plain == plain[:, :1]).all()
    np.testing.assert_array_equal(moved[:, 0], plain[:, 0])
    steps = [(y, x) for y in range(-2, 3) for x in range(-2, 3)]
    for row in moved:
        rolled = [np.roll(row[0], step, (0, 1)) for step in steps]
        assert all(any((cell == one).all() for one in rolled) for cell in row)
    assert (moved[:, 1:] != moved[:, :1]).any()
