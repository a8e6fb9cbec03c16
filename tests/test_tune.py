"""A study turns knobs, chooses by held-out images, and outlives the processes that work at it."""

from __future__ import annotations

import contextlib
import csv
import json
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("tensorflow")
optuna = pytest.importorskip("optuna")

from digitreader.errors import DataError, DivergedError, StoppedError, UsageError  # noqa: E402
from digitreader.training import tune as tuning  # noqa: E402
from digitreader.training.recipes import Recipe, named  # noqa: E402
from digitreader.training.tune import SPACE, tune  # noqa: E402

RECIPE = Recipe(dataset="optdigits", network="mlp", epochs=1, validation=200)
KNOBS = ("learning_rate", "batch_size")


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "trials.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_two_processes_work_at_one_study(tmp_path: Path) -> None:
    """Most of a minute: `python -m pytest -m slow tests/test_tune.py`."""
    out = tmp_path / "study"
    command = [
        sys.executable, "-m", "digitreader", "tune", "--trials", "4", "--dataset", "optdigits",
        "--epochs", "1", "--set", "network=mlp", "--set", "validation=200",
        "--knob", "learning_rate", "--knob", "batch_size", "--out", str(out),
    ]  # fmt: skip
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(2)]  # fmt: skip
    said = [process.communicate(timeout=500) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    done = [re.findall(r"^trial (\d+), held out", stderr, re.M) for _, stderr in said]
    assert all(done)
    rows = rows_of(out)
    assert sorted(done[0] + done[1]) == [row["trial"] for row in rows]
    assert 4 <= len(rows) <= 5
    best = max(rows, key=lambda row: (float(row["accuracy"]), -float(row["loss"])))
    assert [path.name for path in out.glob("trial-*")] == [f"trial-{best['trial']}"]
    chosen = named(str(out / "best-recipe.json"))
    assert chosen == RECIPE.with_changes(**{knob: best[knob] for knob in KNOBS})
    metrics = json.loads((out / f"trial-{best['trial']}" / "metrics.json").read_text())
    assert metrics["validation"]["accuracy"] == float(best["accuracy"])
    assert metrics["test"] is None
    for picture in ("history.png", "importances.png"):
        assert (out / picture).read_bytes().startswith(b"\x89PNG")


# --- studies whose trials only seem to train ----------------------------------------------------


def seeming(
    accuracy: Callable[[Recipe], float], stopped: Callable[[Recipe], bool] = lambda _: False
) -> Callable[..., Any]:
    """A training that takes no time: an epoch is as accurate as the recipe makes it."""

    def train(recipe: Recipe, out: Path, *, report: Any, test: bool, **_: Any) -> Any:
        assert not test
        out.mkdir()
        for epoch in range(recipe.epochs):
            report(epoch + 0.5, {"loss": 1.0})
            report(epoch + 1.0, {"loss": 1.0, "val_accuracy": accuracy(recipe)})
        validation = SimpleNamespace(accuracy=accuracy(recipe), loss=recipe.learning_rate)
        return SimpleNamespace(validation=validation, interrupted=stopped(recipe))

    return train


def test_the_first_trial_is_the_recipe_and_of_equals_the_least_loss_is_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "train", seeming(lambda recipe: 0.9))
    tuned = tune(RECIPE, tmp_path, trials=6, name="s", knobs=KNOBS)
    rows = rows_of(tmp_path)
    assert [float(rows[0][knob]) for knob in KNOBS] == [RECIPE.learning_rate, RECIPE.batch_size]
    assert tuned.recipe.learning_rate == min(float(row["learning_rate"]) for row in rows)
    assert tuned.run is not None
    assert [path.name for path in tmp_path.glob("trial-*")] == [tuned.run.name]


def test_a_trial_that_diverges_ends_no_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def accuracy(recipe: Recipe) -> float:
        if recipe != RECIPE:
            raise DivergedError("the training has diverged")
        return 0.9

    monkeypatch.setattr(tuning, "train", seeming(accuracy))
    tuned = tune(RECIPE, tmp_path, trials=3, name="s", knobs=KNOBS)
    assert [row["state"] for row in rows_of(tmp_path)] == ["complete", "pruned", "pruned"]
    assert tuned.recipe == RECIPE


def test_a_study_goes_on_to_the_trials_that_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "train", seeming(lambda recipe: 0.9))
    counts = []
    for trials in (2, 2, 5):
        tune(RECIPE, tmp_path, trials=trials, name="s", knobs=KNOBS)
        counts.append(len(rows_of(tmp_path)))
    assert counts == [2, 2, 5]
    with pytest.raises(UsageError, match="another recipe or other knobs"):
        tune(RECIPE.with_changes(epochs=2), tmp_path, trials=5, name="s", knobs=KNOBS)
    with pytest.raises(UsageError, match="another recipe or other knobs"):
        tune(RECIPE, tmp_path, trials=5, name="s", knobs=KNOBS[:1])


def test_a_folder_is_one_study_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "train", seeming(lambda recipe: 0.9))
    tuned = tune(RECIPE, tmp_path / "a", trials=2, name="s", knobs=KNOBS)
    elsewhere = f"sqlite:///{tmp_path / 'shared.db'}"
    for name, storage in (("t", None), ("s", elsewhere)):
        with pytest.raises(UsageError, match=r"holds the study s in its study\.db, this is"):
            tune(RECIPE, tmp_path / "a", trials=1, name=name, storage=storage, knobs=KNOBS)
    assert tuned.run is not None
    assert tuned.run.exists()
    (tmp_path / "a").rename(tmp_path / "b")
    assert tune(RECIPE, tmp_path / "b", trials=2, name="s", knobs=KNOBS).run is not None


def test_what_falls_behind_is_stopped_and_its_run_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = iter([0.9] * 7 + [0.1] * 1000)

    def train(recipe: Recipe, out: Path, **others: Any) -> Any:
        accuracy = next(good)
        return seeming(lambda _: accuracy)(recipe, out, **others)

    monkeypatch.setattr(tuning, "train", train)
    tune(RECIPE.with_changes(epochs=3), tmp_path, trials=8, name="s", knobs=KNOBS)
    assert [row["state"] for row in rows_of(tmp_path)] == ["complete"] * 7 + ["pruned"]
    assert int(rows_of(tmp_path)[-1]["epochs"]) < 3
    assert len(list(tmp_path.glob("trial-*"))) == 1


def test_ctrl_c_ends_a_study_with_the_best_so_far(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    monkeypatch.setattr(tuning, "train", seeming(lambda recipe: 0.9, lambda recipe: len(told) == 2))
    tuned = tune(RECIPE, tmp_path, trials=9, name="s", knobs=KNOBS,
                 tell=lambda trial, best: told.append(trial.number))  # fmt: skip
    assert tuned.interrupted
    assert [row["state"] for row in rows_of(tmp_path)] == ["complete", "complete", "fail"]
    assert named(str(tmp_path / "best-recipe.json")) == tuned.recipe
    monkeypatch.setattr(tuning, "train", seeming(lambda recipe: 0.9))
    tune(RECIPE, tmp_path, trials=3, name="s", knobs=KNOBS)
    stopped, again = rows_of(tmp_path)[2:]
    assert [stopped[knob] for knob in KNOBS] == [again[knob] for knob in KNOBS]
    monkeypatch.setattr(tuning, "train", seeming(lambda recipe: 0.9, lambda recipe: True))
    with pytest.raises(StoppedError, match="no trial was finished"):
        tune(RECIPE, tmp_path / "other", trials=9, name="s", knobs=KNOBS)


CHILD = """
import sys, time
from pathlib import Path
from digitreader.training import tune as tuning
from test_tune import KNOBS, RECIPE

def train(recipe, out, **_):
    out.mkdir()
    (out / "begun").touch()
    time.sleep(600)

tuning.HEARTBEAT, tuning.GRACE, tuning.train = 1, 2, train
tuning.tune(RECIPE, Path(sys.argv[1]), trials=3, name="s", knobs=KNOBS)
"""


def test_a_trial_whose_process_was_killed_is_tried_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-c", CHILD, str(tmp_path)]
    child = subprocess.Popen(command, cwd=Path(__file__).parent, stderr=subprocess.DEVNULL)
    while not (tmp_path / "trial-0" / "begun").exists():
        assert child.poll() is None, "the study ended before it could be killed"
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    child.wait()
    time.sleep(4)  # it gives no more signs of life for longer than the grace
    monkeypatch.setattr(tuning, "HEARTBEAT", 1)
    monkeypatch.setattr(tuning, "GRACE", 2)
    monkeypatch.setattr(tuning, "train", seeming(lambda recipe: 0.9))
    tune(RECIPE, tmp_path, trials=1, name="s", knobs=KNOBS)
    first, again = rows_of(tmp_path)
    assert (first["state"], again["state"]) == ("fail", "complete")
    assert [first[knob] for knob in KNOBS] == [again[knob] for knob in KNOBS]
    assert not (tmp_path / "trial-0").exists()


# --- what is refused ----------------------------------------------------------------------------


def test_the_default_recipe_lies_within_the_space() -> None:
    assert [knob for knob, space in SPACE.items() if getattr(Recipe(), knob) not in space] == []


def test_a_database_whose_making_was_killed_holds_one_study_of_a_name(tmp_path: Path) -> None:
    """Optuna makes its tables first, then their indices, and makes up for no index later."""
    url = f"sqlite:///{tmp_path / 'study.db'}"
    tuning._storage(url)
    with contextlib.closing(sqlite3.connect(tmp_path / "study.db")) as database:
        database.execute("DROP INDEX ix_studies_study_name")
    for _ in range(3):
        assert tuning._opened(url, "s").study_name == "s"
    assert optuna.get_all_study_names(tuning._storage(url)) == ["s"]


@pytest.mark.parametrize(
    ("changes", "knobs", "said"),
    [
        ({"validation": 0, "temperature": 1.0}, (), "hold images out"),
        ({"views": 2}, (), "learn from no teacher"),
        ({"start_from": "runs/x", "replay": "mnist"}, (), "start from no network"),
        ({}, ("optimizer",), "no range is known for 'optimizer'"),
        ({"network": "tiny"}, ("network",), "network is 'tiny'"),
    ],
)
def test_what_cannot_be_tuned_is_said(
    changes: dict[str, Any], knobs: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=said):
        tune(RECIPE.with_changes(**changes), tmp_path / "out", trials=1, name="s", knobs=knobs)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("url", "error", "said"),
    [
        ("sqlite:////no/such/folder/study.db", DataError, "unable to open database file"),
        ("postgresql+nothing://me:secret@host/x", DataError, r"me:\*\*\*@host"),
        ("a study", UsageError, "no database's URL"),
    ],
)
def test_a_database_that_cannot_be_used_is_said_without_its_password(
    url: str, error: type[Exception], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "PAUSES", ())
    with pytest.raises(error, match=said) as caught:
        tune(RECIPE, tmp_path, trials=1, name="s", storage=url)
    assert "secret" not in str(caught.value)
