"""Activation maps against gradients, and pictures in which both ink and heat can be seen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

from digitreader.card import ModelCard  # noqa: E402
from digitreader.classifier import Classifier  # noqa: E402
from digitreader.doors.cli import run  # noqa: E402
from digitreader.errors import ModelError  # noqa: E402
from digitreader.explain import GAP, ZOOM, evidence, explanation, overlay  # noqa: E402
from digitreader.training import export, networks  # noqa: E402
from digitreader.training.datasets import scaled  # noqa: E402

LABELS = tuple("0123456789")
EXAMPLES = Path(__file__).parent.parent / "examples"


def written(network: Any, folder: Path) -> Classifier:
    path = folder / f"{network.name}.onnx"
    export.write_onnx(network, path, ModelCard("m", LABELS, 1.0, 0.5))
    return Classifier.open(path)


def grad_cam(network: Any, images: NDArray[np.uint8], classes: NDArray[np.int64]) -> Any:
    """Selvaraju et al. 2017, by gradients: float32 [N, 28, 28]."""
    pooled = next(layer for layer in network.layers if "Global" in type(layer).__name__)
    both = keras.Model(network.input, [pooled.input, network.output])
    with tf.GradientTape() as tape:
        maps, logits = both(scaled(images))
        chosen = tf.gather(logits, classes, batch_dims=1)
    weights = tf.reduce_mean(tape.gradient(chosen, maps), (1, 2), keepdims=True)
    cam = tf.nn.relu(tf.reduce_sum(weights * maps, -1, keepdims=True))
    return tf.image.resize(cam, (28, 28))[..., 0].numpy()


def correlations(ours: Any, theirs: Any) -> NDArray[np.float64]:
    """Of each pair of maps; where nothing speaks for a class, both are to be zero."""
    some = theirs.max(axis=(1, 2)) > 0
    assert some.mean() > 0.5
    assert not ours[~some].any()
    pairs = zip(ours[some], theirs[some], strict=True)
    return np.array([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in pairs])


@pytest.mark.parametrize("name", ["compact", "residual"])
def test_evidence_is_what_gradients_say(name: str, optdigits: Any, tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    network = networks.build(name, 11)
    images = optdigits[0][:200]
    classes = network(scaled(images)).numpy()[:, :10].argmax(axis=1)
    ours = evidence(written(network, tmp_path), images, classes[:, None])[:, 0]
    assert correlations(ours, grad_cam(network, images, classes)).min() > 0.99


def test_a_trained_network_s_evidence_is_what_gradients_say(trained: Path, optdigits: Any) -> None:
    network = keras.saving.load_model(trained / "best.keras")
    images = optdigits[0][:200]
    ours = evidence(Classifier.open(trained / "model.onnx"), images, optdigits[1][:200, None])
    assert correlations(ours[:, 0], grad_cam(network, images, optdigits[1][:200])).min() > 0.99


def test_under_average_pooling_maps_sum_to_the_logits(optdigits: Any, tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    x = start = keras.Input((28, 28, 1))
    for layer in (
        layers.Conv2D(8, 5, strides=3, activation="relu"),
        layers.GlobalAveragePooling2D(),
        layers.Dropout(0.5),
        layers.Dense(10, bias_initializer="random_normal"),
    ):
        x = layer(x)
    network = keras.Model(start, x)
    classifier = written(network, tmp_path)
    images = optdigits[0][:300]  # more than a batch
    maps = classifier.maps(images)
    assert maps.shape == (300, 8, 8, 10)
    bias = network.layers[-1].get_weights()[1]
    np.testing.assert_allclose(maps.mean((1, 2)) + bias, classifier.logits(images), atol=1e-5)
    assert classifier.maps(images[:0]).shape == (0, 8, 8, 10)
    ours = evidence(classifier, images, optdigits[1][:300, None])[:, 0]
    assert correlations(ours, grad_cam(network, images, optdigits[1][:300])).min() > 0.99


def test_a_network_of_others_has_the_mean_of_their_maps(optdigits: Any, tmp_path: Path) -> None:
    members = [networks.build("tiny", 10), networks.build("nano", 10)]
    images = optdigits[0][:20]
    maps = [written(member, tmp_path).maps(images) for member in members]
    views = networks.shifted(members[1], 1)  # its maps are those of the image where it is
    np.testing.assert_allclose(written(views, tmp_path).maps(images), maps[1], atol=1e-4)
    ensemble = networks.averaged(members)
    np.testing.assert_allclose(
        written(ensemble, tmp_path).maps(images), np.mean(maps, axis=0), atol=1e-4
    )


def test_networks_that_end_otherwise_have_no_maps(
    optdigits: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lenet = networks.build("lenet-5", 10)
    for network in (lenet, networks.averaged([networks.build("tiny", 10), lenet])):
        classifier = written(network, tmp_path)
        assert classifier.logits(optdigits[0][:2]).shape == (2, 10)
        with pytest.raises(ModelError, match="no activation maps"):
            classifier.maps(optdigits[0][:2])
    picture, model = str(EXAMPLES / "felt_pen.png"), str(tmp_path / "ensemble.onnx")
    assert run(["read", picture, "--model", model, "--explain", str(tmp_path / "out")]) == 3
    assert capsys.readouterr().err.startswith("Error: the model 'm' has no activation maps")


def test_ink_and_heat_are_both_seen(optdigits: Any) -> None:
    glyph = optdigits[0][0]
    heat = np.tile(np.linspace(0, 1, 28, dtype=np.float32), (28, 1))
    pixels = overlay(glyph, heat)
    assert pixels.shape == (28 * ZOOM, 28 * ZOOM, 3)
    light = luminance(overlay(np.zeros_like(glyph), heat))
    assert light[0, 0] == 1  # without heat, paper
    assert (np.diff(light.mean(axis=0)) <= 1e-6).all()  # the hotter, the darker
    ink = luminance(pixels)[np.kron(glyph, np.ones((ZOOM, ZOOM))) == 255]
    assert (light.min() + 0.05) / (ink.max() + 0.05) > 3  # contrast as WCAG asks of graphics


def luminance(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Relative luminance, 0–1, as WCAG defines it: of [H, W, 3], [H, W]."""
    channels = pixels / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    brightness: NDArray[np.float64] = linear @ (0.2126, 0.7152, 0.0722)
    return brightness


def test_a_class_that_little_speaks_for_is_pale(trained: Path, optdigits: Any) -> None:
    classifier = Classifier.open(trained / "model.onnx")
    images, targets = optdigits
    probabilities = classifier.probabilities(images)
    i = int(probabilities.max(axis=1).argmax())
    order = np.argsort(-probabilities[i])
    ends = [(LABELS[c], float(probabilities[i, c])) for c in (order[0], order[-1])]
    picture = np.asarray(explanation(classifier, images[i], ends))
    side = 28 * ZOOM
    panels = [picture[GAP : GAP + side, GAP + n * (side + GAP) :][:, :side] for n in range(3)]
    heat = [int(np.ptp(panel[1:-1, 1:-1].astype(int), axis=2).sum()) for panel in panels]
    assert heat[0] == 0  # grey: as seen
    assert heat[1] > heat[2]
    assert LABELS[targets[i]] == ends[0][0]


def test_reading_explains_each_digit(trained: Path, tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "digitreader", "read", str(EXAMPLES / "postcode.png"),
        "--model", str(trained / "model.onnx"), "--explain", str(tmp_path / "why"),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    names = sorted(path.name for path in (tmp_path / "why").iterdir())
    assert [name.rpartition("-")[0] for name in names] == [f"postcode-{i}" for i in range(1, 6)]
    with Image.open(tmp_path / "why" / names[0]) as picture:
        assert picture.width == 4 * (28 * ZOOM + GAP) + GAP  # as seen, and three classes
