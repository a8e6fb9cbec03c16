"""From a Keras network to the one file that everything here reads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime
from keras import layers
from numpy.typing import NDArray

from digitreader.card import ModelCard
from digitreader.classifier import Classifier
from digitreader.errors import ModelError
from digitreader.training.datasets import scaled
from digitreader.writing import whole

Tensor = Any  # Keras ships no types

PARITY_TOLERANCE = 1e-3  # logits; float32 sums in another order differ by some 1e-5


@dataclass(frozen=True)
class Parity:
    """How close the exported file is to the network it came from."""

    n: int
    max_difference: float  # of any logit
    agreement: float  # share of images given the same label

    def __str__(self) -> str:
        return (
            f"ONNX against Keras on {self.n:,} images: largest difference of a logit "
            f"{self.max_difference:.1e}, same label on {100 * self.agreement:.2f}%"
        )


def in_float32(network: keras.Model) -> keras.Model:
    """Return a float32 copy of a network that was trained in mixed precision."""
    config = network.get_config()
    for layer in config["layers"]:
        layer["config"]["dtype"] = "float32"
    copy = keras.Model.from_config(config)
    copy.set_weights(network.get_weights())
    return copy


def write_onnx(network: keras.Model, path: Path, card: ModelCard) -> None:
    """Write a float32 network as ONNX: glyphs, uint8 [N, 28, 28], in; logits, [N, K], out.

    A network that ends in global pooling gives `maps` besides, [N, h, w, K]. ONNX Runtime computes
    them whether they are asked for or not, in 1–2% of the time (2–3 µs of one glyph's 130–770).
    The card travels as the file's metadata. The file appears under its name only when whole.
    Each backend of Keras has its own converter; ours is TensorFlow's, in a process of its own
    where Keras runs on another.

    Raises:
        ModelError: that process fails.
    """
    if keras.backend.backend() != "tensorflow":
        _write_in_tensorflow(network, path, card)
        return
    glyphs = keras.Input((28, 28), dtype="uint8", name="glyphs")
    # ONNX Runtime multiplies an array whose last axis is one forty times slower: reshaped after.
    images = layers.Reshape((28, 28, 1))(layers.Rescaling(1 / 255)(glyphs))
    outputs = {"logits": network(images), "maps": activation_maps(network, images)}
    outputs = {name: output for name, output in outputs.items() if output is not None}
    complete = keras.Model(glyphs, list(outputs.values()))
    complete(np.zeros((1, 28, 28), np.uint8))  # Keras exports only what has been called
    _export(complete, path, list(outputs), card.as_dict())


def _write_in_tensorflow(network: keras.Model, path: Path, card: ModelCard) -> None:
    with TemporaryDirectory() as folder:
        saved = Path(folder) / "network.keras"
        network.save(saved)
        command = [sys.executable, "-m", __name__, str(saved), str(path)]
        environment = os.environ | {"KERAS_BACKEND": "tensorflow"}
        done = subprocess.run(
            command, input=json.dumps(card.as_dict()), env=environment, check=False,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:]
        ended = ": ".join([f"the TensorFlow that writes it ended with {done.returncode}", *last])
        raise ModelError(f"{path}: {ended}")


def activation_maps(network: keras.Model, images: Tensor) -> Tensor | None:
    """How much each place of images, [N, 28, 28, 1], speaks for each class: [N, h, w, K].

    These are the last maps before global pooling, summed with the weights by which a class's
    logit sums what is pooled (class-activation maps, Zhou et al. 2016). Under average pooling
    their mean is the logit, less its bias. Under maximum pooling the gradient of a logit with
    regard to a map is the same weight, all of it at the map's maximum, so that Grad-CAM
    (Selvaraju et al. 2017), which weighs maps by their mean gradients, is the positive part of
    the same sum, over h·w. A network made of others has the mean of theirs, as its logits are,
    none of them moved. None: the network ends otherwise, and no sum over places is its logit.
    """
    inner = [layer for layer in network.layers if isinstance(layer, keras.Model)]
    if inner:
        maps = [activation_maps(member, images) for member in inner]
        if any(one is None for one in maps):
            return None
        return layers.Average()(maps) if len(maps) > 1 else maps[0]
    match [layer for layer in network.layers if not isinstance(layer, layers.Dropout)]:
        case [*_, layers.GlobalAveragePooling2D() | layers.GlobalMaxPooling2D() as pool,
              layers.Dense() as head]:  # fmt: skip
            last = keras.Model(network.inputs, pool.input)(images)  # [N, h, w, C]
            weighed = layers.Conv2D(head.units, 1, use_bias=False)  # a Dense is slower in ONNX
            maps = weighed(last)  # [N, h, w, K]
            weighed.set_weights([head.get_weights()[0][None, None]])
            return maps
    return None


def write_finder(network: keras.Model, path: Path, card: dict[str, Any]) -> Path:
    """Write a float32 page network as ONNX: ink, uint8 [N, H, W, 2], in; cells, [N, h, w, C], out.

    Sides are multiples of 16. The file appears under its name only when whole and checked.

    Raises:
        ModelError: the file does not do what the network does.
    """
    ink = keras.Input((None, None, 2), dtype="uint8", name="ink")
    enlarging = keras.models.clone_model(network, clone_function=_enlarging)
    enlarging.set_weights(network.get_weights())
    complete = keras.Model(ink, enlarging(keras.layers.Rescaling(1 / 255)(ink)))
    page = np.random.default_rng(0).integers(0, 256, (1, 96, 160, 2), np.uint8)
    expected = keras.ops.convert_to_numpy(complete(page))
    with whole(path) as draft:
        _export(complete, draft, ["cells"], card)
        content = draft.read_bytes()
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        (got,) = session.run(["cells"], {"ink": page})
        difference = float(np.abs(expected - got).max())
        if not difference <= PARITY_TOLERANCE:  # NaN fails, too
            raise ModelError(f"{path} does not do what the network does: {difference:.1e} apart")
    return path


class _Enlarged(layers.UpSampling2D):  # type: ignore[misc]
    """Enlarged in one operation of ONNX, which Keras's takes 25 for where sides are not known."""

    def call(self, inputs: Tensor) -> Tensor:
        from tensorflow import raw_ops, shape

        size = shape(inputs)[1:3] * self.size
        return raw_ops.ResizeNearestNeighbor(images=inputs, size=size, half_pixel_centers=False)


def _enlarging(layer: keras.Layer) -> keras.Layer:
    kind = _Enlarged if isinstance(layer, layers.UpSampling2D) else type(layer)
    return kind.from_config(layer.get_config())


def _export(network: keras.Model, path: Path, outputs: list[str], card: dict[str, Any]) -> None:
    """Write a network with one input, named as its Keras input is, and outputs of these names."""
    with whole(path) as draft:
        with warnings.catch_warnings():
            # Keras looks for np.object, which NumPy warns of, to mend old versions of tf2onnx.
            warnings.filterwarnings("ignore", "In the future `np.object`", FutureWarning)
            network.export(str(draft), format="onnx", verbose=False)
        model = onnx.load(str(draft))
        _rename(model.graph, model.graph.input[0].name, network.input.name)
        for output, name in zip(model.graph.output, outputs, strict=True):
            _rename(model.graph, output.name, name)
        onnx.helper.set_model_props(model, {"digitreader": json.dumps(card)})
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, str(draft))


def check_parity(network: keras.Model, path: Path, images: NDArray[np.uint8]) -> Parity:
    """Read the exported file back and compare it with the network on real images.

    Raises:
        ModelError: the two do not agree.
    """
    expected = logits_of(network, images)
    got = Classifier.open(path).logits(images)
    parity = Parity(
        len(images),
        float(np.abs(expected - got).max()),
        float((expected.argmax(1) == got.argmax(1)).mean()),
    )
    if parity.max_difference > PARITY_TOLERANCE or parity.agreement < 1:
        raise ModelError(f"{path.name} does not do what the network does; {parity}")
    return parity


def logits_of(network: keras.Model, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Run a Keras network on uint8 [N, 28, 28], ink bright: logits, float32 [N, K]."""
    logits: Any = network.predict(scaled(images), batch_size=500, verbose=0)
    return np.asarray(logits, np.float32)


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Give a value of the graph another name, wherever it is used."""
    for value in [*graph.input, *graph.output, *graph.value_info]:
        if value.name == old:
            value.name = new
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]


if __name__ == "__main__":
    write_onnx(
        keras.saving.load_model(sys.argv[1]),
        Path(sys.argv[2]),
        ModelCard.from_json(sys.stdin.read()),
    )
