"""Networks are as large as they say, the same in ONNX, and one's own are trained like the rest."""

from __future__ import annotations

import sys
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

keras = pytest.importorskip("keras")
pytest.importorskip("tensorflow")

from digitreader.card import ModelCard  # noqa: E402
from digitreader.classifier import Classifier  # noqa: E402
from digitreader.doors.cli import run  # noqa: E402
from digitreader.errors import ModelError, UsageError  # noqa: E402
from digitreader.training import export, networks  # noqa: E402
from digitreader.training.recipes import Recipe  # noqa: E402
from digitreader.training.train import train  # noqa: E402

LABELS = tuple("0123456789")


@pytest.mark.parametrize("name", list(networks.NETWORKS))
def test_every_network_gives_logits_for_any_number_of_classes(name: str) -> None:
    network = networks.build(name, 47)
    assert network.output_shape == (None, 47)
    assert network(np.zeros((2, 28, 28, 1), np.float32)).dtype == "float32"


def test_parameters_by_hand() -> None:
    lenet = (25 + 1) * 6 + (25 * 6 + 1) * 16 + 401 * 120 + 121 * 84 + 85 * 10
    assert networks.build("lenet-5", 10).count_params() == lenet
    mlp = 785 * 512 + 513 * 256 + 257 * 10
    assert networks.build("mlp", 10).count_params() == mlp


def test_multiplications_by_hand() -> None:
    lenet = 28 * 28 * 25 * 6 + 10 * 10 * 25 * 6 * 16 + 400 * 120 + 120 * 84 + 84 * 10
    network = networks.build("lenet-5", 10)
    assert networks.multiply_adds(network) == lenet
    assert networks.multiply_adds(networks.averaged([network])) == lenet
    assert networks.multiply_adds(networks.shifted(network, 1)) == 9 * lenet


def test_a_shifted_network_is_the_mean_over_moved_images() -> None:
    keras.utils.set_random_seed(0)
    network = networks.build("lenet-5", 10)
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28), np.uint8)
    images[:, :2] = images[:, -2:] = images[:, :, :2] = images[:, :, -2:] = 0  # nothing rolls over
    moved = [np.roll(images, (y, x), (1, 2)) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    expected = np.mean([export.logits_of(network, views) for views in moved], axis=0)
    got = export.logits_of(networks.shifted(network, 1), images)
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert networks.shifted(network, 0) is network


def test_small_networks_are_as_small_as_they_say() -> None:
    assert networks.build("tiny", 11).count_params() <= 20_000
    assert networks.build("nano", 11).count_params() <= 2_000


def test_an_unknown_network_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="lenet-5"):
        networks.build("lenet5", 10)


@pytest.mark.parametrize("name", list(networks.NETWORKS))
def test_every_network_is_the_same_in_onnx(name: str, tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    network = networks.build(name, 10)
    export.write_onnx(network, tmp_path / "m.onnx", ModelCard("m", LABELS, 1.0, 0.5))
    images = np.random.default_rng(0).integers(0, 256, (50, 28, 28), dtype=np.uint8)
    parity = export.check_parity(network, tmp_path / "m.onnx", images)
    assert parity.n == 50
    assert parity.max_difference < 1e-4


def test_an_export_that_differs_is_not_called_done(tmp_path: Path) -> None:
    network = networks.build("mlp", 10)
    export.write_onnx(network, tmp_path / "m.onnx", ModelCard("m", LABELS, 1.0, 0.5))
    network.layers[-1].bias.assign(np.arange(10) / 100)
    with pytest.raises(ModelError, match="does not do what the network does"):
        export.check_parity(network, tmp_path / "m.onnx", np.zeros((3, 28, 28), np.uint8))


@pytest.mark.slow
def test_another_backend_has_its_network_written_by_tensorflow(tmp_path: Path) -> None:
    """Half a minute on a busy machine: `python -m pytest -m slow tests/test_networks.py`."""
    network = networks.shifted(networks.build("mlp", 10), 1)
    card = ModelCard("m", LABELS, 1.5, 0.5, trained={"seed": 3})
    export.write_onnx(network, tmp_path / "here.onnx", card)
    with patch.object(keras.backend, "backend", return_value="jax"):
        export.write_onnx(network, tmp_path / "there.onnx", card)
    here, there = (Classifier.open(tmp_path / name) for name in ("here.onnx", "there.onnx"))
    images = np.random.default_rng(0).integers(0, 256, (50, 28, 28), dtype=np.uint8)
    assert there.card == card
    np.testing.assert_array_equal(here.logits(images), there.logits(images))


def test_a_mixed_precision_network_is_exported_in_float32(tmp_path: Path) -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        mixed = networks.build("default", 10)
    finally:
        keras.config.set_dtype_policy("float32")
    plain = export.in_float32(mixed)
    assert {layer.compute_dtype for layer in plain.layers} == {"float32"}
    for before, after in zip(mixed.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_the_resnet_has_the_size_of_its_paper() -> None:
    """0.27 million parameters (He et al. 2016, table 6)."""
    assert round(networks.build("resnet-20", 10).count_params() / 1e6, 2) == 0.27


# --- one's own --------------------------------------------------------------------------------

MODULE = """
from keras import layers

def wide(images):
    x = layers.Conv2D(8, 5, strides=2, activation="relu")(images)
    return layers.GlobalMaxPooling2D()(x)

def maps(images):
    return layers.Conv2D(8, 5)(images)

def helped(images):
    return flattened(images)

def flattened(images):
    return layers.Dense(-1)(images)

narrow = 3
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module in the folder that we are in."""
    (tmp_path / "my_networks.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    monkeypatch.delitem(sys.modules, "my_networks", raising=False)
    return "my_networks"


def test_a_network_of_one_s_own_is_trained_and_read_with(own: str, tmp_path: Path) -> None:
    recipe = Recipe(dataset="optdigits", network=f"{own}:wide", epochs=1, batch_size=64)
    train(recipe, tmp_path / "run")
    network = keras.saving.load_model(tmp_path / "run" / "best.keras")
    assert network.count_params() == 26 * 8 + 9 * 10
    glyphs = np.zeros((3, 28, 28), np.uint8)
    assert Classifier.open(tmp_path / "run" / "model.onnx").logits(glyphs).shape == (3, 10)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("maps", "expected features"),
        ("narrow", "expected a function"),
        ("none", "none"),
        ("helped", r"helped fails: .*-1.* \(my_networks\.py, line 15\)$"),
    ],
)
def test_what_is_no_network_is_refused(own: str, function: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        networks.build(f"{own}:{function}", 10)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def wide(images) return images", r"\(my_networks\.py, line 1\)$"),
        ("import no_such_library", r"no_such_library' \(my_networks\.py, line 1\)$"),
        ("\nsides = 28 / 0", r"division by zero \(my_networks\.py, line 2\)$"),
    ],
)
def test_a_module_that_fails_is_told_in_a_line(own: str, text: str, said: str) -> None:
    Path(f"{own}.py").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=said):
        networks.build(f"{own}:wide", 10)


def test_a_module_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match="no_such_module"):
        networks.build("no_such_module:wide", 10)


# --- the list ---------------------------------------------------------------------------------


def test_the_list_shows_every_network(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["networks"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:-1]] == list(networks.NETWORKS)


def test_what_was_measured_is_of_the_networks_as_they_are() -> None:
    for name, row in networks.measured()["networks"].items():
        network = networks.build(name, 10)
        assert row["parameters"] == network.count_params()
        assert row["multiply_adds"] == networks.multiply_adds(network)
