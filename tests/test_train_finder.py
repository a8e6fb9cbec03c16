"""Training the finder: a killed run goes on as if nothing had happened, and its file reads."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from digitreader.cells import CLASSES
from digitreader.errors import DivergedError, UsageError
from digitreader.finder import REACH, Finder
from digitreader.training import page_network, train_finder
from digitreader.training.train_finder import FinderRecipe
from digitreader.writing import only_one

tf = pytest.importorskip("tensorflow")

TINY = FinderRecipe(dataset="optdigits", steps=4, batch_size=2, width=0.2, seed=3)


class _KilledError(Exception):
    pass


@pytest.fixture
def eagerly() -> Iterator[None]:
    """Four steps are sooner done without a graph, which takes longer to trace than to run."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.usefixtures("eagerly")
def test_a_killed_run_goes_on_and_the_file_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_finder, "KEEP", 2)
    monkeypatch.setattr(train_finder, "ROW", 1)
    losses: list[float] = []
    whole = train_finder.train_finder(
        TINY, tmp_path / "whole", report=lambda step, loss: losses.append(loss)
    )

    def kill(step: int, loss: float) -> None:
        if step == 3:
            raise _KilledError

    with pytest.raises(_KilledError):
        train_finder.train_finder(TINY, tmp_path / "killed", report=kill)
    told = (tmp_path / "killed" / "recipe.json").read_bytes()
    assert json.loads(told)["precision"] in {"float32", "bfloat16"}
    with pytest.raises(UsageError, match="was started with another steps, seed"):
        train_finder.train_finder(replace(TINY, steps=8, seed=0), tmp_path / "killed", resume=True)
    assert (tmp_path / "killed" / "recipe.json").read_bytes() == told
    resumed = train_finder.train_finder(TINY, tmp_path / "killed", resume=True)
    ink = np.random.default_rng(0).integers(0, 256, (64, 96, 2), np.uint8)
    cells = [Finder.open(path).cells(ink) for path in (whole, resumed)]
    assert cells[0].shape == (16, 24, CLASSES + 4)
    np.testing.assert_allclose(cells[0][..., :CLASSES].sum(axis=2), 1, atol=1e-5)
    np.testing.assert_allclose(cells[0], cells[1], atol=1e-4)
    for run in ("whole", "killed"):
        with (tmp_path / run / "history.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["step"] for row in rows] == ["1", "2", "3", "4"]
        assert [float(row["loss"]) for row in rows] == pytest.approx(losses, rel=1e-2)
    with pytest.raises(UsageError, match="holds a run already"):
        train_finder.train_finder(TINY, tmp_path / "whole")
    with pytest.raises(UsageError, match="no run to resume"):
        train_finder.train_finder(TINY, tmp_path / "new", resume=True)


@pytest.mark.parametrize(
    ("knob", "value"),
    [("steps", 0), ("seed", -1), ("learning_rate", float("nan")), ("averaged", 1.0)],
)
def test_a_knob_that_makes_no_sense_is_named(knob: str, value: Any) -> None:
    with pytest.raises(UsageError, match=f"{knob} is {value}; expected"):
        replace(TINY, **{knob: value})


def test_a_folder_is_kept_to_one_finder(tmp_path: Path) -> None:
    with only_one(tmp_path, "training"), pytest.raises(UsageError, match="another training"):
        train_finder.train_finder(TINY, tmp_path)
    (tmp_path / "recipe.json").write_text('{"network": "tiny"}', encoding="utf-8")
    with pytest.raises(UsageError, match=r"recipe\.json: not a finder's recipe"):
        train_finder.train_finder(TINY, tmp_path, resume=True)


def test_the_loss_is_least_where_the_truth_is_said() -> None:
    truth = np.zeros((1, 4, 4, CLASSES + 5), np.float32)
    truth[..., CLASSES - 1] = 1  # nothing
    truth[..., CLASSES] = 1
    truth[0, 1, 1, : CLASSES + 1] = np.eye(CLASSES + 1)[[3, CLASSES]].sum(axis=0)
    truth[0, 1, 1, CLASSES + 1 :] = (8, 12, 8, 20)
    said = np.zeros((1, 4, 4, CLASSES + 4), np.float32)
    said[..., :CLASSES] = 20 * truth[..., :CLASSES]
    said[..., CLASSES:] = truth[..., CLASSES + 1 :] / REACH
    right = float(page_network.loss(truth, said))
    assert right == pytest.approx(0, abs=1e-4)
    shifted = said.copy()
    shifted[0, 1, 1, CLASSES:] += (0.2, 0, -0.2, 0)
    other = said.copy()
    other[0, 1, 1, :CLASSES] = 20 * np.eye(CLASSES)[5]
    assert float(page_network.loss(truth, shifted)) > right + 1e-3
    assert float(page_network.loss(truth, other)) > right + 1e-2
    unasked = truth.copy()
    unasked[0, 1, 1, CLASSES] = 0  # weighs nothing
    assert float(page_network.loss(unasked, other)) == pytest.approx(right, abs=1e-4)


def test_a_loss_that_is_no_number_ends_the_training() -> None:
    class Diverging:
        def train_on_batch(self, ink: float, _truth: float) -> float:
            return ink

    losses = train_finder.taught(Diverging(), [(1.0, 0.0), (float("nan"), 0.0)])
    assert next(losses) == 1
    with pytest.raises(DivergedError, match="a loss is nan; try a lower learning rate"):
        next(losses)
