"""A trained model handed on as files, each compared with the model before it has its name."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digitreader.card import ModelCard
from digitreader.classifier import Classifier, softmax
from digitreader.errors import (
    DataError,
    DigitReaderError,
    ModelError,
    UsageError,
    WriteError,
    first_line,
)
from digitreader.training import networks
from digitreader.training.backend import greetings_silenced
from digitreader.training.catalogue import DATASETS, DIGITS
from digitreader.training.datasets import Dataset, load, locate
from digitreader.training.export import logits_of
from digitreader.training.finish import PARITY_IMAGES, UNSURE_BELOW
from digitreader.training.formats import FORMATS, PRESETS, Finished, Format, finished
from digitreader.training.own import OWN_KINDS
from digitreader.training.recipes import Recipe
from digitreader.training.runtimes import ReadAfresh, afresh, are_probabilities, load_network
from digitreader.writing import drafts, make_folder, writing

log = logging.getLogger(__name__)

EXAMPLES = 1000  # training images that tell what values layers take


@dataclass(frozen=True, eq=False)
class Original:
    """What files are made from and compared with.

    `probabilities`, float32 [N, K], are the model's own, of the images, uint8 [N, 28, 28].
    """

    path: Path
    model: Finished
    dataset: str
    images: NDArray[np.uint8]
    probabilities: NDArray[np.float32]


@dataclass(frozen=True)
class Export:
    """A file that was written, read by its own runtime in a new process, and compared."""

    format: str
    files: tuple[str, ...]
    bytes: int
    max_difference: float  # of any probability
    agreement: float  # share of images given the same label
    milliseconds: float  # per 1,000 images


@dataclass(frozen=True)
class Failure:
    """A format that could not be written, or did not do what the model does."""

    format: str
    error: str


def open_original(path: Path, data_dir: Path | None = None) -> Original:
    """Open a run's folder, or a .keras or .h5 file, whose labels then are the ten digits.

    The images are the test images of the run's dataset where it is on this machine, else
    MNIST's, else those of optdigits, for which nothing is downloaded; of one's own data that has
    no test images, what was trained on. A run's `--from` a network is the one that this knew.

    Raises:
        ModelError: there is no such model.
        UsageError: the path is neither a folder nor such a file.
    """
    if not path.is_dir() and path.suffix not in (".keras", ".h5"):
        raise UsageError(
            f"{path} cannot be exported; expected a run's folder, a .keras or .h5 file"
        )
    if not path.is_dir():
        return _of_file(path, data_dir)
    classifier = Classifier.open(path / "model.onnx")
    recipe = Recipe.from_dict(classifier.card.trained.get("recipe", {}))
    network = networks.shifted(load_network(path / "best.keras"), recipe.shifts)
    dataset, images, examples = _images(recipe.replay or recipe.dataset, data_dir)
    model = finished(network, classifier.card, examples, has_softmax=False)
    return Original(path, model, dataset, images, classifier.probabilities(images))


def _of_file(path: Path, data_dir: Path | None) -> Original:
    network = load_network(path)
    if network.output_shape[1] not in (len(DIGITS), len(DIGITS) + 1):
        raise ModelError(
            f"{path} tells {network.output_shape[1]} classes apart; expected the ten digits, "
            "or the folder of a run, which knows its labels"
        )
    dataset, images, examples = _images("mnist", data_dir)
    outputs = logits_of(network, images)  # or probabilities
    has_softmax = are_probabilities(outputs)
    card = ModelCard(path.stem, DIGITS, temperature=1.0, unsure_below=UNSURE_BELOW)
    model = finished(network, card, examples, has_softmax=has_softmax)
    said = (outputs if has_softmax else softmax(outputs))[:, : len(DIGITS)]
    return Original(path, model, dataset, images, said)


def _images(
    dataset: str, data_dir: Path | None
) -> tuple[str, NDArray[np.uint8], NDArray[np.uint8]]:
    """Images to compare on, and training images: the dataset's name, uint8 [N, 28, 28] each."""
    data = _found(dataset, data_dir)
    parts = [data.test, data.train] if data.test else [data.train]
    images = np.concatenate([part.images for part in parts])[:PARITY_IMAGES]
    return data.name, images, data.train.images[-EXAMPLES:]


def _found(dataset: str, data_dir: Path | None) -> Dataset:
    """A run's dataset where it is on this machine, or else another."""
    if dataset.partition(":")[0] in OWN_KINDS:
        try:
            return load(dataset, data_dir)
        except DataError as error:
            log.warning("%s; another dataset has to do", error)
    wanted = (dataset, "mnist", "optdigits")
    name = next(name for name in wanted if name in DATASETS and locate(name, data_dir))
    return load(name, data_dir)


def export(
    original: Original, names: Sequence[str], folder: Path, preset: str | None = None
) -> Iterator[Export | Failure]:
    """Write a model in several formats into a folder, one after the other.

    Raises:
        UsageError: a file would take the original's place.
        WriteError: the folder cannot be written to.
    """
    paths = {name: _paths(original, name, folder, preset) for name in names}
    ours = [original.path, original.path / "best.keras", original.path / "model.onnx"]
    kept = {path.resolve() for path in ours}
    for path in (path for files in paths.values() for path in files):
        if path.resolve() in kept:
            raise UsageError(f"{path} would be replaced by its own export: choose another folder")
    make_folder(folder)
    with afresh() as read:
        for name, files in paths.items():
            try:
                yield _written(original, name, files, read)
            except WriteError:
                raise  # neither would the next be
            except DigitReaderError as error:
                yield Failure(name, str(error))


def _paths(original: Original, name: str, folder: Path, preset: str | None) -> list[Path]:
    path = original.path.resolve()
    stem = PRESETS[preset][name] if preset else path.name if path.is_dir() else path.stem
    return [folder / (stem + suffix) for suffix in FORMATS[name].suffixes]


def _written(original: Original, name: str, paths: list[Path], read: ReadAfresh) -> Export:
    """Write one format; its files get their names when they have been read and compared."""
    form = FORMATS[name]
    with drafts(paths[0]) as folder:
        written = [folder / path.name for path in paths]
        try:
            _write(form, original.model, written[0])
            outputs, milliseconds = read(name, written[0], original.images)
        except ModelError:
            folder.stat()  # no library can do with a folder that was taken away
            raise
        difference, agreement = compare(original.probabilities, outputs, form)
        size = sum(map(_size, written))
        for draft, path in zip(written, paths, strict=True):
            if path.is_dir():  # no file system puts one folder in another's place
                path.rename(folder / f"before-{path.name}")
            draft.replace(path)
    files = tuple(path.name for path in paths)
    each = milliseconds * 1000 / len(original.images)
    return Export(name, files, size, difference, agreement, each)


def _write(form: Format, model: Finished, path: Path) -> None:
    try:
        with greetings_silenced(), writing(path):
            form.write(model, path)
    except DigitReaderError:
        raise
    except Exception as error:  # each library raises its own family
        raise ModelError(f"it cannot be written: {first_line(error)}") from error


def compare(
    expected: NDArray[np.float32], got: NDArray[np.float32], form: Format
) -> tuple[float, float]:
    """Return the largest difference of a probability, [N, K], and the share of equal labels.

    Raises:
        ModelError: they are not as close as the format has to be.
    """
    if got.shape != expected.shape:
        raise ModelError(f"it gives {list(got.shape)}; expected {list(expected.shape)}")
    difference = float(np.abs(expected - got).max())
    agreement = float((expected.argmax(axis=1) == got.argmax(axis=1)).mean())
    if not (difference <= form.tolerance and agreement >= form.agreement):  # NaN fails, too
        raise ModelError(
            f"it does not do what the model does: of {len(got):,} images {100 * agreement:.2f}% "
            f"get the same label, and a probability differs by {difference:.1e}"
        )
    return difference, agreement


def _size(path: Path) -> int:
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files)


def report(original: Original, results: Sequence[Export | Failure]) -> dict[str, Any]:
    """All that was measured, as plain values."""
    return {
        "model": str(original.path),
        "images": {"dataset": original.dataset, "n": len(original.images)},
        "formats": [asdict(result) for result in results],
    }
