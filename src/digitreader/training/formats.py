"""Every form in which a trained network can be handed on, by name, and how it is written.

All but ONNX take float32 [N, 28, 28, 1] in 0–1, ink bright, and give probabilities, [N, K]; ONNX
takes uint8 [N, 28, 28] and gives logits besides. The temperature that calibrates them is part of
the network, and where it knows what is no digit, that share is what a row lacks to one.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from digitreader.card import ModelCard
from digitreader.training.runtimes import import_openvino

if TYPE_CHECKING:
    import keras
    import onnx

TOLERANCE = 1e-3  # of a probability; float32 sums in another order differ by some 1e-6
SMALLEST = 1e-30  # probability that has a logarithm in float32


@dataclass(frozen=True, eq=False)
class Finished:
    """A network as it is handed on: what gives logits, what gives probabilities, and its card.

    `logits` and `probabilities` take float32 [N, 28, 28, 1] in 0–1; `examples` are uint8
    [M, 28, 28] from training, to see what values its layers take.
    """

    logits: keras.Model
    probabilities: keras.Model
    card: ModelCard
    examples: NDArray[np.uint8]


@dataclass(frozen=True)
class Format:
    """A form of model file: its writer, its files' suffixes, and when it counts as the same.

    The first suffix is that of the file, or folder, that its runtime opens.
    """

    write: Callable[[Finished, Path], object]
    suffixes: tuple[str, ...]
    about: str
    tolerance: float = TOLERANCE  # largest difference of a probability
    agreement: float = 1.0  # least share of images given the same label
    caution: str = ""


def finished(
    network: keras.Model, card: ModelCard, examples: NDArray[np.uint8], *, has_softmax: bool
) -> Finished:
    """Give a network that ends in logits, or in a softmax, both ends."""
    import keras

    outputs = network.outputs[0]  # [N, K or K + 1]
    if has_softmax:
        logits, shares = _logarithm(outputs), outputs
    else:
        logits, shares = outputs, _calibrated(outputs, card.temperature)
    if rest := outputs.shape[1] - len(card.labels):
        shares = _without_last(shares, rest)
    gives_logits, gives_shares = (
        keras.Model(network.inputs[0], end, name=network.name) for end in (logits, shares)
    )
    return Finished(gives_logits, gives_shares, card, examples)


def _calibrated(logits: Any, temperature: float) -> Any:
    from keras import layers

    scaled = layers.Rescaling(1 / temperature, name="calibration")(logits)
    return layers.Softmax(name="probabilities")(scaled)


def _without_last(columns: Any, rest: int) -> Any:
    """Leave the last columns away, [N, K + rest] → [N, K], by layers that every form can hold."""
    from keras import layers

    column = layers.Reshape((columns.shape[1], 1), name="columns")(columns)  # [N, K + rest, 1]
    return layers.Flatten(name="labels")(layers.Cropping1D((0, rest), name="cropped")(column))


def _logarithm(probabilities: Any) -> Any:
    """Logits whose softmax is these, [N, K], and what they lack to one: [N, K + 1]."""
    from keras import ops

    rest = 1 - ops.sum(probabilities, axis=1, keepdims=True)  # [N, 1]
    every = ops.concatenate([probabilities, rest], axis=1)
    return ops.log(ops.maximum(every, SMALLEST))


# ---------------------------------------------------------------- writers


def _write_keras(model: Finished, path: Path) -> None:
    model.probabilities.save(path)


def _write_h5(model: Finished, path: Path) -> None:
    """Whole, in the form before .keras: it keeps weights by name, so all must differ."""
    import keras

    number = count()

    def renamed(layer: keras.Layer) -> keras.Layer:
        return type(layer).from_config(
            {**layer.get_config(), "name": f"{layer.name}_{next(number)}"}
        )

    copy = keras.models.clone_model(model.probabilities, clone_function=renamed, recursive=True)
    copy.set_weights(model.probabilities.get_weights())
    copy.save(path)


def _write_json(model: Finished, path: Path) -> None:
    path.write_text(model.probabilities.to_json(), encoding="utf-8")
    model.probabilities.save_weights(path.with_suffix(".weights.h5"))


def _write_pickle(model: Finished, path: Path) -> None:
    path.write_bytes(pickle.dumps(model.probabilities))


def _export(model: Finished, path: Path, kind: str) -> None:
    model.probabilities.export(str(path), format=kind, verbose=False)


def _write_openvino(model: Finished, path: Path) -> None:
    """By way of a SavedModel: OpenVINO's own converter reports its use to its makers."""
    openvino = import_openvino()
    with TemporaryDirectory(dir=path.parent) as folder:
        _export(model, Path(folder), "tf_saved_model")
        openvino.save_model(openvino.Core().read_model(folder), path, compress_to_fp16=False)


def _write_onnx(model: Finished, path: Path) -> None:
    """As `digitreader train` does, with calibrated probabilities beside the logits."""
    import onnx

    from digitreader.training import export

    export.write_onnx(model.logits, path, model.card)
    whole = onnx.load(path)
    _add_probabilities(whole.graph, model.card)
    onnx.checker.check_model(whole, full_check=True)
    onnx.save(whole, path)


def _add_probabilities(graph: onnx.GraphProto, card: ModelCard) -> None:
    """Give a graph with logits, [N, K or K + 1], another output: probabilities, [N, K]."""
    from onnx import TensorProto, helper

    classes = len(card.labels)
    graph.initializer.extend(
        helper.make_tensor(f"calibration/{name}", kind, shape, [value])
        for name, kind, shape, value in (
            ("temperature", TensorProto.FLOAT, [], card.temperature),
            ("first", TensorProto.INT64, [1], 0),
            ("classes", TensorProto.INT64, [1], classes),
            ("axis", TensorProto.INT64, [1], 1),
        )
    )
    steps = (
        ("Div", ("logits", "calibration/temperature"), "calibration/logits"),
        ("Softmax", ("calibration/logits",), "calibration/shares"),
        ("Slice", ("calibration/shares", "calibration/first", "calibration/classes",
                   "calibration/axis"), "probabilities"),
    )  # fmt: skip
    graph.node.extend(helper.make_node(kind, given, [made], made) for kind, given, made in steps)
    shape = [None, classes]
    graph.output.append(helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, shape))


def _write_int8(model: Finished, path: Path) -> None:
    """ONNX whose convolutions and dense layers compute with 8 bits; the examples set its ranges."""
    from digitreader.training import eight_bits

    with TemporaryDirectory(dir=path.parent) as folder:
        exact = Path(folder) / "exact.onnx"
        _write_onnx(model, exact)
        eight_bits.write(
            exact, path, np.array_split(model.examples, 1 + len(model.examples) // 100)
        )


FORMATS: dict[str, Format] = {
    "keras": Format(_write_keras, (".keras",), "Keras 3, whole"),
    "h5": Format(_write_h5, (".h5",), "Keras 3, whole, in its older form"),
    "json": Format(_write_json, (".json", ".weights.h5"), "Keras 3, layers and weights apart"),
    "pkl": Format(
        _write_pickle,
        (".pkl",),
        "Keras 3, pickled",
        caution="a pickle runs code when it is loaded: never load one that you did not write",
    ),
    "savedmodel": Format(
        partial(_export, kind="tf_saved_model"), ("_saved_model",), "a folder, for TensorFlow"
    ),
    "tflite": Format(partial(_export, kind="litert"), (".tflite",), "LiteRT, for small devices"),
    "onnx": Format(_write_onnx, (".onnx",), "ONNX Runtime, and digitreader read --model"),
    "onnx-int8": Format(
        _write_int8,
        ("-int8.onnx",),
        "ONNX that computes with 8 bits; 99% of labels must stay",
        tolerance=1.0,
        agreement=0.99,
    ),
    "openvino": Format(_write_openvino, (".xml", ".bin"), "OpenVINO, for Intel's processors"),
}
# What the files are called before their suffix, by who knows them by those names.
PRESETS: dict[str, dict[str, str]] = {
    "kaggle": {**dict.fromkeys(FORMATS, "mnist_cnn_model"), "keras": "my_model"},
}
