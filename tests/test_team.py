"""Several processes train one network: what one process alone would train."""

from __future__ import annotations

import csv
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="training needs the extra: pip install '.[train]'")

from digitreader.errors import UsageError  # noqa: E402
from digitreader.training import team  # noqa: E402
from digitreader.training.batches import Batches  # noqa: E402
from digitreader.training.datasets import Split, load  # noqa: E402
from digitreader.training.recipes import Recipe  # noqa: E402
from digitreader.training.team import Team  # noqa: E402
from digitreader.training.train import help_train  # noqa: E402
from digitreader.training.train import train as train_together  # noqa: E402

RECIPE = ("--dataset", "optdigits", "--epochs", "2", "--network", "tiny", "--set", "harmed=0.5",
          "--set", "precision=float32", "--set", "averaged=0.9")  # fmt: skip


@pytest.mark.parametrize("size", [2, 4])
def test_shares_make_up_the_batches_of_one_process(
    size: int, optdigits: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: ["cpu"] * size)
    split = Split(optdigits[0][:300], optdigits[1][:300])
    labels = tuple("0123456789")
    recipe = Recipe(dataset="optdigits", batch_size=64, flagged_ones=0.5)
    whole = Batches(split, labels, recipe)
    parts = [Batches(split, labels, recipe, Team(number, size)) for number in range(size)]
    for index in (0, 3, 7):  # of two epochs
        shown, targets = whole[index]
        shares = [part[index] for part in parts]
        for name, values in shown.items():
            np.testing.assert_array_equal(values, np.concatenate([s[0][name] for s in shares]))
        np.testing.assert_array_equal(targets, np.concatenate([s[1] for s in shares]))


@pytest.mark.parametrize(
    ("team", "devices", "said"),
    [
        (Team(), 3, "multiple of 3, the number of devices$"),
        (Team(0, 3), 12, "multiple of 12, the number of devices of all 3 processes$"),
    ],
)
def test_a_batch_that_cannot_be_shared_out_leaves_no_folder(
    team: Team, devices: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: ["gpu"] * devices)
    with pytest.raises(UsageError, match=said):
        train_together(Recipe(dataset="optdigits"), tmp_path / "run", team=team)
    assert not (tmp_path / "run").exists()


def test_a_helper_takes_no_older_run_for_this_one(tmp_path: Path) -> None:
    recipe, helper = Recipe(dataset="optdigits"), Team(1, 2)
    with pytest.raises(UsageError, match="no run to resume"):
        help_train(recipe, tmp_path, helper, resume=True)
    (tmp_path / "recipe.json").write_text('{"seed": 7}', encoding="utf-8")
    (tmp_path / "last.npz").touch()
    with pytest.raises(UsageError, match="holds a run already"):
        help_train(recipe, tmp_path, helper)
    with pytest.raises(UsageError, match=r"started with another .*seed"):
        help_train(recipe, tmp_path, helper, resume=True)


def test_without_keras_variables_a_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(team.ADDRESS, raising=False)
    assert team.join() == Team(0, 1)
    assert Team().leads
    assert Team().share(100) == slice(0, 100)


def test_other_backends_than_jax_train_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(team.ADDRESS, "127.0.0.1:1")
    monkeypatch.setattr(keras.backend, "backend", lambda: "tensorflow")
    with pytest.raises(UsageError, match="KERAS_BACKEND=jax"):
        team.join()


@pytest.mark.slow
def test_two_processes_train_what_one_trains(tmp_path: Path) -> None:
    """Two share what one does: `pytest -m slow tests/test_team.py` (a minute; needs jax)."""
    pytest.importorskip("jax", reason="needs pip install jax")
    alone = train(tmp_path / "alone", 1)
    together = train(tmp_path / "together", 2)
    assert [row["epoch"] for row in together] == ["1.0", "2.0"]
    # Sums of another order, after 40 steps of a network that learns fast.
    for one, two in zip(alone, together, strict=True):
        assert float(two["loss"]) == pytest.approx(float(one["loss"]), rel=0.01)
    networks = [keras.saving.load_model(tmp_path / name / "best.keras")
                for name in ("alone", "together")]  # fmt: skip
    images = load("optdigits").train.images[:500]
    one, two = (network.predict(images[..., None] / 255, verbose=0) for network in networks)
    assert np.corrcoef(one.ravel(), two.ravel())[0, 1] > 0.99
    assert (tmp_path / "together" / "model.onnx").exists()


def train(out: Path, size: int) -> list[dict[str, str]]:
    """Train in so many processes; return the history."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, "-m", "digitreader", "train", *RECIPE, "--out", str(out)]
    started = []
    for number in range(size):
        told = {"KERAS_BACKEND": "jax"}
        if size > 1:
            told |= {
                team.ADDRESS: address,
                "KERAS_DISTRIBUTION_NUM_PROCESSES": str(size),
                "KERAS_DISTRIBUTION_PROCESS_ID": str(number),
            }
        started.append(subprocess.Popen(command, env={**os.environ, **told}))
    assert [process.wait(300) for process in started] == [0] * size
    with (out / "history.csv").open(encoding="utf-8") as text:
        return list(csv.DictReader(text))
