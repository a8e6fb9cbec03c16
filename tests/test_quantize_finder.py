"""A finder in 8 bits: it learns to round as its file does, and finds what it found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

import onnxruntime  # noqa: E402

from digitreader.cells import CLASSES, NOTHING  # noqa: E402
from digitreader.doors.cli import run as digitreader  # noqa: E402
from digitreader.errors import ExitCode, ModelError, UsageError  # noqa: E402
from digitreader.finder import Finder  # noqa: E402
from digitreader.training import eight_bits, export, page_network, rounding  # noqa: E402
from digitreader.training import quantize_finder as quantizing  # noqa: E402

Ink = NDArray[np.uint8]  # [N, H, W, 2]


@pytest.fixture(scope="module")
def network() -> Any:
    """What a finder is made of, each once, with normalisations that have seen something.

    In a deeper one a value that lies between two steps, and is rounded otherwise, changes all
    that comes after it a little.
    """
    keras.utils.set_random_seed(1)
    layers = keras.layers
    given = keras.Input((None, None, 2), name="ink")
    fine = x = _normalised(given, 16, strides=4)
    x = _normalised(layers.MaxPooling2D()(x), 24)
    x = layers.UpSampling2D()(layers.Conv2D(16, 1)(x))
    x = layers.Add()([x, layers.Conv2D(16, 1)(fine)])
    ends = [layers.Conv2D(CLASSES, 1)(x), layers.Conv2D(4, 1, activation="softplus")(x)]
    network = keras.Model(given, layers.Concatenate()(ends))
    rng = np.random.default_rng(1)
    for layer in network.layers:
        if isinstance(layer, layers.BatchNormalization):
            shapes = [weights.shape for weights in layer.get_weights()]
            around = zip(shapes, (1, 0, 0, 1), strict=True)
            layer.set_weights([mean + rng.uniform(-0.5, 0.5, shape) for shape, mean in around])
    return network


def _normalised(x: Any, filters: int, strides: int = 1) -> Any:
    layers = keras.layers
    x = layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization()(x))


@pytest.fixture(scope="module")
def ink() -> Ink:
    """Strokes, more or less: smooth, mostly black."""
    coarse = np.random.default_rng(2).random((12, 12, 12, 2), np.float32)
    smooth = tf.image.resize(coarse, (96, 96), method="bicubic").numpy()
    return np.asarray(np.clip(510 * (smooth - 0.5), 0, 255), np.uint8)


def shown(ink: Ink) -> NDArray[np.float32]:
    return np.asarray(ink / np.float32(255), np.float32)


def test_a_folded_network_does_what_it_did(network: Any, ink: Ink) -> None:
    folded = rounding.folded(network)
    kinds = {type(layer).__name__ for layer in folded.layers}
    assert "BatchNormalization" not in kinds
    got, expected = (net.predict(shown(ink), verbose=0) for net in (folded, network))
    np.testing.assert_allclose(got, expected, atol=1e-4)


def test_a_rounded_network_computes_as_its_file_does(
    network: Any, ink: Ink, tmp_path: Path
) -> None:
    """ONNX Runtime's own arithmetic in 8 bits is the oracle."""
    folded = rounding.folded(network)
    last = {layer.name for layer in folded.layers[-3:]}
    student = rounding.rounded(folded, last, [shown(ink)])
    exact = export.write_finder(folded, tmp_path / "exact.onnx", {})
    ranges = quantizing.by_value(rounding.ranges_of(student), exact)
    eight_bits.write(exact, tmp_path / "file.onnx", [ink], ranges)
    got = run(tmp_path / "file.onnx", ink)
    simulated, unrounded = (net.predict(shown(ink), verbose=0) for net in (student, folded))
    rounding_costs = np.abs(unrounded - simulated).mean()
    assert rounding_costs > 1e-3
    assert np.abs(got - simulated).mean() < rounding_costs / 5


def run(path: Path, ink: Ink) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    (cells,) = session.run(["cells"], {"ink": ink})
    return np.asarray(cells, np.float32)


def test_a_trained_finder_becomes_a_faster_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for size in ("BATCH", "WATCHED", "HELD"):
        monkeypatch.setattr(quantizing, size, 2)
    exact = tmp_path / "finder.keras"
    page_network.build(0.2).save(exact)
    losses: list[float] = []
    made = quantizing.quantize_finder(
        exact, tmp_path / "new" / "finder.onnx", steps=3, dataset="optdigits",
        report=lambda step, loss: losses.append(loss),
    )  # fmt: skip
    assert [path.name for path in made.path.parent.iterdir()] == ["finder.onnx"]
    assert len(losses) == 3
    assert 0 <= made.same <= 1
    graph = onnx.load(made.path).graph
    assert "Resize" in {node.op_type for node in graph.node}
    kernels = [one.data_type for one in graph.initializer if len(one.dims) == 4]
    assert kernels.count(onnx.TensorProto.INT8) == 14  # but the first, and four on the finest maps
    assert kernels.count(onnx.TensorProto.FLOAT) == 5
    cells = Finder.open(made.path).cells(np.zeros((64, 96, 2), np.uint8))
    assert cells.shape == (16, 24, CLASSES + 4)


def test_a_finder_that_gives_no_numbers_gets_no_file(network: Any, tmp_path: Path) -> None:
    broken = keras.models.clone_model(network)
    broken.set_weights([np.full_like(weights, np.nan) for weights in network.get_weights()])
    with pytest.raises(ModelError, match="does not do what the network does: nan apart"):
        export.write_finder(broken, tmp_path / "finder.onnx", {})
    assert list(tmp_path.iterdir()) == []


def test_a_finder_that_finds_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows = [(np.zeros((2, 64, 64, 2), np.uint8), None)]
    monkeypatch.setattr(quantizing, "batches", lambda *_: iter(windows))
    blind = page_network.build(0.2)
    bias = np.full(CLASSES, -100, np.float32)
    bias[NOTHING] = 100
    blind.get_layer("classes").set_weights([blind.get_layer("classes").get_weights()[0], bias])
    blind.save(tmp_path / "finder.keras")
    with pytest.raises(ModelError, match=r"finder\.keras finds nothing in 2 windows"):
        quantizing.quantize_finder(
            tmp_path / "finder.keras", tmp_path / "finder.onnx", dataset="optdigits"
        )


def test_what_is_no_finder_is_refused(network: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="steps is 0; expected 1 or more"):
        quantizing.quantize_finder(tmp_path / "finder.keras", tmp_path / "out.onnx", steps=0)
    other = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten()])
    other.save(tmp_path / "other.keras")
    with pytest.raises(ModelError, match="is no finder"):
        quantizing.quantize_finder(tmp_path / "other.keras", tmp_path / "out.onnx")
    outcome = digitreader(["quantize-finder", str(tmp_path / "other.keras"), "-o", "out.onnx"])
    assert outcome == ExitCode.MISSING


def test_a_cell_of_which_the_same_is_said_is_like() -> None:
    truth = np.random.default_rng(3).normal(size=(1, 4, 4, CLASSES + 4)).astype(np.float32)
    assert float(quantizing.unlike(truth, truth)) == pytest.approx(0, abs=1e-6)
    for channel in (3, CLASSES + 1):
        other = truth.copy()
        other[..., channel] += 1
        assert float(quantizing.unlike(truth, other)) > 0.01
