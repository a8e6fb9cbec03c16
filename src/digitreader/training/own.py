"""One's own data: a folder per class, Kaggle's CSV, MNIST's IDX, a Parquet or an npz file.

Each reader takes a path and gives `Labelled` images, train first, test second where the file
has one. What is 28×28 in an array is taken as it is; everything else goes through the same
path as a picture that is to be read, so training sees what reading sees.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digitreader.errors import DataError, SourceError, first_line, needs_extra
from digitreader.glyphs import SIDE, to_glyph
from digitreader.ink import ink_of, working_copy
from digitreader.main_digit import main_digit
from digitreader.pixel_csv import PIXELS, ink_bright, rows_of
from digitreader.sources import open_pages
from digitreader.training import mirrors
from digitreader.training.catalogue import OWN_FILES

log = logging.getLogger(__name__)

NAMED_BAD_FILES = 5  # further ones are only counted
PARTS = ("train", "test")


@dataclass(frozen=True, eq=False)
class Labelled:
    """Images uint8 [N, 28, 28], ink bright, and as many class names."""

    images: NDArray[np.uint8]
    names: tuple[str, ...]


@dataclass(frozen=True)
class OwnKind:
    """A row of the table: what PREFIX:PATH reads."""

    what: str
    read: Callable[[Path], list[Labelled]]


# ---------------------------------------------------------------- folders


def read_folder(path: Path) -> list[Labelled]:
    """A folder per class, named like the class; pictures of any kind and size in each.

    The classes may lie in a folder `train` and once more in one called `test`. A file that is no
    picture is skipped with a warning that names it. Raises DataError where nothing is left.
    """
    parts = [path / part for part in PARTS]
    both = all(part.is_dir() for part in parts)
    return [_read_classes(part) for part in (parts if both else [path])]


def _read_classes(path: Path) -> Labelled:
    classes = sorted(entry for entry in _entries(path) if entry.is_dir())
    if not classes:
        raise DataError(f"{path}: expected a folder per class in it, found none")
    images: list[NDArray[np.uint8]] = []
    names: list[str] = []
    bad: list[str] = []
    for folder in classes:
        for file in sorted(entry for entry in _entries(folder) if entry.is_file()):
            try:
                glyphs = _glyphs_in(file)
            except SourceError as error:
                bad.append(str(error))
            else:
                images += glyphs
                names += [folder.name] * len(glyphs)
    _report(path, bad, len(images))
    return Labelled(np.stack(images), tuple(names))  # [N, 28, 28]


def _entries(folder: Path) -> list[Path]:
    """What lies in a folder, without hidden files: thumbnails and indices of other programs."""
    try:
        return [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    except OSError as error:
        raise DataError(f"{folder}: not a folder that can be read ({error.strerror})") from error


def _glyphs_in(file: Path) -> list[NDArray[np.uint8]]:
    """The one character on each page of a picture file; SourceError where there is none."""
    glyphs = [_glyph(page.pixels) for page in open_pages(file)]
    if not all(glyph.any() for glyph in glyphs):
        raise SourceError(f"{file}: no ink in it")
    return glyphs


def _glyph(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture of one character: uint8 [h, w] or [h, w, 3], any polarity → uint8 [28, 28].

    Zeros where there is no ink.
    """
    mark = main_digit(ink_of(working_copy(pixels)))
    return to_glyph(mark.ink) if mark else np.zeros((SIDE, SIDE), np.uint8)


def _report(path: Path, bad: list[str], good: int) -> None:
    if not good:
        raise DataError(
            f"{path}: expected pictures in its folders, "
            + (f"none of {len(bad)} files could be used, first {bad[0]}" if bad else "found none")
        )
    for line in bad[:NAMED_BAD_FILES]:
        log.warning("skipped %s", line)
    if bad:
        log.warning("%s: %d of %d files skipped", path, len(bad), len(bad) + good)


# ---------------------------------------------------------------- arrays


def read_csv(path: Path) -> list[Labelled]:
    """Kaggle's form: a header `label,pixel0…pixel783`, a row per image, pixels 0–255.

    Raises DataError naming the file, and the row where one is wrong.
    """
    try:
        parts = list(rows_of(path))
    except SourceError as error:
        raise DataError(str(error)) from error
    why = next((why for rows in parts for why in rows.broken.values()), None)
    if why is not None:
        raise DataError(why)
    names = [name for rows in parts for name in rows.labels or ()]
    if not names:
        raise DataError(f"{path}: expected a column 'label' to train on, this file has none")
    images = np.concatenate([rows.images for rows in parts])  # [N, 28, 28]
    return [Labelled(_ink_bright(images, str(path)), tuple(names))]


def read_parquet(path: Path) -> list[Labelled]:
    """Columns `image` and `label`, as the Hugging Face datasets have them.

    An image is an encoded picture, as bytes or as a struct with `bytes` in it; a label is a name
    or a number, whose name may stand in the schema. A folder has its files called train-… and
    test-…. Raises DataError naming the file, and the row where one is wrong.
    """
    if not path.is_dir():
        return [_read_rows([path])]
    parts = [sorted(path.glob(f"{part}*.parquet")) for part in PARTS]
    if not parts[0]:
        raise DataError(f"{path}: expected files called train*.parquet in it, found none")
    return [_read_rows(files) for files in parts if files]


def _read_rows(files: list[Path]) -> Labelled:
    """All rows of the files, one after the other."""
    with needs_extra("Parquet", "train"):
        from pyarrow import ArrowException, parquet
    pictures: list[NDArray[np.uint8]] = []
    names: list[str] = []
    for path in files:
        try:
            if (count := parquet.read_metadata(path).num_rows) > mirrors.MOST_IMAGES:
                raise ValueError(f"{count:,} rows; expected up to {mirrors.MOST_IMAGES:,}")
            table = parquet.read_table(path, columns=["image", "label"])
            rows = table.to_pylist()
            named = _names_in(table.schema.metadata or {})
        except (OSError, ValueError, ArrowException) as error:
            raise DataError(
                f"{path}: not a Parquet file with image and label ({first_line(error)})"
            ) from error
        for i, row in enumerate(rows):
            pictures.append(_decoded(row["image"], f"{path}, row {i}"))
            names.append(_label(row["label"], named, f"{path}, row {i}"))
    if not pictures:
        raise DataError(f"{files[0]}: expected rows, found none")
    if all(picture.shape == (SIDE, SIDE) for picture in pictures):
        return Labelled(_ink_bright(np.stack(pictures), str(files[0])), tuple(names))
    return Labelled(np.stack([_glyph(picture) for picture in pictures]), tuple(names))


def _names_in(metadata: dict[bytes, bytes]) -> dict[int, str]:
    """What Hugging Face's schema calls each number of a label; nothing where it names none.

    ValueError where the schema is otherwise.
    """
    try:
        told = json.loads(metadata.get(b"huggingface", b"{}"))
        names = told.get("info", {}).get("features", {}).get("label", {}).get("names") or ()
        return {i: str(name) for i, name in enumerate(names)}
    except (AttributeError, TypeError, RecursionError) as error:
        raise ValueError("its schema names the classes in another way") from error


def _label(value: Any, named: dict[Any, str], where: str) -> str:
    if not isinstance(value, str | bytes | int | float):
        raise DataError(f"{where}: expected a label, a name or a number, got {value!r:.40}")
    return named.get(value) or _name(value)


def _decoded(image: Any, where: str) -> NDArray[np.uint8]:
    """An encoded picture: uint8 [h, w] or [h, w, 3]."""
    content = image.get("bytes") if isinstance(image, dict) else image
    if not isinstance(content, bytes):
        raise DataError(f"{where}: expected an encoded picture, got {type(content).__name__}")
    try:
        (page,) = open_pages(content)
    except (SourceError, ValueError) as error:
        raise DataError(f"{where}: expected one picture, {error}") from error
    return page.pixels


def read_idx(path: Path) -> list[Labelled]:
    """A folder with four files that are named and made like MNIST's, plain or .gz.

    Raises DataError naming the file that is missing or not so.
    """
    train, train_labels, test, test_labels = mirrors.read(OWN_FILES, path)
    parts = ((train, train_labels), (test, test_labels))
    return [Labelled(images, tuple(map(str, labels.tolist()))) for images, labels in parts]


ARRAY_NAMES = (
    (("x_train", "y_train"), ("x_test", "y_test")),  # Keras's mnist.npz
    (("X", "y"), ("X_test", "y_test")),
    (("images", "labels"), ("test_images", "test_labels")),
)


def read_npz(path: Path) -> list[Labelled]:
    """Arrays under x_train, y_train (x_test, y_test), or X, y, or images, labels.

    Images are [N, 784], [N, h, w], [N, h, w, 1] or [N, h, w, 3], whole numbers 0–255 or
    fractions 0–1; labels are numbers or strings [N]. Raises DataError naming the file and the
    array that is not so.
    """
    known = {name for pair in ARRAY_NAMES for names in pair for name in names}
    try:
        with path.open("rb") as file, np.lib.npyio.NpzFile(file, allow_pickle=False) as archive:
            found = archive.files
            arrays = {name: _array(archive, name) for name in found if name in known}
    except Exception as error:  # NumPy and zipfile let out whatever a broken file leads to
        raise DataError(f"{path}: not an npz file of plain arrays ({first_line(error)})") from error
    for train, test in ARRAY_NAMES:
        if all(name in arrays for name in train):
            pairs = [train, test] if all(name in arrays for name in test) else [train]
            return [_labelled(arrays, pair, path) for pair in pairs]
    raise DataError(
        f"{path}: expected arrays named {' or '.join('/'.join(train) for train, _ in ARRAY_NAMES)}"
        f", found {', '.join(found) or 'none'}"
    )


def _array(archive: Any, name: str) -> NDArray[Any]:
    """One array of an npz file; an error of any kind where it is none, a pickle, or too large."""
    if (size := archive.zip.getinfo(f"{name}.npy").file_size) > mirrors.MOST_IMAGES * PIXELS:
        raise ValueError(f"{name} has {size:,} bytes, unpacked: too many")
    array = archive[name]
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} is no array")
    return array


def _labelled(arrays: dict[str, NDArray[Any]], pair: tuple[str, str], path: Path) -> Labelled:
    images, labels = (arrays[name] for name in pair)
    where = f"{path}, array {pair[0]}"
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels  # [N]
    if labels.ndim != 1 or not len(labels) or labels.shape != images.shape[:1]:
        raise DataError(
            f"{path}, array {pair[1]}: expected a label for each of the images "
            f"{list(images.shape)}, got {list(labels.shape)}"
        )
    if labels.dtype.kind not in "biufUS":
        raise DataError(f"{path}, array {pair[1]}: expected names or numbers, got {labels.dtype}")
    return Labelled(_glyphs(images, where), tuple(_name(label) for label in labels.tolist()))


def _name(label: Any) -> str:
    """3, 3.0 and '3' are the same class."""
    if isinstance(label, bytes):
        return label.decode(errors="backslashreplace")
    return str(int(label)) if isinstance(label, float) and label.is_integer() else str(label)


def _glyphs(images: NDArray[Any], where: str) -> NDArray[np.uint8]:
    """Images of any accepted shape and scale → uint8 [N, 28, 28], ink bright."""
    if images.ndim == 2 and images.shape[1] == PIXELS:
        images = images.reshape(-1, SIDE, SIDE)  # [N, 28, 28]
    if images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]  # [N, h, w]
    if images.ndim not in (3, 4) or images.shape[3:] not in {(), (3,)} or not images.size:
        raise DataError(
            f"{where}: expected [N, {PIXELS}], [N, h, w] or [N, h, w, 3], got {list(images.shape)}"
        )
    levels = _levels(images, where)
    if levels.shape[1:] == (SIDE, SIDE):
        return _ink_bright(levels, where)
    return np.stack([_glyph(image) for image in levels])  # [N, 28, 28]


def _levels(images: NDArray[Any], where: str) -> NDArray[np.uint8]:
    """Grey levels 0–255, whatever the scale: fractions and binary images reach only to 1."""
    if images.dtype.kind not in "buif":
        raise DataError(f"{where}: expected numbers, got {images.dtype}")
    low, high = float(images.min()), float(images.max())
    if not (low >= 0 and high <= 255):  # so that NaN is refused too
        raise DataError(f"{where}: expected pixels 0–255 or 0–1, got {low:g} to {high:g}")
    if high <= 1:
        images = images.astype(np.float32) * 255
    return np.rint(images).astype(np.uint8) if images.dtype.kind == "f" else images.astype(np.uint8)


def _ink_bright(images: NDArray[np.uint8], where: str) -> NDArray[np.uint8]:
    """As they are, or inverted, and said so."""
    bright = ink_bright(images)
    if bright is not images:
        log.warning("%s: the images have dark ink on bright paper, so they are inverted", where)
    return bright


OWN_KINDS: dict[str, OwnKind] = {
    "folder": OwnKind("a folder per class, with pictures of any kind", read_folder),
    "csv": OwnKind("Kaggle's form: label,pixel0…pixel783", read_csv),
    "parquet": OwnKind("columns image and label, as Hugging Face has them", read_parquet),
    "idx": OwnKind("a folder with four files named and made like MNIST's", read_idx),
    "npz": OwnKind("arrays x_train/y_train, X/y or images/labels", read_npz),
}
