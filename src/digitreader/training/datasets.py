"""Every dataset by name, in one form: glyphs with ink bright, and class names.

    dataset = load("mnist")
    train, validation = hold_out(dataset.train, 5_000, seed=1)
    x, y = scaled(train.images), one_hot(train.targets, len(dataset.labels))

What has a name is a row in catalogue.py; what is one's own has a prefix, as `folder:` (own.py).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from digitreader.card import MOST_IN_LABEL, is_label
from digitreader.errors import DataError, UsageError, needs_extra
from digitreader.glyphs import BOX, to_glyph
from digitreader.training import mirrors
from digitreader.training.catalogue import DATASETS, KnownSet
from digitreader.training.own import OWN_KINDS, Labelled


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

    def __add__(self, other: Split) -> Split:
        """Both, one after the other."""
        return Split(
            np.concatenate([self.images, other.images]),
            np.concatenate([self.targets, other.targets]),
        )

    def take(self, rows: NDArray[Any]) -> Split:
        """The chosen rows, by index or by mask, in the order given."""
        return Split(self.images[rows], self.targets[rows])


@dataclass(frozen=True, eq=False)
class Dataset:
    """A named dataset. `labels[target]` is a class's name; `source` says where it was found."""

    name: str
    labels: tuple[str, ...]
    train: Split
    test: Split | None
    source: str


# ---------------------------------------------------------------- loading


def load(name: str, data_dir: Path | None = None) -> Dataset:
    """The dataset of that name, or one's own: `folder:PATH`, or another prefix of OWN_KINDS.

    `data_dir` is looked in before $DIGITREADER_DATA and the user's cache; what is in none of
    them is downloaded where a mirror is known. Raises UsageError for a name nobody knows,
    DataError for files that are missing or not what they should be, MissingExtraError where
    the dataset needs a library that is not installed.
    """
    prefix, colon, path = name.partition(":")
    if colon and prefix in OWN_KINDS:
        return _own(name, OWN_KINDS[prefix].read(Path(path).expanduser()))
    known = known_set(name)
    return _comes_with_scikit_learn(name) if known.idx is None else _from_files(name, data_dir)


def known_set(name: str) -> KnownSet:
    """The table's row for a name; UsageError where there is none."""
    if name not in DATASETS:
        own = ", ".join(f"{prefix}:PATH" for prefix in OWN_KINDS)
        raise UsageError(f"no dataset is called '{name}'; there are {', '.join(DATASETS)}, {own}")
    return DATASETS[name]


def locate(name: str, data_dir: Path | None = None) -> str | None:
    """Where the dataset is on this machine, as text for people; None where it is not."""
    known = known_set(name)
    if known.idx is None:
        return "scikit-learn" if importlib.util.find_spec("sklearn") else None
    folder = mirrors.find(known.idx, mirrors.data_folders(data_dir))
    return None if folder is None else str(folder)


def download(name: str, data_dir: Path | None = None) -> Path:
    """Have the dataset's files on this machine, checked; return their folder.

    With `data_dir`, they will be in that folder; without, they may be in any that is looked in.
    Raises DataError, in one line that says what to do, where they cannot be had.
    """
    known = known_set(name)
    if known.idx is None:
        raise UsageError(f"{name} is not downloaded: it comes with scikit-learn")
    bases = mirrors.data_folders(data_dir)
    return _have(name, known, bases[:1] if data_dir is not None else bases)


def _have(name: str, known: KnownSet, bases: list[Path]) -> Path:
    """The folder that holds the files, after a download where there was none."""
    assert known.idx is not None
    found = mirrors.find(known.idx, bases)
    if found is not None:
        return found
    target = bases[0] / known.idx.folders[0]
    if not known.idx.mirrors:
        raise DataError(
            _not_here(
                name, known, bases, f"has to be fetched and unpacked by hand from {known.home}"
            )
        )
    try:
        mirrors.download(known.idx, target)
    except DataError as error:
        raise DataError(_not_here(name, known, bases, str(error))) from error
    return target


def _not_here(name: str, known: KnownSet, bases: list[Path], reason: str) -> str:
    assert known.idx is not None
    files = ", ".join(f"{file.name}[.gz]" for file in known.idx.files)
    folders = ", ".join(str(base / known.idx.folders[0]) for base in bases)
    return (
        f"{name} is not on this machine and {reason}; put {files} into one of the folders "
        f"{folders}, or name the folder that has them with --data-dir or {mirrors.DATA_VARIABLE} "
        "('optdigits' needs no download)"
    )


def _from_files(name: str, data_dir: Path | None) -> Dataset:
    known = known_set(name)
    assert known.idx is not None
    folder = _have(name, known, mirrors.data_folders(data_dir))
    train_images, train_labels, test_images, test_labels = mirrors.read(known.idx, folder)
    train_file, test_file = (folder / known.idx.files[position].name for position in (1, 3))
    return Dataset(
        name,
        known.labels,
        _split(known, train_images, train_labels, train_file),
        _split(known, test_images, test_labels, test_file),
        str(folder),
    )


def _split(
    known: KnownSet, images: NDArray[np.uint8], labels: NDArray[np.uint8], file: Path
) -> Split:
    targets = labels.astype(np.int64) - known.first_target
    if targets.min() < 0 or targets.max() >= len(known.labels):
        last = known.first_target + len(known.labels) - 1
        raise DataError(
            f"{file}: expected labels {known.first_target} to {last}, "
            f"got {labels.min()} to {labels.max()}"
        )
    if known.transposed:
        images = np.ascontiguousarray(images.transpose(0, 2, 1))  # [N, x, y] → [N, y, x]
    return Split(images, targets)


@cache
def _comes_with_scikit_learn(name: str) -> Dataset:
    """8×8 digits as glyphs, a fifth of each class for testing; whoever asks again gets the same.

    All are from UCI's test part, 13 writers, and both of our parts have all of them: good for
    a quick try, no measure of how strangers' writing is read.
    """
    with needs_extra(f"The dataset {name}", "train"):
        from sklearn.datasets import load_digits
    small, targets = load_digits(return_X_y=True)
    images = np.stack([_enlarged(row.reshape(8, 8) / 16) for row in small])  # [N, 28, 28]
    train, test = hold_out(Split(images, targets.astype(np.int64)), 0.2)
    for part in (train, test):
        part.images.flags.writeable = part.targets.flags.writeable = False
    return Dataset(name, known_set(name).labels, train, test, "scikit-learn")


def _enlarged(small: NDArray[np.float64]) -> NDArray[np.uint8]:
    """A digit of few pixels as a glyph: [8, 8] in 0–1 → uint8 [28, 28].

    Brought to the 20-pixel box with cubic interpolation and then centred by its mass. The
    interpolation's tails are cut at 5 %, or the box would be drawn around them.
    """
    picture = Image.fromarray(small.astype(np.float32)).resize((BOX, BOX), Image.Resampling.BICUBIC)
    ink = np.clip(np.asarray(picture), 0, 1)
    return to_glyph(np.where(ink < 0.05, 0, ink).astype(np.float32))


def _own(name: str, parts: list[Labelled]) -> Dataset:
    labels = _class_names(label for part in parts for label in part.names)
    if bad := [label for label in labels if not is_label(label)]:
        raise DataError(
            f"{name}: expected classes named in 1 to {MOST_IN_LABEL} printable characters, "
            f"got {bad[0][:MOST_IN_LABEL]!r}"
        )
    index = {label: target for target, label in enumerate(labels)}
    splits = [Split(part.images, np.array([index[n] for n in part.names])) for part in parts]
    return Dataset(
        name, labels, splits[0], splits[1] if len(splits) > 1 else None, name.partition(":")[2]
    )


def _class_names(names: Iterable[str]) -> tuple[str, ...]:
    """Every name once; by value where all are whole numbers (2 before 10), else by character."""
    unique = set(names)
    if all(name.isdecimal() for name in unique):
        return tuple(sorted(unique, key=int))
    return tuple(sorted(unique))


# ---------------------------------------------------------------- preparing


def scaled(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Images as a network takes them: uint8 [N, 28, 28] → float32 [N, 28, 28, 1] in 0–1."""
    return np.divide(images[..., np.newaxis], 255, dtype=np.float32)  # [N, 28, 28, 1]


def one_hot(targets: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    """Targets as rows with a single 1: int64 [N] → float32 [N, classes].

    Raises DataError where a target is not one of the classes.
    """
    if len(targets) and (targets.min() < 0 or targets.max() >= classes):
        raise DataError(
            f"expected targets 0 to {classes - 1}, got {targets.min()} to {targets.max()}"
        )
    return np.eye(classes, dtype=np.float32)[targets]  # [N, classes]


def keep_and_hold(dataset: Dataset, most: int, fold: int) -> tuple[Split, Split]:
    """Part training images in those to train on and those to choose by, a tenth or `most`.

    Raises:
        DataError: a tenth of them is none.
    """
    n = len(dataset.train)
    if n < 10:
        raise DataError(
            f"{dataset.name} has {n} training images; expected at least 10, a tenth of which "
            "is held out: hold out none (--set validation=0 --set temperature=1)"
        )
    return hold_out(dataset.train, min(most, n // 10), fold)


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
        raise UsageError(f"cannot hold out {size} of {total:,} images and have some in each part")
    keys = np.random.PCG64(seed).random_raw(total)
    held = np.zeros(total, bool)
    for target, quota in _quotas(split.targets, count).items():
        rows = np.flatnonzero(split.targets == target)
        held[rows[np.argsort(keys[rows], kind="stable")[:quota]]] = True
    return split.take(~held), split.take(held)


def _quotas(targets: NDArray[np.int64], count: int) -> dict[int, int]:
    """How many of each class to hold out: proportional, whole, `count` in all.

    What rounding down leaves over goes to the largest remainders, the lower class first.
    """
    classes, sizes = np.unique(targets, return_counts=True)
    quotas, remainders = np.divmod(sizes * count, len(targets))
    quotas[np.argsort(-remainders, kind="stable")[: count - quotas.sum()]] += 1
    return dict(zip(classes.tolist(), quotas.tolist(), strict=True))
