"""Keras's and LiteRT's files, and runs' folders, that are broken or made to do harm."""

from __future__ import annotations

import json
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from digitreader.doors.cli import run
from digitreader.errors import ModelError
from test_hostile_models import Touches, refused

keras = pytest.importorskip("keras")
h5py = pytest.importorskip("h5py")
pytest.importorskip("tensorflow")
from keras import layers  # noqa: E402

from digitreader.training import epochs, keras_files, networks  # noqa: E402
from digitreader.training.evaluate import evaluate  # noqa: E402
from digitreader.training.runtimes import load_network  # noqa: E402

RAN = "ran"  # the file that is there when code in a model has run
TOUCH = {"command": f"touch {RAN}"}


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Where nothing may appear."""
    monkeypatch.chdir(tmp_path)
    yield
    assert not (tmp_path / RAN).exists()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one small network in both of Keras's forms."""
    folder = tmp_path_factory.mktemp("good")
    images = keras.Input((28, 28, 1))
    network = keras.Model(images, layers.Dense(10, name="logits")(layers.Flatten()(images)))
    network.save(folder / "good.keras")
    network.save(folder / "good.h5")
    return folder


Config = dict[str, Any]
Change = Callable[[Config], Any]


def rewritten(
    good: Path,
    path: Path,
    change: Change = lambda config: config,
    members: dict[str, bytes | None] | None = None,
) -> Path:
    """The good network with another configuration, or other members (None: without it)."""
    with zipfile.ZipFile(good / "good.keras") as archive:
        held: dict[str, bytes | None] = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(held["config.json"] or b"")
    changed = change(config)
    held["config.json"] = changed if isinstance(changed, bytes) else json.dumps(changed).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (held | (members or {})).items():
            if content is not None:
                archive.writestr(name, content)
    return path


def layer(**entries: Any) -> Change:
    """Put another layer in the first one's place."""

    def change(config: Config) -> Config:
        config["config"]["layers"][1] |= {"registered_name": None} | entries
        return config

    return change


def whole(**entries: Any) -> Change:
    """Put something else in the network's place."""
    return lambda _: {"registered_name": None} | entries


def told(**knobs: Any) -> Change:
    """Tell the dense layer something else."""

    def change(config: Config) -> Config:
        config["config"]["layers"][2]["config"] |= knobs
        return config

    return change


CONFIGS: dict[str, tuple[Change, str]] = {
    "os.system": (layer(module="os", class_name="system", config=TOUCH), r"asks for os\.system"),
    "os.system alone": (whole(module="os", class_name="system", config=TOUCH), r"asks for os\.sys"),
    "os.system with a name": (
        layer(module="os", class_name="system", config=TOUCH, registered_name="os>system"), "system"
    ),
    "a lambda": (
        layer(module="keras.layers", class_name="Lambda", config={}), r"holds code \(Lambda\)"
    ),
    "a lambda in a layer": (
        told(activation={"class_name": "__lambda__", "config": {"value": "4wAA"}}), "holds code"
    ),
    "a pickled module": (
        layer(module="keras.layers", class_name="TorchModuleWrapper", config={}), "holds code"
    ),
    "another model": (
        layer(module="keras.layers", class_name="TFSMLayer", config={"filepath": "/"}), "holds code"
    ),
    "Keras made unsafe": (
        whole(module="keras.config", class_name="enable_unsafe_deserialization", config={}),
        "not a modeling function",
    ),
    "a download": (
        whole(module="keras.utils", class_name="get_file",
              config={"fname": RAN, "origin": "file:///etc/passwd"}),
        "not a modeling function",
    ),
    "a file's lines": (
        layer(module="keras.layers", class_name="StringLookup",
              config={"vocabulary": "/etc/passwd"}),
        "outside of the model",
    ),
    "a function": (whole(module="builtins", class_name="function", config="eval"), "eval"),
    "a layer alone": (whole(module="keras.layers", class_name="Dense", config={"units": 10}),
                      "not a readable"),
    "no units": (told(units=-1), "positive integer"),
    "a class of lists": (layer(class_name=["Dense"]), "not a readable"),
    "a list": (lambda _: [1, 2], "not a readable"),
    "no JSON": (lambda _: b"{", "not a readable"),
    "depth": (lambda _: b"[" * 100_000, "not a readable"),
}  # fmt: skip


@pytest.mark.parametrize("case", CONFIGS)
def test_a_network_made_to_do_harm_is_refused(case: str, good: Path, tmp_path: Path) -> None:
    change, message = CONFIGS[case]
    path = rewritten(good, tmp_path / "bad.keras", change)
    with refused(path, message):
        load_network(path)


MEMBERS: dict[str, tuple[dict[str, bytes | None], str]] = {
    "above": ({"../../above": b"x"}, "outside of it"),
    "from the root": ({"/above": b"x"}, "outside of it"),
    "above, for Windows": ({"assets\\..\\..\\above": b"x"}, "outside of it"),
    "no weights": ({"model.weights.h5": None}, "weights"),
    "other weights": ({"model.weights.h5": b"x"}, "not a readable"),
    "no configuration": ({"config.json": None}, r"config\.json"),
}


@pytest.mark.parametrize("case", MEMBERS)
def test_an_archive_made_to_do_harm_is_refused(case: str, good: Path, tmp_path: Path) -> None:
    members, message = MEMBERS[case]
    path = rewritten(good, tmp_path / "bad.keras", members=members)
    with refused(path, message):
        load_network(path)


def test_an_archive_that_unpacks_to_too_much_is_refused(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keras_files, "MOST_BYTES", 50_000)
    path = rewritten(good, tmp_path / "bomb.keras", members={"bomb": bytes(60_000)})
    with refused(path, "larger than"):
        load_network(path)


def kernel(file: Any) -> str:
    """Where a file has the weights of the dense layer."""

    def found(name: str, item: Any) -> str | None:
        return name if isinstance(item, h5py.Dataset) and item.shape == (784, 10) else None

    return str(file.visititems(found))


def linked(file: Any, name: str, folder: Path) -> None:
    with h5py.File(folder / "other.h5", "w") as other:
        other["secret"] = np.ones((784, 10), np.float32)
    file[name] = h5py.ExternalLink(str(folder / "other.h5"), "secret")


def stored_elsewhere(file: Any, name: str, folder: Path) -> None:
    del folder
    place = [("/etc/passwd", 0, h5py.h5f.UNLIMITED)]
    file.create_dataset(name, (784, 10), "f4", external=place)


def claimed(file: Any, name: str, folder: Path) -> None:
    del folder
    file.create_dataset(name, (10**8, 10**4), "f4", chunks=(100, 100))


@pytest.mark.parametrize("put", [linked, stored_elsewhere, claimed])
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_weights_elsewhere_or_without_end_are_refused(
    suffix: str, put: Callable[[Any, str, Path], None], good: Path, tmp_path: Path
) -> None:
    path = tmp_path / f"bad{suffix}"
    inner = tmp_path / "weights.h5" if suffix == ".keras" else path
    shutil.copy(good / "good.h5", path)
    if suffix == ".keras":
        with zipfile.ZipFile(good / "good.keras") as archive:
            inner.write_bytes(archive.read("model.weights.h5"))
    with h5py.File(inner, "r+") as file:
        name = kernel(file)
        del file[name]
        put(file, name, tmp_path)
    if suffix == ".keras":
        rewritten(good, path, members={"model.weights.h5": inner.read_bytes()})
    with refused(path, "Not allowed|received 0 variables"):  # of Keras 3.15.1 and 3.15.0
        load_network(path)


# --- what runs, and what comes out ----------------------------------------------------------------


def with_lambda(path: Path) -> Path:
    """A network with a function in it, which leaves a file when it is run."""

    def touched(x: Any) -> Any:
        Path(RAN).touch()
        return x

    images = keras.Input((28, 28, 1))
    ends = layers.Dense(10, name="logits")(layers.Flatten()(layers.Lambda(touched)(images)))
    keras.Model(images, ends).save(path)
    Path(RAN).unlink()
    return path


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_no_door_runs_a_lambda(
    suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = with_lambda(tmp_path / f"best{suffix}")
    for command in (["evaluate", "--dataset", "optdigits", "--model"], ["export"]):
        assert run([*command, str(path)]) == 3
        (line,) = capsys.readouterr().err.splitlines()
        assert f"best{suffix} holds code (Lambda)" in line
    if suffix == ".keras":
        assert run(["train", "--from", str(tmp_path), "--dataset", "optdigits"]) == 3
        assert "holds code (Lambda)" in capsys.readouterr().err


def test_a_lambda_in_a_file_of_keras_2_is_refused(good: Path, tmp_path: Path) -> None:
    path = tmp_path / "old.h5"
    shutil.copy(good / "good.h5", path)
    of = {"class_name": "Lambda", "config": {"function": ["4wAA", None, None]}}
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": [of]})
    with refused(path, r"holds code \(Lambda\)"):
        load_network(path)


def doubled(images: Any) -> Any:
    return [layers.Dense(10)(layers.Flatten()(images)) for _ in range(2)]


@pytest.mark.parametrize("make", [doubled, layers.Activation("relu")], ids=["two", "maps"])
def test_a_network_with_other_outputs_is_refused(
    make: Callable[[Any], Any], tmp_path: Path
) -> None:
    images = keras.Input((28, 28, 1))
    path = tmp_path / "other.keras"
    keras.Model(images, make(images)).save(path)
    with refused(path, "takes .* and gives"):
        load_network(path)


def test_numbers_that_are_none_are_no_result(good: Path, tmp_path: Path) -> None:
    network = keras.saving.load_model(good / "good.keras")
    network.set_weights([np.full_like(weights, np.nan) for weights in network.get_weights()])
    network.save(tmp_path / "nan.keras")
    with refused(tmp_path / "nan.keras", "no numbers"):
        evaluate(tmp_path / "nan.keras", "optdigits")


@pytest.mark.parametrize(
    "content", [b"\x1c\0\0\0TFL3" + bytes(100), b"\x20\0\0\0TFL3" + b"\xff" * 200]
)
def test_a_broken_file_of_litert_is_refused(content: bytes, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    path = tmp_path / "broken.tflite"
    path.write_bytes(content)
    with refused(path, "not a readable"):
        evaluate(path, "optdigits")


# --- runs' folders --------------------------------------------------------------------------------


def saved(path: Path, **arrays: Any) -> None:
    np.savez(path, **arrays)


STATES: dict[str, Callable[[Path], object]] = {
    "a pickle": lambda path: path.write_bytes(pickle.dumps(Touches(Path(RAN)))),
    "pickled arrays": lambda path: saved(path, **{"0": np.array([Touches(Path(RAN))], object)}),
    "other arrays": lambda path: saved(path, **{"0": np.zeros(3)}),
    "nothing": lambda path: path.write_bytes(b""),
    "a plain array": lambda path: path.write_bytes(b"\x93NUMPY\x01\x00"),
}


@pytest.mark.parametrize("case", STATES)
def test_a_run_whose_state_is_broken_does_not_go_on(case: str, tmp_path: Path) -> None:
    STATES[case](tmp_path / "last.npz")
    network = networks.build("nano", 10)
    with pytest.raises(ModelError, match=r"its last\.npz or history\.csv is broken") as caught:
        epochs.restored(tmp_path, network, keras.optimizers.Adam(), steps=1)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("name", "code"), [("recipe.json", 2), ("history.csv", 3), ("last.npz", 3), ("best.keras", 3)]
)
def test_a_run_cut_anywhere_is_one_line(
    name: str, code: int, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(trained, tmp_path / "run")
    path = tmp_path / "run" / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    command = ["train", "--dataset", "optdigits", "--epochs", "1", "--batch-size", "32"]
    assert run([*command, "--out", str(tmp_path / "run"), "--resume"]) == code
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("Error: ")
    assert name in last
