"""A trained model measured on a dataset, whichever form the model has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from digitreader.classifier import Classifier, softmax
from digitreader.errors import ModelError, UsageError, needs_extra
from digitreader.training.backend import greetings_silenced
from digitreader.training.datasets import Split, load
from digitreader.training.metrics import Scores, score


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model says of images: probabilities, float32 [N, K], of the dataset's labels."""

    split: Split
    probabilities: NDArray[np.float32]
    labels: tuple[str, ...]

    @property
    def scores(self) -> Scores:
        return score(self.probabilities, self.split.targets, self.labels)


def evaluate(model: Path | None, dataset: str, data_dir: Path | None = None) -> Scores:
    """Score a model as `predict` asks it."""
    return predict(model, dataset, data_dir).scores


def predict(model: Path | None, dataset: str, data_dir: Path | None = None) -> Predictions:
    """Ask a model about all test images of a dataset, or all images where it has no test part.

    Args:
        model: an `.onnx` file of ours or a `.keras` file; None means the one that ships.
        dataset: a name from the registry, or `folder:PATH` and the like.
        data_dir: where to look for the data first.

    Raises:
        ModelError: the model cannot be loaded.
        DataError: the dataset cannot be loaded.
        UsageError: the model's labels are not the dataset's.
    """
    data = load(dataset, data_dir)
    split = data.test or data.train
    if model is not None and model.suffix == ".keras":
        probabilities = _keras_probabilities(model, split.images, len(data.labels))
        return Predictions(split, probabilities, data.labels)
    classifier = Classifier.open(model)
    if classifier.card.labels != data.labels:
        raise UsageError(
            f"the model reads {'/'.join(classifier.card.labels)}, "
            f"but {dataset} holds {'/'.join(data.labels)}"
        )
    return Predictions(split, classifier.probabilities(split.images), data.labels)


def _keras_probabilities(
    path: Path, images: NDArray[np.uint8], classes: int
) -> NDArray[np.float32]:
    """Uncalibrated probabilities of a Keras network: float32 [N, K]."""
    with needs_extra("a .keras model", "train"), greetings_silenced():
        import keras

        from digitreader.training.export import logits_of
    if not path.is_file():
        raise ModelError(f"there is no model file {path}; expected a .keras file")
    try:
        network = keras.saving.load_model(path, compile=False)
    except Exception as error:  # Keras raises whatever the file made it stumble over
        raise ModelError(f"{path} is not a readable .keras model: {error}") from error
    shapes = network.input_shape, network.output_shape
    known = [((None, 28, 28, 1), (None, classes + more)) for more in (0, 1)]
    if shapes not in known:
        raise ModelError(
            f"{path} takes and gives {shapes}; expected (None, 28, 28, 1) and (None, {classes})"
        )
    outputs = logits_of(network, images)
    last = network.layers[-1]
    already = getattr(getattr(last, "activation", None), "__name__", "") == "softmax"
    return (outputs if already else softmax(outputs))[:, :classes]
