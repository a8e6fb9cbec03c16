"""Model files, each read by its own runtime, as its users would; in a process of its own, too.

    classify = RUNTIMES["tflite"](Path("digits.tflite"))
    outputs = classify(images)                  # uint8 [N, 28, 28], ink bright → float32 [N, K]
    with afresh() as read:
        outputs, milliseconds = read("tflite", Path("digits.tflite"), images)

Keras's files, SavedModel, LiteRT and OpenVINO are fed float32 [N, 28, 28, 1] in 0–1, ONNX uint8
[N, 28, 28]. No command reads a pickle: `afresh` does, of one that was just written.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digitreader.errors import ModelError, first_line, needs_extra
from digitreader.training import keras_files
from digitreader.training.backend import greetings_silenced
from digitreader.training.datasets import scaled

BATCH = 250  # images a call, whichever runtime it is
BEFORE_WHY = ("Exception encountered: ", ":\n\n")  # what Keras says before an error's reason
TIMED = 5  # runs at most, or as many as a second holds; the fastest counts

Images = NDArray[np.uint8]
Outputs = NDArray[np.float32]
Classify = Callable[[Images], Outputs]
ReadAfresh = Callable[[str, Path, Images], tuple[Outputs, float]]


def are_probabilities(outputs: Outputs) -> bool:
    """Whether outputs, [N, K], are probabilities: none below 0, no row's sum above 1.

    A row may lack what is none of the classes. Anything else is taken for logits.
    """
    return bool(outputs.min() >= 0 and outputs.sum(axis=1).max() <= 1 + 1e-4)


@contextmanager
def afresh() -> Iterator[ReadAfresh]:
    """Give what reads a file in a new process: its outputs, and milliseconds for those images.

    Files of one program share its process, for TensorFlow takes seconds to import: reading all
    nine forms of a small model took 49 s of processor time in nine processes, 20 in four (one run
    each). Where a file brings a process down it alone is to blame, and the next is read in
    another. What is given raises ModelError where the program cannot read or run a file.
    """
    started: dict[str, subprocess.Popen[str]] = {}
    with ExitStack() as running:
        folder = Path(running.enter_context(TemporaryDirectory()))
        given, got = folder / "images.npy", folder / "outputs.npz"

        def read(name: str, path: Path, images: Images) -> tuple[Outputs, float]:
            np.save(given, images)
            program = next(program for program, names in PROGRAMS.items() if name in names)
            errors = folder / program
            if program not in started or started[program].poll() is not None:
                started[program] = running.enter_context(_process(errors))
            said = _answer(started[program], [name, str(path), str(given), str(got)], errors)
            if said:
                raise ModelError(f"it cannot be read back: {said}")
            with np.load(got) as result:
                return result["outputs"], float(result["milliseconds"])

        yield read


def _process(errors: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", __name__]
    with errors.open("wb") as log:
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        )


def _answer(process: subprocess.Popen[str], asked: list[str], errors: Path) -> str:
    """Ask a process to read a file; return what went wrong, or nothing."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        print(json.dumps(asked), file=process.stdin, flush=True)
    except BrokenPipeError:  # it has ended, and gives no answer
        with suppress(BrokenPipeError):  # nor can what was asked be flushed later
            process.stdin.close()
    if answer := process.stdout.readline():
        return str(json.loads(answer))
    code = process.wait()
    last = errors.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
    return ": ".join([f"it ended with {code}", *last])


def main() -> None:
    """For each [format, file, images.npy, outputs.npz] that is asked for, say what went wrong."""
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # what a library prints is no answer
        for line in sys.stdin:
            print(json.dumps(_read(*json.loads(line))), file=answers, flush=True)


def _read(name: str, path: str, given: str, got: str) -> str:
    images = np.load(given)
    try:
        classify = RUNTIMES[name](Path(path))
        outputs = classify(images)  # the first run may compile
    except Exception as error:  # each runtime raises its own family
        return f"{type(error).__name__}: {first_line(error)}"
    seconds: list[float] = []
    while len(seconds) < TIMED and sum(seconds) < 1:
        started = time.perf_counter()
        classify(images)
        seconds.append(time.perf_counter() - started)
    np.savez(got, outputs=outputs, milliseconds=1000 * min(seconds))
    return ""


def load_network(path: Path) -> Any:
    """Load a Keras network that takes 28×28 images from a .keras or .h5 file, also of Keras 2.

    Raises:
        ModelError: there is no such file, or it does not hold such a network, or holds code.
    """
    network = load_any(path)
    given, got = network.input_shape, network.output_shape
    if given != (None, 28, 28, 1) or not isinstance(got, tuple) or len(got) != 2:
        raise ModelError(
            f"{path} takes {given} and gives {got}; expected (None, 28, 28, 1) and (None, classes)"
        )
    return network


def load_any(path: Path) -> Any:
    """Load a Keras network from a .keras or .h5 file, whatever it takes and gives.

    Raises:
        ModelError: there is no such file, or it holds no network of one input, or holds code.
    """
    with needs_extra(f"a {path.suffix} model", "train"):
        keras_files.check(path)
        with greetings_silenced():
            import keras
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters is raised
            network = keras.saving.load_model(path, compile=False, safe_mode=True)
        _ = network.input_shape, network.output_shape  # or it raises
    except Exception as error:  # Keras raises whatever the file made it stumble over
        why = str(error)
        for before in BEFORE_WHY:
            why = why.rpartition(before)[2]
        raise ModelError(
            f"{path} is not a readable {path.suffix} model: {first_line(why)}"
        ) from error
    return network


def _keras(path: Path) -> Classify:
    return _predicting(load_network(path))


def _json(path: Path) -> Classify:
    """The network from .json, its weights from the .weights.h5 beside it."""
    import keras

    network = keras.models.model_from_json(path.read_text(encoding="utf-8"))
    network.load_weights(path.with_suffix(".weights.h5"))
    return _predicting(network)


def _pickle(path: Path) -> Classify:
    return _predicting(pickle.loads(path.read_bytes()))


def _predicting(network: Any) -> Classify:
    def classify(images: Images) -> Outputs:
        return np.asarray(network.predict(scaled(images), batch_size=BATCH, verbose=0), np.float32)

    return classify


def _saved_model(path: Path) -> Classify:
    import tensorflow

    loaded = tensorflow.saved_model.load(str(path))
    return _in_batches(lambda images: loaded.serve(tensorflow.constant(scaled(images))).numpy())


def _litert(path: Path) -> Classify:
    with needs_extra("a .tflite model", "export"):
        from ai_edge_litert.interpreter import Interpreter
    if not path.is_file():
        raise ModelError(f"there is no model file {path}; expected a .tflite file")
    try:
        interpreter = Interpreter(str(path))
    except ValueError as error:
        raise ModelError(f"{path} is not a readable .tflite model: {error}") from error
    given, got = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    if list(given["shape"][1:]) != [28, 28, 1]:
        raise ModelError(f"{path} takes {list(given['shape'])}; expected [N, 28, 28, 1]")

    def run(images: Images) -> Outputs:
        interpreter.resize_tensor_input(given["index"], (len(images), 28, 28, 1))
        interpreter.allocate_tensors()
        interpreter.set_tensor(given["index"], scaled(images))
        interpreter.invoke()
        outputs: Outputs = interpreter.get_tensor(got["index"])
        return outputs

    return _in_batches(run)


def _onnx(path: Path) -> Classify:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return _in_batches(lambda images: session.run(["probabilities"], {"glyphs": images})[0])


def _openvino(path: Path) -> Classify:
    # A processor that has bfloat16 would compute in it: probabilities 0.02 apart.
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    model = import_openvino().Core().compile_model(path, "CPU", exact)
    return _in_batches(lambda images: model(scaled(images))[0])


def import_openvino() -> Any:
    """Import OpenVINO without the module by which it sends statistics home when it is imported.

    Raises:
        MissingExtraError: it is not installed.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # is as absent
    with needs_extra("OpenVINO", "export"):
        import openvino
    return openvino


def _in_batches(run: Classify) -> Classify:
    def classify(images: Images) -> Outputs:
        starts = range(0, len(images), BATCH)
        return np.concatenate([run(images[start : start + BATCH]) for start in starts])

    return classify


PROGRAMS: dict[str, dict[str, Callable[[Path], Classify]]] = {
    "tensorflow": {
        "keras": _keras, "h5": _keras, "json": _json, "pkl": _pickle, "savedmodel": _saved_model,
    },
    "litert": {"tflite": _litert},
    "onnxruntime": {"onnx": _onnx, "onnx-int8": _onnx},
    "openvino": {"openvino": _openvino},
}  # fmt: skip
RUNTIMES = {name: read for names in PROGRAMS.values() for name, read in names.items()}

if __name__ == "__main__":
    main()
