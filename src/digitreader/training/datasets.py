"""Every dataset by name, in one form: glyphs with ink bright, and class names.

    dataset = load("mnist")
    train, validation = hold_out(dataset.train, 5_000, seed=1)
    x, y = scaled(train.images), one_hot(train.targets, len(dataset.labels))

Images from anywhere end up as one kind of array, so that nothing after this file asks whose
they are.
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from digitreader.errors import DataError, MissingExtraError, UsageError
from digitreader.training import mirrors
from digitreader.training.mirrors import IMAGES_MAGIC, LABELS_MAGIC, IdxFile, IdxSet


@dataclass(frozen=True, eq=False)
class Split:
    """Images with their classes.

    `images` are uint8 [N, 28, 28], ink bright; `targets` are int64 [N], indices into the
    dataset's labels.
    """

    images: NDArray[np.uint8]
    targets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, indices: ArrayLike) -> Split:
        """The chosen rows, in the order given."""
        return Split(self.images[indices], self.targets[indices])  # type: ignore[index]


@dataclass(frozen=True, eq=False)
class Dataset:
    """A named dataset. `labels[target]` is a class's name; `source` says where it was found."""

    name: str
    labels: tuple[str, ...]
    train: Split
    test: Split | None
    source: str


@dataclass(frozen=True)
class KnownSet:
    """A row of the table: what a name stands for, before anything is loaded."""

    title: str
    labels: tuple[str, ...]
    sizes: tuple[int, int]
    licence: str
    home: str
    idx: IdxSet | None = None
    transposed: bool = False
    first_target: int = 0


DIGITS = tuple(string.digits)


NO_CHECKSUMS = (None, None, None, None)


def _four_files(
    prefixes: tuple[str, str],
    releases: tuple[tuple[int, int], ...],
    md5: tuple[str | None, ...] = NO_CHECKSUMS,
    gz_md5: tuple[str | None, ...] = NO_CHECKSUMS,
) -> tuple[IdxFile, IdxFile, IdxFile, IdxFile]:
    """The files as MNIST names them; `releases` are the (train, test) sizes there have been."""

    def file(position: int, part: int, kind: str, magic: int) -> IdxFile:
        counts = tuple(release[part] for release in releases)
        name = f"{prefixes[part]}-{kind}"
        return IdxFile(name, magic, counts, md5[position], gz_md5[position])

    return (
        file(0, 0, "images-idx3-ubyte", IMAGES_MAGIC),
        file(1, 0, "labels-idx1-ubyte", LABELS_MAGIC),
        file(2, 1, "images-idx3-ubyte", IMAGES_MAGIC),
        file(3, 1, "labels-idx1-ubyte", LABELS_MAGIC),
    )


DATASETS: dict[str, KnownSet] = {
    "mnist": KnownSet(
        title="MNIST, handwritten digits",
        labels=DIGITS,
        sizes=(60_000, 10_000),
        licence="CC BY-SA 3.0",
        home="http://yann.lecun.com/exdb/mnist/",
        idx=IdxSet(
            _four_files(
                ("train", "t10k"),
                ((60_000, 10_000),),
                md5=(
                    "6bbc9ace898e44ae57da46a324031adb",
                    "a25bea736e30d166cdddb491f175f624",
                    "2646ac647ad5339dbf082846283269ea",
                    "27ae3e4e09519cfbb04c329615203637",
                ),
            ),
            folders=("mnist", "."),
            mirrors=(
                "https://storage.googleapis.com/cvdf-datasets/mnist/",
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
            ),
        ),
    ),
    "optdigits": KnownSet(
        title="Optical Recognition of Handwritten Digits, 8×8 (comes with scikit-learn)",
        labels=DIGITS,
        sizes=(1_438, 359),
        licence="CC BY 4.0",
        home="https://archive.ics.uci.edu/dataset/80",
    ),
}


def load(name: str, data_dir: Path | None = None) -> Dataset:
    """The dataset of that name.

    Raises UsageError for a name nobody knows, DataError for files that are missing or not what
    they should be, MissingExtraError where the dataset needs a library that is not installed.
    """
    if name not in DATASETS:
        raise UsageError(f"no dataset is called '{name}'; there are {', '.join(DATASETS)}")
    if name == "optdigits":
        return _load_optdigits()
    return _load_idx(name, data_dir)


def _load_idx(name: str, data_dir: Path | None) -> Dataset:
    known = DATASETS[name]
    assert known.idx is not None
    folder = locate(name, data_dir)
    train_images, train_labels, test_images, test_labels = mirrors.read(known.idx, folder)
    return Dataset(
        name,
        known.labels,
        _split(known, train_images, train_labels),
        _split(known, test_images, test_labels),
        str(folder),
    )


def locate(name: str, data_dir: Path | None = None) -> Path:
    """The folder that holds the dataset's files, downloaded first where there are none."""
    files = DATASETS[name].idx
    assert files is not None
    bases = mirrors.data_folders(data_dir)
    folder = mirrors.find(files, bases)
    if folder is None:
        folder = bases[0] / files.folders[0]
        mirrors.download(files, folder)
    return folder


def _split(known: KnownSet, images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Split:
    return Split(images, labels.astype(np.int64) - known.first_target)


def _load_optdigits() -> Dataset:
    try:
        from sklearn.datasets import load_digits  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingExtraError("The optdigits dataset", "train") from error
    from PIL import Image

    small, targets = load_digits(return_X_y=True)
    images = np.zeros((len(small), 28, 28), np.uint8)
    for image, row in zip(images, small, strict=True):
        picture = Image.fromarray((row.reshape(8, 8) * (255 / 16)).astype(np.uint8))
        image[4:24, 4:24] = np.asarray(picture.resize((20, 20), Image.Resampling.BICUBIC))
    everything = Split(images, targets.astype(np.int64))
    train, test = hold_out(everything, 0.2, seed=0)
    return Dataset("optdigits", DIGITS, train, test, "scikit-learn")


def scaled(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Images as a network takes them: uint8 [N, 28, 28] → float32 [N, 28, 28, 1] in 0–1."""
    return (images.astype(np.float32) / np.float32(255))[..., np.newaxis]  # [N, 28, 28, 1]


def one_hot(targets: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    """Targets as rows with a single 1: int64 [N] → float32 [N, classes].

    Raises DataError where a target is not one of the classes.
    """
    if len(targets) and (targets.min() < 0 or targets.max() >= classes):
        raise DataError(
            f"targets run from {targets.min()} to {targets.max()}, expected 0 to {classes - 1}"
        )
    return np.eye(classes, dtype=np.float32)[targets]  # [N, classes]


def hold_out(split: Split, size: float | int, seed: int = 0) -> tuple[Split, Split]:
    """Part a split in two, (rest, held out), each class in proportion.

    `size` is a share (float between 0 and 1) or a count (int) of rows to hold out. The same
    rows are chosen on every machine and with every NumPy: the choice rests on PCG64's raw
    stream, which NumPy promises never to change, and on whole numbers alone. Rows keep their
    order. Raises UsageError where either part would be empty.
    """
    total = len(split)
    count = size if isinstance(size, int) else round(size * total)
    if not 0 < count < total:
        raise UsageError(f"cannot hold out {size} of {total:,} images and leave some of each")
    keys = np.random.PCG64(seed).random_raw(total)
    held = np.zeros(total, bool)
    for target, quota in _quotas(split.targets, count).items():
        rows = np.flatnonzero(split.targets == target)
        held[rows[np.argsort(keys[rows], kind="stable")[:quota]]] = True
    return split.take(~held), split.take(held)


def _quotas(targets: NDArray[np.int64], count: int) -> dict[int, int]:
    """How many of each class to hold out: proportional, whole, `count` in all.

    What the rounding down leaves over goes to the largest remainders.
    """
    classes, sizes = np.unique(targets, return_counts=True)
    shares, remainders = np.divmod(sizes * count, len(targets))
    largest = np.argsort(-remainders, kind="stable")[: count - int(shares.sum())]
    shares[largest] += 1
    return dict(zip(classes.tolist(), shares.tolist(), strict=True))
