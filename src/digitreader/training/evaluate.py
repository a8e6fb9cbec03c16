"""A trained model measured on a dataset, whichever form the model has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from digitreader.classifier import Classifier, softmax
from digitreader.errors import DigitReaderError, ModelError, UsageError, first_line
from digitreader.training.datasets import Dataset, Split, load
from digitreader.training.metrics import Scores, score
from digitreader.training.runtimes import RUNTIMES, Images, Outputs, are_probabilities


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
        model: a file of a form in the table below; None means the model that ships.
        dataset: a name from the registry, or `folder:PATH` and the like.
        data_dir: where to look for the data first.

    Raises:
        ModelError: the model cannot be loaded.
        DataError: the dataset cannot be loaded.
        UsageError: the model's labels are not the dataset's, or its file has no known suffix.
    """
    form = MODEL_FORMS.get(model.suffix if model else ".onnx")
    if form is None:
        raise UsageError(
            f"{model} is no model file that can be measured; expected one of {MODEL_SUFFIXES}"
        )
    data = load(dataset, data_dir)
    split = data.test or data.train
    return Predictions(split, form(model, data, split.images), data.labels)


def _of_ours(path: Path | None, data: Dataset, images: Images) -> Outputs:
    """Calibrated probabilities of an .onnx file of ours: float32 [N, K]."""
    classifier = Classifier.open(path)
    if classifier.card.labels != data.labels:
        raise UsageError(
            f"the model reads {'/'.join(classifier.card.labels)}, "
            f"but {data.name} holds {'/'.join(data.labels)}"
        )
    return classifier.probabilities(images)


def _of_others(path: Path | None, data: Dataset, images: Images) -> Outputs:
    """Probabilities of a file that has no card, calibrated if it is: float32 [N, K].

    It may give logits, and it may have a class more, for what is none of them.
    """
    assert path is not None  # what ships has a card
    classes = len(data.labels)
    try:
        outputs = RUNTIMES[path.suffix.removeprefix(".")](path)(images)
    except DigitReaderError:
        raise
    except Exception as error:  # each runtime raises its own family
        raise ModelError(f"{path} cannot be run: {first_line(error)}") from error
    if outputs.ndim != 2 or outputs.shape[1] not in (classes, classes + 1):
        raise ModelError(f"{path} gives {list(outputs.shape)}; {data.name} holds {classes} classes")
    if not np.isfinite(outputs).all():
        raise ModelError(f"{path} gives what are no numbers: it is broken")
    return (outputs if are_probabilities(outputs) else softmax(outputs))[:, :classes]


MODEL_FORMS: dict[str, Callable[[Path | None, Dataset, Images], Outputs]] = {
    ".onnx": _of_ours,
    ".keras": _of_others,
    ".h5": _of_others,
    ".tflite": _of_others,
}
MODEL_SUFFIXES = ", ".join(MODEL_FORMS)
