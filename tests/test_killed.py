"""Commands that are killed at any moment leave nothing half-written, and go on to the same end.

A kill of each but `tune` here; fifty of each, which takes half an hour:
`python -m pytest -m slow tests/test_killed.py -s`
"""

from __future__ import annotations

import csv
import http.server
import io
import json
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from digitreader.classifier import Classifier
from killing import Case, Forks, forks, killed
from test_download import CONTENT, packed

ONE, MANY = 1, 50
WARM = """
from contextlib import nullcontext
from functools import cache
from digitreader.training.backend import greetings_silenced
with greetings_silenced():
    import matplotlib.pyplot, onnx, tf2onnx
    from digitreader.training import finetune, model_files, runtimes, train
train.load = cache(train.load)
train.load("optdigits", None)
# Not in a process of its own, which would import TensorFlow once more.
read = lambda name, path, images: (runtimes.RUNTIMES[name](path)(images), 1.0)
model_files.afresh = lambda: nullcontext(read)
"""
TRAIN = (
    "train", "--dataset", "optdigits", "--network", "dense-64-dropout", "--batch-size", "64",
    "--learning-rate", "3e-3", "--set", "precision=float32",
)  # fmt: skip


def each(tmp_path: Path) -> Iterator[Path]:
    return (tmp_path / f"out-{i}" for i in count())


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def tell(command: str, forks: Forks, case: Case, tmp_path: Path, kills: int) -> None:
    tally = killed(forks, case, each(tmp_path), kills)
    print(f"{command}: {tally.kills} kills, {tally.ends} came to their end, all as unbroken")


kills = pytest.mark.parametrize("kills", [ONE, pytest.param(MANY, marks=pytest.mark.slow)])


# ---------------------------------------------------------------- files under their names


def arrays_in_npz(path: Path) -> dict[str, NDArray[Any]]:
    with np.load(path, allow_pickle=False) as state:
        return {name: state[name] for name in state.files}


def weights_in(file: Any) -> dict[str, NDArray[Any]]:
    """Every array of an HDF5 file, by its path."""
    h5py = pytest.importorskip("h5py")
    found: dict[str, NDArray[Any]] = {}
    with h5py.File(file) as opened:
        opened.visititems(
            lambda name, item: (
                found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
            )
        )
    return found


def weights_in_keras(path: Path) -> dict[str, NDArray[Any]]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return weights_in(io.BytesIO(archive.read("model.weights.h5")))


def same(some: dict[str, NDArray[Any]], others: dict[str, NDArray[Any]]) -> None:
    assert some.keys() == others.keys()
    for name, array in some.items():
        np.testing.assert_array_equal(array, others[name], name)


def open_picture(path: Path) -> None:
    with Image.open(path) as picture:
        picture.load()


OPEN: dict[str, Callable[[Path], object]] = {
    ".json": lambda path: json.loads(path.read_text(encoding="utf-8")),
    ".csv": lambda path: list(csv.reader(path.read_text("utf-8").splitlines(), strict=True)),
    ".npz": arrays_in_npz,
    ".keras": weights_in_keras,
    ".h5": weights_in,
    ".onnx": Classifier.open,
    ".png": open_picture,
    ".gz": lambda path: CONTENT[path.stem] if path.read_bytes() == packed(CONTENT[path.stem]) else
    pytest.fail(f"{path} is not what the mirror has"),
}  # fmt: skip


def whole_or_not_there(folder: Path) -> None:
    """Open everything that has its name; drafts are hidden, in folders of their own."""
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.is_file() and not hidden and path.suffix in OPEN:
            OPEN[path.suffix](path)


# ---------------------------------------------------------------- train, tune, export


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    pytest.importorskip("tensorflow")
    with forks(tmp_path_factory.mktemp("forks"), WARM) as started:
        yield started


@kills
def test_training(warm: Forks, tmp_path: Path, kills: int) -> None:
    def command(out: Path) -> tuple[str, ...]:
        resume = ("--resume",) if (out / "recipe.json").exists() else ()
        return (*TRAIN, "--epochs", "3", "--out", str(out), *resume)

    unbroken = tmp_path / "unbroken"
    assert warm.run(command(unbroken)) == 0, warm.log.read_text()
    images = np.random.default_rng(0).integers(0, 256, (50, 28, 28), np.uint8)

    def compare(folder: Path) -> None:
        assert names(folder) == names(unbroken)
        assert _history(folder) == _history(unbroken)
        assert _measured(folder) == _measured(unbroken)
        same(arrays_in_npz(folder / "last.npz"), arrays_in_npz(unbroken / "last.npz"))
        same(weights_in_keras(folder / "best.keras"), weights_in_keras(unbroken / "best.keras"))
        ours, theirs = (Classifier.open(f / "model.onnx") for f in (folder, unbroken))
        np.testing.assert_array_equal(ours.logits(images), theirs.logits(images))

    case = Case(command, whole_or_not_there, compare, most=40)
    tell("train", warm, case, tmp_path, kills)


def _history(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open(encoding="utf-8") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def _measured(folder: Path) -> dict[str, Any]:
    measured: dict[str, Any] = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return {key: value for key, value in measured.items() if "seconds" not in key}


@kills
def test_exporting(warm: Forks, tmp_path: Path, kills: int) -> None:
    run = tmp_path / "run"
    made = (*TRAIN, "--epochs", "1", "--out", str(run))
    assert warm.run(made) == 0, warm.log.read_text()

    def command(out: Path) -> tuple[str, ...]:
        formats = ("--format", "onnx", "--format", "json")
        return ("export", str(run), *formats, "-o", str(out))

    unbroken = tmp_path / "unbroken"
    assert warm.run(command(unbroken)) == 0, warm.log.read_text()
    images = np.random.default_rng(0).integers(0, 256, (50, 28, 28), np.uint8)

    def compare(folder: Path) -> None:
        assert names(folder) == names(unbroken)
        same(weights_in(folder / "run.weights.h5"), weights_in(unbroken / "run.weights.h5"))
        ours, theirs = (Classifier.open(f / "run.onnx") for f in (folder, unbroken))
        np.testing.assert_array_equal(ours.logits(images), theirs.logits(images))

    case = Case(command, whole_or_not_there, compare, most=20)
    tell("export", warm, case, tmp_path, kills)


@pytest.mark.slow
def test_tuning(tmp_path: Path) -> None:
    """A trial that is killed twice is not tried a third time, so the trials are not the same.

    But each is the training that its knobs make, and the best of them is kept.
    """
    pytest.importorskip("tensorflow")
    pytest.importorskip("optuna")
    trials = 3

    def command(out: Path) -> tuple[str, ...]:
        return (
            "tune", "--trials", str(trials), "--dataset", "optdigits", "--epochs", "1",
            "--set", "network=mlp", "--set", "validation=200", "--set", "precision=float32",
            "--knob", "batch_size", "--out", str(out),
        )  # fmt: skip

    accuracies: dict[str, str] = {}

    def compare(folder: Path) -> None:
        whole_or_not_there(folder)
        assert not list(folder.glob(".*.part"))
        with (folder / "trials.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        ended = [row for row in rows if row["state"] in ("complete", "pruned")]
        assert len(ended) == trials
        assert {row["state"] for row in rows} <= {"complete", "pruned", "fail"}
        done = [row for row in ended if row["state"] == "complete"]
        for row in done:
            assert accuracies.setdefault(row["batch_size"], row["accuracy"]) == row["accuracy"]
        best = max(done, key=lambda row: (float(row["accuracy"]), -float(row["loss"])))
        recipe = json.loads((folder / "best-recipe.json").read_text(encoding="utf-8"))
        assert recipe["batch_size"] == int(best["batch_size"])
        metrics = folder / f"trial-{best['trial']}" / "metrics.json"
        kept = json.loads(metrics.read_text(encoding="utf-8"))
        assert kept["validation"]["accuracy"] == float(best["accuracy"])

    code = WARM + (
        "import optuna\n"
        "from digitreader.training import tune\n"
        "tune.HEARTBEAT, tune.GRACE = 1, 2  # seconds until a killed one is taken for dead\n"
    )
    with forks(tmp_path, code) as warm:
        case = Case(command, whole_or_not_there, compare, most=150)
        tell("tune", warm, case, tmp_path, MANY)


# ---------------------------------------------------------------- batch, data download


@kills
def test_batches(tmp_path: Path, kills: int, optdigits: Any) -> None:
    dataset = pytest.importorskip("pyarrow.dataset")
    pictures = tmp_path / "pictures.npy"
    np.save(pictures, optdigits[0][:600])

    def command(out: Path) -> tuple[str, ...]:
        return ("batch", str(pictures), "-o", str(out), "--items", "30", "--workers", "2")

    def check(folder: Path) -> None:
        for part in folder.glob("part-*"):
            assert dataset.dataset(part).count_rows() == 30

    unbroken = tmp_path / "unbroken"
    with forks(tmp_path, "import digitreader.doors.batch_cli, digitreader.batch.job") as started:
        assert started.run(command(unbroken)) == 0, started.log.read_text()

        def compare(folder: Path) -> None:
            assert names(folder) == names(unbroken)
            for part in unbroken.glob("part-*"):
                assert (folder / part.name).read_bytes() == part.read_bytes()
            lines = [(f / "_done.jsonl").read_text().splitlines() for f in (folder, unbroken)]
            assert sorted(lines[0]) == sorted(lines[1])

        case = Case(command, check, compare, most=8)
        tell("batch", started, case, tmp_path, kills)


class Slow(http.server.BaseHTTPRequestHandler):
    """A mirror that gives its files piece by piece."""

    def do_GET(self) -> None:
        content = packed(CONTENT[self.path.removeprefix("/").removesuffix(".gz")])
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        for start in range(0, len(content), 2000):
            time.sleep(0.005)
            self.wfile.write(content[start : start + 2000])

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def handle(self) -> None:
        """Bear it that who asked was killed."""
        try:
            super().handle()
        except OSError:
            self.close_connection = True


@pytest.fixture
def mirror() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


@kills
def test_downloads(mirror: str, tmp_path: Path, kills: int) -> None:
    def command(out: Path) -> tuple[str, ...]:
        return ("data", "download", "tiny", "--data-dir", str(out))

    def compare(folder: Path) -> None:
        assert names(folder) == {"tiny"}
        assert names(folder / "tiny") == {f"{name}.gz" for name in CONTENT}
        whole_or_not_there(folder)

    code = (
        "import digitreader.training.datasets\n"
        "from digitreader.training.catalogue import DATASETS\n"
        "from test_download import known_tiny\n"
        f"DATASETS['tiny'] = known_tiny({mirror!r})\n"
    )
    with forks(tmp_path, code) as started:
        case = Case(command, whole_or_not_there, compare, most=12)
        tell("data download", started, case, tmp_path, kills)
