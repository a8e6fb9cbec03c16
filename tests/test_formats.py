"""Whatever form a model is handed on in, its own program says what the model says."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

keras = pytest.importorskip("keras")
pytest.importorskip("tensorflow")
pytest.importorskip("ai_edge_litert")
if find_spec("openvino") is None:  # importing it would send statistics home
    pytest.skip("OpenVINO is not installed", allow_module_level=True)

from digitreader.card import ModelCard  # noqa: E402
from digitreader.classifier import Classifier, softmax  # noqa: E402
from digitreader.doors.cli import run as run_command  # noqa: E402
from digitreader.errors import ModelError, UsageError  # noqa: E402
from digitreader.training import export, formats, model_files, networks, runtimes  # noqa: E402
from digitreader.training.datasets import load, scaled  # noqa: E402
from digitreader.training.evaluate import evaluate, predict  # noqa: E402
from digitreader.training.recipes import Recipe  # noqa: E402
from digitreader.training.train import train  # noqa: E402

KERAS_2 = Path(__file__).parent / "data" / "keras_2.h5"  # written by tf_keras 2.21

# What makes a model's form difficult: members, and an output for what is no digit.
NESTED = Recipe(
    dataset="optdigits", network="lenet-5", epochs=8, batch_size=64, learning_rate=3e-3,
    members=2, outliers=200, precision="float32",
)  # fmt: skip


@pytest.fixture(scope="module")
def nested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "nested"
    train(NESTED, folder)
    return folder


@pytest.fixture(scope="module")
def exported(nested: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with every format in it, and what the command printed."""
    folder = tmp_path_factory.mktemp("exports")
    command = [sys.executable, "-m", "digitreader", "export", str(nested)]
    options = ["--preset", "kaggle", "-o", str(folder)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout + done.stderr


def numpy_forward(images: Any) -> Any:
    """The probabilities that KERAS_2's weights mean, by hand: [N, 10]."""
    import h5py

    with h5py.File(KERAS_2) as file:
        weights: dict[str, Any] = {}
        file["model_weights"].visititems(
            lambda name, item: weights.__setitem__("/".join(name.split("/")[-2:]), item)
        )
        kernel, bias, dense, shift = (
            np.asarray(weights[name])
            for name in ("conv2d/kernel:0", "conv2d/bias:0", "dense/kernel:0", "dense/bias:0")
        )
    windows = np.lib.stride_tricks.sliding_window_view(images / 255, (5, 5), axis=(1, 2))
    maps = np.einsum("nyxij,ijc->nyxc", windows[:, ::3, ::3], kernel[:, :, 0]) + bias
    maps = np.maximum(maps, 0).reshape(-1, 4, 2, 4, 2, 4).max(axis=(2, 4))  # [N, 4, 4, 4]
    return softmax(maps.reshape(-1, 64) @ dense + shift)


# --- every format -----------------------------------------------------------------------------


def test_the_files_have_the_names_that_are_known(exported: tuple[Path, str]) -> None:
    names = {path.name for path in exported[0].iterdir()}
    assert names == {
        "my_model.keras", "mnist_cnn_model.h5", "mnist_cnn_model.json", "mnist_cnn_model.pkl",
        "mnist_cnn_model.weights.h5", "mnist_cnn_model_saved_model", "mnist_cnn_model.tflite",
        "mnist_cnn_model.onnx", "mnist_cnn_model-int8.onnx", "mnist_cnn_model.xml",
        "mnist_cnn_model.bin", "exports.json",
    }  # fmt: skip


def test_the_report_says_how_close_each_file_is(exported: tuple[Path, str]) -> None:
    folder, printed = exported
    report = json.loads((folder / "exports.json").read_text())
    assert report["images"]["n"] == 1000
    assert [row["format"] for row in report["formats"]] == list(formats.FORMATS)
    for row in report["formats"]:
        assert row["format"] in printed
        assert row["milliseconds"] > 0
        if row["format"] != "onnx-int8":
            assert row["max_difference"] < 1e-4
            assert row["agreement"] == 1
    onnx = next(row for row in report["formats"] if row["format"] == "onnx")
    assert onnx["bytes"] == (folder / "mnist_cnn_model.onnx").stat().st_size
    assert "never load one that you did not write" in printed


@pytest.mark.parametrize("name", ["my_model.keras", "mnist_cnn_model.h5"])
def test_keras_gives_calibrated_probabilities_of_the_ten_digits(
    name: str, nested: Path, exported: tuple[Path, str], optdigits: Any
) -> None:
    network = keras.saving.load_model(exported[0] / name, compile=False)
    images = optdigits[0][:200]
    reader = Classifier.open(nested / "model.onnx")
    assert reader.logits(images).shape == (200, 11)
    assert abs(reader.card.temperature - 1) > 0.05  # or the next line would prove less
    got = network.predict(scaled(images), verbose=0)
    np.testing.assert_allclose(got, reader.probabilities(images), atol=1e-5)


@pytest.mark.parametrize("suffix", [".keras", ".h5", ".tflite", ".onnx"])
def test_files_are_measured_as_the_model_is(
    suffix: str, nested: Path, exported: tuple[Path, str]
) -> None:
    stem = "my_model" if suffix == ".keras" else "mnist_cnn_model"
    expected = evaluate(nested / "model.onnx", "optdigits")
    got = evaluate(exported[0] / (stem + suffix), "optdigits")
    np.testing.assert_array_equal(got.confusion, expected.confusion)
    assert got.loss == pytest.approx(expected.loss, abs=1e-5)


def test_eight_bits_are_read_as_every_model_is(nested: Path, exported: tuple[Path, str]) -> None:
    path = exported[0] / "mnist_cnn_model-int8.onnx"
    exact = Classifier.open(nested / "model.onnx")
    assert Classifier.open(path).card == exact.card
    images = load("optdigits").train.images[:300]
    difference = np.abs(Classifier.open(path).logits(images) - exact.logits(images)).max()
    assert 0 < difference < 2
    assert path.stat().st_size < (exported[0] / "mnist_cnn_model.onnx").stat().st_size
    done = subprocess.run(
        [sys.executable, "-m", "digitreader", "read", "examples/postcode.png", "--model", path],
        cwd=Path(__file__).parent.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_onnx_gives_probabilities_besides_logits(nested: Path, exported: tuple[Path, str]) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(exported[0] / "mnist_cnn_model.onnx")
    images = load("optdigits").train.images[:100]
    (got,) = session.run(["probabilities"], {"glyphs": images})
    expected = Classifier.open(nested / "model.onnx").probabilities(images)
    np.testing.assert_allclose(got, expected, atol=1e-6)


@pytest.mark.usefixtures("read_here")
def test_views_are_exported_though_they_are_not_in_the_kept_network(
    nested: Path, tmp_path: Path, optdigits: Any
) -> None:
    run = tmp_path / "viewed"
    shutil.copytree(nested / "member-0", run)
    network = networks.shifted(keras.saving.load_model(run / "best.keras"), 1)
    card = Classifier.open(nested / "model.onnx").card
    trained = {**card.trained, "recipe": {**card.trained["recipe"], "shifts": 1}}
    export.write_onnx(network, run / "model.onnx", replace(card, trained=trained))
    assert run_command(["export", str(run), "--format", "json"]) == 0
    text = (run / "exports" / "viewed.json").read_text()
    got = keras.models.model_from_json(text)
    got.load_weights(run / "exports" / "viewed.weights.h5")
    images = optdigits[0][:50]
    expected = Classifier.open(run / "model.onnx").probabilities(images)
    np.testing.assert_allclose(got.predict(scaled(images), verbose=0), expected, atol=1e-5)


def test_an_exported_file_is_exported_again(exported: tuple[Path, str], tmp_path: Path) -> None:
    """Its rows lack what is no digit, and what is made of it must lack the same."""
    options = ["--format", "onnx", "-o", str(tmp_path)]
    assert run_command(["export", str(exported[0] / "my_model.keras"), *options]) == 0
    noise = np.random.default_rng(0).integers(0, 256, (200, 28, 28), np.uint8)
    once, twice = (
        Classifier.open(path).probabilities(noise)
        for path in (exported[0] / "mnist_cnn_model.onnx", tmp_path / "my_model.onnx")
    )
    np.testing.assert_allclose(twice, once, atol=1e-5)
    assert once.sum(axis=1).min() < 0.9


def test_every_format_has_a_runtime_and_a_name_in_every_preset() -> None:
    assert set(runtimes.RUNTIMES) == set(formats.FORMATS)
    assert all(set(names) == set(formats.FORMATS) for names in formats.PRESETS.values())


def test_every_format_and_its_files_are_documented() -> None:
    page = (Path(__file__).parent.parent / "docs" / "model-files.md").read_text(encoding="utf-8")
    rows = {row.split("`")[1]: row for row in page.splitlines() if row.startswith("| `")}
    assert list(rows) == list(formats.FORMATS)
    for name, form in formats.FORMATS.items():
        for stem in ("NAME", formats.PRESETS["kaggle"][name]):
            assert all(stem + suffix in rows[name] for suffix in form.suffixes)
        assert f"{form.agreement:.0%}".replace("100%", "all") in rows[name]


def test_a_run_on_one_s_own_data_is_compared_on_that(
    nested: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images = load("optdigits").train.images[:4]
    own = tmp_path / "own.npz"
    np.savez(own, X=images, y=list("0123"))
    dataset, compared, examples = model_files._images(f"npz:{own}", None)
    assert dataset == f"npz:{own}"
    np.testing.assert_array_equal(compared, images)
    np.testing.assert_array_equal(examples, images)
    assert model_files._images("npz:gone.npz", tmp_path)[0] in {"mnist", "optdigits"}
    assert "gone.npz: not an npz file" in caplog.text
    model = onnx.load(nested / "model.onnx")
    learnt = {"dataset": "npz:gone.npz", "start_from": "runs/x", "replay": f"npz:{own}"}
    card = ModelCard("learnt", tuple("0123456789"), 1.0, 0.7, trained={"recipe": learnt})
    onnx.helper.set_model_props(model, {"digitreader": json.dumps(card.as_dict())})
    onnx.save(model, tmp_path / "model.onnx")
    shutil.copy(nested / "best.keras", tmp_path)
    assert model_files.open_original(tmp_path).dataset == f"npz:{own}"  # it is to know it still


# --- files of Keras 2 -------------------------------------------------------------------------


def test_a_file_of_keras_2_is_measured_by_the_probabilities_it_gives() -> None:
    said = predict(KERAS_2, "optdigits")
    np.testing.assert_allclose(said.probabilities, numpy_forward(said.split.images), atol=1e-5)
    assert said.scores.accuracy > 0.85


def test_a_file_of_keras_2_becomes_a_model_that_reads(tmp_path: Path) -> None:
    options = ["--format", "onnx", "-o", str(tmp_path)]
    assert run_command(["export", str(KERAS_2), *options]) == 0
    reader = Classifier.open(tmp_path / "keras_2.onnx")
    images = load("optdigits").test.images  # type: ignore[union-attr]  # it has test images
    np.testing.assert_allclose(reader.probabilities(images), numpy_forward(images), atol=1e-5)


# --- what is not the model --------------------------------------------------------------------


class _Ends:
    """Ends the process in which it is unpickled."""

    def __reduce__(self) -> Any:
        return os._exit, (3,)


def test_a_file_that_differs_is_not_kept_and_the_others_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def wrong(model: formats.Finished, path: Path) -> None:
        copy = keras.models.clone_model(model.probabilities)
        copy.set_weights([weights + 0.1 for weights in model.probabilities.get_weights()])
        copy.save(path)

    def broken(model: formats.Finished, path: Path) -> None:
        path.write_text("half a file", encoding="utf-8")
        raise OSError("the disk is full\nand more")

    def deadly(model: formats.Finished, path: Path) -> None:
        path.write_bytes(pickle.dumps(_Ends()))

    for name, write in (("keras", wrong), ("json", broken), ("pkl", deadly)):
        monkeypatch.setitem(formats.FORMATS, name, replace(formats.FORMATS[name], write=write))
    chosen = [part for name in ("keras", "json", "pkl", "h5") for part in ("--format", name)]
    assert run_command(["export", str(KERAS_2), *chosen, "-o", str(tmp_path)]) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"keras_2.h5", "exports.json"}
    lines = capsys.readouterr().err.splitlines()
    assert "keras: it does not do what the model does" in lines[0]
    assert lines[1:] == [
        "Error: json: it cannot be written: the disk is full",
        "Error: pkl: it cannot be read back: it ended with 3",
    ]
    kinds = json.loads((tmp_path / "exports.json").read_text())["formats"]
    assert ["error" in kind for kind in kinds] == [True, True, True, False]


def test_a_process_that_has_gone_before_it_is_asked_is_told(tmp_path: Path) -> None:
    with runtimes._process(tmp_path / "errors") as process:
        process.kill()
        told = f"it ended with {process.wait()}"
        assert runtimes._answer(process, ["onnx"], tmp_path / "errors") == told


def test_a_file_that_its_program_cannot_read_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = replace(
        formats.FORMATS["pkl"], write=lambda model, path: path.write_bytes(pickle.dumps("no model"))
    )
    monkeypatch.setitem(formats.FORMATS, "pkl", form)
    original = model_files.open_original(KERAS_2)
    (result,) = model_files.export(original, ["pkl"], tmp_path)
    assert isinstance(result, model_files.Failure)
    assert "'str' object has no attribute 'predict'" in result.error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "got",
    [
        np.full((4, 3), 1 / 3, np.float32),
        np.eye(4, 3, dtype=np.float32) * np.nan,
        np.eye(4, 2, dtype=np.float32),
    ],
    ids=["others", "nan", "fewer"],
)
def test_probabilities_that_differ_are_told(got: Any) -> None:
    expected = np.eye(4, 3, dtype=np.float32)
    form = formats.FORMATS["onnx"]
    assert model_files.compare(expected, expected, form) == (0, 1)
    with pytest.raises(ModelError):
        model_files.compare(expected, got, form)


def test_an_export_does_not_take_its_model_s_place(tmp_path: Path) -> None:
    original = model_files.open_original(KERAS_2)
    before = KERAS_2.read_bytes()
    with pytest.raises(UsageError, match="choose another folder"):
        list(model_files.export(original, ["h5"], KERAS_2.parent))
    assert KERAS_2.read_bytes() == before
    run = replace(original, path=tmp_path / "best")  # and best.keras is what it is exported from
    run.path.mkdir()
    with pytest.raises(UsageError, match=r"best\.keras"):
        list(model_files.export(run, ["keras"], run.path))


def test_what_cannot_be_exported_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model\.onnx"):
        model_files.open_original(tmp_path)
    with pytest.raises(UsageError, match="a run's folder"):
        model_files.open_original(tmp_path / "model.pkl")
    networks.build("mlp", 7).save(tmp_path / "seven.keras")
    with pytest.raises(ModelError, match="7 classes"):
        model_files.open_original(tmp_path / "seven.keras")


@pytest.mark.parametrize("suffix", [".h5", ".tflite"])
def test_a_broken_file_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / ("broken" + suffix)
    with pytest.raises(ModelError, match="there is no model file"):
        evaluate(path, "optdigits")
    path.write_bytes(b"no model")
    with pytest.raises(ModelError, match="not a readable"):
        evaluate(path, "optdigits")


def test_no_command_opens_a_pickle(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(_Touches(str(tmp_path / "ran"))))
    for command in (["evaluate", "--dataset", "optdigits", "--model"], ["export"]):
        assert run_command([*command, str(tmp_path / "model.pkl")]) == 2
    assert not (tmp_path / "ran").exists()


class _Touches:
    """Leaves a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return open, (self.path, "w")


def test_probabilities_are_told_from_logits() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20, 10)).astype(np.float32)
    assert not runtimes.are_probabilities(logits)
    assert not runtimes.are_probabilities(np.abs(logits) + 1)
    assert runtimes.are_probabilities(softmax(logits))
    assert runtimes.are_probabilities(softmax(logits)[:, :9])  # what is no class is missing


def test_openvino_is_imported_without_its_statistics(tmp_path: Path) -> None:
    code = "from digitreader.training.runtimes import import_openvino; import_openvino().Core()"
    home = {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=os.environ | home, check=True)
    assert list(tmp_path.rglob("*")) == []
