"""Datasets by name, one's own data, preparing for training, and `digitreader data`."""

from __future__ import annotations

import csv
import gzip
import hashlib
import importlib.util
import io
import json
import logging
import os
import string
import struct
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from digitreader.doors.data_cli import data
from digitreader.errors import DataError, MissingExtraError, UsageError
from digitreader.glyphs import centre_of_mass, is_glyph, to_glyph
from digitreader.training import datasets
from digitreader.training.catalogue import DATASETS
from digitreader.training.datasets import Dataset, Split, hold_out, load, one_hot, scaled

needs_sklearn = pytest.mark.skipif(
    importlib.util.find_spec("sklearn") is None, reason="scikit-learn is not installed"
)
needs_mnist = pytest.mark.skipif(
    "DIGITREADER_DATA" not in os.environ, reason="DIGITREADER_DATA names no data folder"
)
rng = np.random.default_rng(11)


def drawn(label: str, size: tuple[int, int] = (90, 120), ink: int = 20, paper: int = 235) -> Any:
    """A picture of a 1, a 0 or something like a 7."""
    picture = Image.new("L", size, paper)
    pen = ImageDraw.Draw(picture)
    w, h = size
    stroke = w // 11
    if label == "1":
        pen.line((w // 2, h // 5, w // 2, 4 * h // 5), ink, stroke)
    elif label == "0":
        pen.ellipse((w // 4, h // 5, 3 * w // 4, 4 * h // 5), outline=ink, width=stroke)
    else:
        pen.line((w // 4, h // 5, 3 * w // 4, h // 5, w // 2, 4 * h // 5), ink, stroke)
    return picture


def glyphs(count: int) -> NDArray[np.uint8]:
    """Ink-bright images with a dark border: uint8 [count, 28, 28]."""
    images = np.zeros((count, 28, 28), np.uint8)
    images[:, 4:24, 8:20] = rng.integers(0, 256, (count, 20, 12))
    return images


# ---------------------------------------------------------------- with a name


@needs_sklearn
def test_optdigits_are_glyphs_of_sklearns_digits() -> None:
    from sklearn.datasets import load_digits

    dataset = load("optdigits")
    assert dataset.test is not None
    assert dataset.labels == tuple("0123456789")
    sizes = len(dataset.train), len(dataset.test)
    assert sizes == DATASETS["optdigits"].sizes
    both = np.concatenate([dataset.train.targets, dataset.test.targets])
    np.testing.assert_array_equal(np.bincount(both), np.bincount(load_digits().target))
    assert np.ptp(np.bincount(dataset.test.targets)) <= 2  # all classes are about as large
    for image in dataset.train.images[::20]:
        assert image.dtype == np.uint8
        assert is_glyph(image.astype(np.float32) / 255)


@needs_sklearn
def test_optdigits_keep_their_shape() -> None:
    """Shrunk again, a glyph is most like the 8×8 digit it was made of."""
    from sklearn.datasets import load_digits

    dataset = load("optdigits")
    assert dataset.test is not None
    shrunk = np.stack([_shrunk(image) for image in dataset.test.images]).reshape(-1, 64)
    originals = load_digits().data
    unit = originals / np.linalg.norm(originals, axis=1, keepdims=True)
    nearest = (shrunk / np.linalg.norm(shrunk, axis=1, keepdims=True)) @ unit.T
    found = load_digits().target[nearest.argmax(axis=1)]
    assert np.mean(found == dataset.test.targets) > 0.97


def _shrunk(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    rows, columns = (np.flatnonzero(image.max(axis=axis)) for axis in (1, 0))
    middle = (columns[0] + columns[-1] + 1) // 2
    left = min(max(middle - 10, 0), 8)
    box = Image.fromarray(image[rows[0] : rows[-1] + 1, left : left + 20])
    return np.asarray(box.resize((8, 8), Image.Resampling.BOX), np.float32)


@needs_sklearn
def test_optdigits_are_the_same_every_time() -> None:
    one, two = load("optdigits"), load("optdigits")
    np.testing.assert_array_equal(one.train.images, two.train.images)
    np.testing.assert_array_equal(one.train.targets, two.train.targets)


def test_without_sklearn_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    datasets._comes_with_scikit_learn.cache_clear()
    with pytest.raises(MissingExtraError, match=r"digitreader\[train\]"):
        load("optdigits")


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"'mnits'.*mnist.*emnist-letters.*folder:PATH"):
        load("mnits")


@needs_mnist
def test_mnist_is_mnist() -> None:
    dataset = load("mnist")
    assert dataset.test is not None
    assert dataset.train.images.shape == (60_000, 28, 28)
    assert dataset.test.images.shape == (10_000, 28, 28)
    assert dataset.train.images.dtype == np.uint8
    assert dataset.train.targets.dtype == np.int64
    assert dataset.train.targets[:5].tolist() == [5, 0, 4, 1, 9]
    assert dataset.test.targets[:5].tolist() == [7, 2, 1, 0, 4]
    pixels = scaled(dataset.train.images)
    assert pixels.mean() == pytest.approx(0.1307, abs=5e-5)  # as everybody quotes them
    assert pixels.std() == pytest.approx(0.3081, abs=5e-5)


@needs_mnist
def test_mnist_unpacked_is_the_same_and_misnamed_is_refused(tmp_path: Path) -> None:
    source = Path(load("mnist").source)
    for file in DATASETS["mnist"].idx.files if DATASETS["mnist"].idx else ():
        packed = source / f"{file.name}.gz"
        content = gzip.decompress(packed.read_bytes()) if packed.exists() else b""
        (tmp_path / file.name).write_bytes(content or (source / file.name).read_bytes())
    plain = load("mnist", tmp_path)
    assert plain.source == str(tmp_path)
    np.testing.assert_array_equal(plain.train.images, load("mnist").train.images)
    (tmp_path / "t10k-labels-idx1-ubyte").replace(tmp_path / "train-labels-idx1-ubyte")
    (tmp_path / "t10k-labels-idx1-ubyte").touch()
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte: expected 60,000 labels"):
        load("mnist", tmp_path)


# ---------------------------------------------------------------- EMNIST

# From the mapping file that comes with EMNIST: class number, character code.
BALANCED_MAPPING = (
    *((n, 48 + n) for n in range(10)), *((n, 55 + n) for n in range(10, 36)),
    (36, 97), (37, 98), (38, 100), (39, 101), (40, 102), (41, 103), (42, 104), (43, 110),
    (44, 113), (45, 114), (46, 116),
)  # fmt: skip


def test_emnist_labels_are_the_official_mapping() -> None:
    assert DATASETS["emnist-balanced"].labels == tuple(chr(code) for _, code in BALANCED_MAPPING)
    assert DATASETS["emnist-bymerge"].labels == DATASETS["emnist-balanced"].labels
    assert "".join(DATASETS["emnist-letters"].labels) == string.ascii_uppercase
    assert DATASETS["emnist-letters"].first_target == 1
    every = string.digits + string.ascii_uppercase + string.ascii_lowercase
    assert "".join(DATASETS["emnist-byclass"].labels) == every


def small_emnist(
    folder: Path, monkeypatch: pytest.MonkeyPatch, labels: list[int]
) -> NDArray[np.uint8]:
    """The letters, three of each part, in files as EMNIST has them: on their side."""
    known = DATASETS["emnist-letters"]
    assert known.idx is not None
    one, two, three, four = (replace(file, counts=(3,)) for file in known.idx.files)
    small = replace(known, idx=replace(known.idx, files=(one, two, three, four)))
    monkeypatch.setitem(DATASETS, "emnist-letters", small)
    images = glyphs(3)
    pixels = images.transpose(0, 2, 1).tobytes()
    for part in ("train", "test"):
        start = folder / f"emnist-letters-{part}"
        Path(f"{start}-images-idx3-ubyte").write_bytes(struct.pack(">4I", 2051, 3, 28, 28) + pixels)
        Path(f"{start}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 2049, 3) + bytes(labels))
    return images


def test_emnist_is_turned_upright_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = small_emnist(tmp_path, monkeypatch, [1, 26, 5])
    dataset = load("emnist-letters", tmp_path)
    np.testing.assert_array_equal(dataset.train.images, images)
    assert [dataset.labels[target] for target in dataset.train.targets] == ["A", "Z", "E"]


EMNIST_SIZES = {  # from the paper's table II, letters from the files of its second release
    "byclass": (697_932, 116_323),
    "bymerge": (697_932, 116_323),
    "balanced": (112_800, 18_800),
    "letters": (124_800, 20_800),
    "digits": (240_000, 40_000),
    "mnist": (60_000, 10_000),
}


@pytest.mark.parametrize("kind", EMNIST_SIZES)
def test_every_emnist_is_found_as_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The zip has a folder gzip, with emnist-KIND-train-images-idx3-ubyte.gz and three more."""
    known = DATASETS[f"emnist-{kind}"]
    assert known.sizes == EMNIST_SIZES[kind]
    assert known.idx is not None
    one, two, three, four = (replace(file, counts=()) for file in known.idx.files)
    small = replace(known, idx=replace(known.idx, files=(one, two, three, four)))
    monkeypatch.setitem(DATASETS, f"emnist-{kind}", small)
    last = len(known.labels) - 1 + known.first_target
    images = glyphs(2)
    (tmp_path / "emnist" / "gzip").mkdir(parents=True)
    for part in ("train", "test"):
        for what, content in {
            "images-idx3": struct.pack(">4I", 2051, 2, 28, 28) + images.swapaxes(1, 2).tobytes(),
            "labels-idx1": struct.pack(">2I", 2049, 2) + bytes([last, known.first_target]),
        }.items():
            path = tmp_path / "emnist" / "gzip" / f"emnist-{kind}-{part}-{what}-ubyte.gz"
            path.write_bytes(gzip.compress(content))
    dataset = load(f"emnist-{kind}", tmp_path)
    assert dataset.test is not None
    for split in (dataset.train, dataset.test):
        np.testing.assert_array_equal(split.images, images)
        assert split.targets.tolist() == [len(known.labels) - 1, 0]


@pytest.mark.parametrize("labels", [[0, 1, 2], [1, 2, 27]])
def test_labels_outside_the_classes_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, labels: list[int]
) -> None:
    small_emnist(tmp_path, monkeypatch, labels)
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte: expected labels 1 to 26"):
        load("emnist-letters", tmp_path)


# ---------------------------------------------------------------- folders


def test_a_folder_per_class_becomes_glyphs(tmp_path: Path) -> None:
    for label in ("0", "1", "7", "10"):
        (tmp_path / label).mkdir()
    drawn("0").save(tmp_path / "0" / "dark.png")
    drawn("0", (300, 400), ink=240, paper=30).save(tmp_path / "0" / "bright.jpg")
    drawn("1").convert("RGB").save(tmp_path / "1" / "colour.bmp")
    drawn("7").rotate(90, expand=True).save(tmp_path / "7" / "turned.jpg", exif=_turned(6))
    drawn("7").save(tmp_path / "10" / "a.png")
    (tmp_path / "0" / ".hidden").write_text("of another program")
    (tmp_path / "readme.txt").write_text("not a class")

    dataset = load(f"folder:{tmp_path}")
    assert dataset.labels == ("0", "1", "7", "10")
    assert dataset.test is None
    assert dataset.train.targets.tolist() == [0, 0, 1, 3, 2]
    for image in dataset.train.images:
        y, x = centre_of_mass(image.astype(np.float32))
        assert abs(y - 14.5) < 0.6
        assert abs(x - 14.5) < 0.6
    coarse = dataset.train.images.reshape(-1, 7, 4, 7, 4).mean(axis=(2, 4)).reshape(-1, 49)
    alike = np.corrcoef(coarse)
    bright, dark, one, upright, turned = range(5)
    assert alike[bright, dark] > 0.9  # polarity, size and format do not matter
    assert alike[upright, turned] > 0.9  # a camera's orientation neither
    assert alike[one, dark] < 0.5


def _turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def test_mnist_form_pictures_stay_as_they_are(tmp_path: Path) -> None:
    ink = 1 - np.asarray(drawn("0"), np.float32) / 255
    glyph = to_glyph(np.where(ink > 0.5, ink, 0).astype(np.float32))
    (tmp_path / "0").mkdir()
    Image.fromarray(glyph).save(tmp_path / "0" / "a.png")
    Image.fromarray(255 - glyph).save(tmp_path / "0" / "b.png")
    for image in load(f"folder:{tmp_path}").train.images:
        np.testing.assert_array_equal(image, glyph)


def test_bad_pictures_are_skipped_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "1").mkdir()
    drawn("1").save(tmp_path / "1" / "good.png")
    (tmp_path / "1" / "text.png").write_text("no picture")
    (tmp_path / "1" / "empty.jpg").touch()
    whole = (tmp_path / "1" / "good.png").read_bytes()
    (tmp_path / "1" / "half.png").write_bytes(whole[: len(whole) // 2])
    Image.new("L", (50, 50), 255).save(tmp_path / "1" / "blank.png")
    with caplog.at_level(logging.WARNING):
        dataset = load(f"folder:{tmp_path}")
    assert len(dataset.train) == 1
    for name in ("text.png", "empty.jpg", "half.png", "blank.png"):
        assert sum(name in record.message for record in caplog.records) == 1
    assert "4 of 5 files skipped" in caplog.text

    (tmp_path / "1" / "good.png").unlink()
    with pytest.raises(DataError, match=r"none of 4 files could be used, first .*blank\.png"):
        load(f"folder:{tmp_path}")


def test_a_folder_without_classes_is_refused(tmp_path: Path) -> None:
    drawn("1").save(tmp_path / "1.png")
    with pytest.raises(DataError, match="expected a folder per class"):
        load(f"folder:{tmp_path}")
    with pytest.raises(DataError, match="not a folder"):
        load(f"folder:{tmp_path / 'nowhere'}")
    with pytest.raises(DataError, match="not a folder"):
        load(f"folder:{tmp_path / '1.png'}")
    (tmp_path / "2").mkdir()
    with pytest.raises(DataError, match="expected pictures in its folders, found none"):
        load(f"folder:{tmp_path}")


def test_train_and_test_folders_are_the_two_parts(tmp_path: Path) -> None:
    for part, label in (("train", "0"), ("train", "1"), ("test", "1")):
        (tmp_path / part / label).mkdir(parents=True)
        drawn(label).save(tmp_path / part / label / "a.png")
    dataset = load(f"folder:{tmp_path}")
    assert dataset.labels == ("0", "1")
    assert dataset.train.targets.tolist() == [0, 1]
    assert dataset.test is not None
    np.testing.assert_array_equal(dataset.test.images, dataset.train.images[1:])


# ---------------------------------------------------------------- IDX


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_files_of_any_size(tmp_path: Path, suffix: str) -> None:
    images = glyphs(5)
    for part, count in (("train", 3), ("t10k", 2)):
        for what, content in {
            "images-idx3": struct.pack(">4I", 2051, count, 28, 28) + images[:count].tobytes(),
            "labels-idx1": struct.pack(">2I", 2049, count) + bytes([30, 2, 7][:count]),
        }.items():
            packed = gzip.compress(content) if suffix else content
            (tmp_path / f"{part}-{what}-ubyte{suffix}").write_bytes(packed)
    dataset = load(f"idx:{tmp_path}")
    assert dataset.labels == ("2", "7", "30")
    assert dataset.train.targets.tolist() == [2, 0, 1]
    assert dataset.test is not None
    np.testing.assert_array_equal(dataset.train.images, images[:3])
    np.testing.assert_array_equal(dataset.test.images, images[:2])

    labels = tmp_path / f"t10k-labels-idx1-ubyte{suffix}"
    labels.unlink()
    with pytest.raises(DataError, match="expected t10k-labels-idx1-ubyte or"):
        load(f"idx:{tmp_path}")
    labels.write_bytes(struct.pack(">2I", 2049, 3) + bytes(3))
    with pytest.raises(DataError, match="expected 2 labels, one for each image"):
        load(f"idx:{tmp_path}")


def test_an_idx_header_that_promises_too_much_is_one_line(tmp_path: Path) -> None:
    for part in ("train", "t10k"):
        head = struct.pack(">4I", 2051, 2**32 - 1, 28, 28)
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(head)
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 2049, 0))
    with pytest.raises(DataError, match="train-images-idx3-ubyte: expected up to 10,000,000"):
        load(f"idx:{tmp_path}")


# ---------------------------------------------------------------- CSV


def write_csv(path: Path, images: NDArray[Any], labels: list[str], *, bom: bool = False) -> Path:
    with path.open("w", newline="", encoding="utf-8-sig" if bom else "utf-8") as out:
        rows = csv.writer(out)
        rows.writerow(["label", *(f"pixel{i}" for i in range(784))])
        for label, image in zip(labels, images, strict=True):
            rows.writerow([label, *image.ravel().tolist()])
    return path


@pytest.mark.parametrize("bom", [False, True])
def test_kaggles_csv_round_trip(tmp_path: Path, bom: bool) -> None:
    images = glyphs(12)
    names = ["3", "10", "2"] * 4
    dataset = load(f"csv:{write_csv(tmp_path / 'train.csv', images, names, bom=bom)}")
    assert dataset.labels == ("2", "3", "10")
    assert [dataset.labels[target] for target in dataset.train.targets] == names
    np.testing.assert_array_equal(dataset.train.images, images)


def test_letters_in_a_csv_are_classes(tmp_path: Path) -> None:
    dataset = load(f"csv:{write_csv(tmp_path / 'a.csv', glyphs(3), ['B', '7', 'A'])}")
    assert dataset.labels == ("7", "A", "B")
    assert dataset.train.targets.tolist() == [2, 0, 1]


def test_dark_ink_is_inverted_and_said_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    images = glyphs(5)
    with caplog.at_level(logging.WARNING):
        dataset = load(f"csv:{write_csv(tmp_path / 'dark.csv', 255 - images, list('01234'))}")
    np.testing.assert_array_equal(dataset.train.images, images)
    assert "inverted" in caplog.text


HEADER = "label," + ",".join(f"pixel{i}" for i in range(784))
ROW = "5" + ",0" * 784
BAD_CSV = {
    "empty": ("", "expected a header"),
    "header only": (HEADER + "\n", "expected rows"),
    "without labels": (
        HEADER.removeprefix("label,") + "\n" + ROW.partition(",")[2] + "\n",
        "expected a column 'label'",
    ),
    "another table": ("name,age\nx,3\n", "expected a header.*'name' to 'age'"),
    "no header": (f"{ROW}\n{ROW}\n", "expected a header.*'5' to '0'"),
    "no header, no labels": (f"{ROW[2:]}\n{ROW[2:]}\n", "expected a header.*'0' to '0'"),
    "a short row": (f"{HEADER}\n{ROW}\n{ROW[:-2]}\n", "row 2: expected 784 pixels, got 783"),
    "a long row": (f"{HEADER}\n{ROW},0\n", "row 1: expected 784 pixels, got 785"),
    "a word": (f"{HEADER}\n{ROW[:-1]}x\n", "row 1: expected whole numbers 0–255.*'x'"),
    "nothing": (f"{HEADER}\n{ROW[:-1]}\n", "row 1: expected whole numbers 0–255.*''"),
    "too bright": (f"{HEADER}\n{ROW}\n{ROW[:-1]}256\n", "row 2: .* 0–255.*'256'"),
    "negative": (f"{HEADER}\n{ROW[:-1]}-1\n", "row 1: expected whole numbers 0–255.*'-1'"),
    "a fraction": (f"{HEADER}\n{ROW[:-1]}0.5\n", "row 1: expected whole numbers 0–255.*'0.5'"),
    "not text": ("\udcff\udcfe", "expected a header"),
}


@pytest.mark.parametrize("case", BAD_CSV)
def test_a_bad_csv_is_refused_by_name(tmp_path: Path, case: str) -> None:
    content, message = BAD_CSV[case]
    path = tmp_path / "bad.csv"
    path.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(DataError, match=message) as caught:
        load(f"csv:{path}")
    assert str(path) in str(caught.value)


# ---------------------------------------------------------------- npz

LABELS = np.array([4, 9, 4, 2])


@pytest.mark.parametrize(
    ("names", "has_test"),
    [
        (("x_train", "y_train", "x_test", "y_test"), True),  # Keras's mnist.npz
        (("X", "y"), False),
        (("images", "labels"), False),
    ],
)
def test_npz_by_any_names(tmp_path: Path, names: tuple[str, ...], has_test: bool) -> None:
    images = glyphs(4)
    arrays: dict[str, Any] = dict(zip(names, (images, LABELS) * 2, strict=False))
    np.savez(tmp_path / "own.npz", **arrays)
    dataset = load(f"npz:{tmp_path / 'own.npz'}")
    assert dataset.labels == ("2", "4", "9")
    assert dataset.train.targets.tolist() == [1, 2, 1, 0]
    np.testing.assert_array_equal(dataset.train.images, images)
    assert (dataset.test is not None) == has_test


@pytest.mark.parametrize("form", ["flat", "channel", "0–1", "0–255 float", "binary", "int64"])
def test_npz_in_any_form(tmp_path: Path, form: str) -> None:
    images = glyphs(4)
    if form == "binary":
        images = np.where(images > 100, np.uint8(255), np.uint8(0))
    forms: dict[str, NDArray[Any]] = {
        "flat": images.reshape(4, 784),
        "channel": images[..., None],
        "0–1": images / 255,
        "0–255 float": images.astype(np.float32),
        "binary": images > 0,
        "int64": images.astype(np.int64),
    }
    np.savez_compressed(tmp_path / "a.npz", X=forms[form], y=LABELS.astype(float)[:, None])
    dataset = load(f"npz:{tmp_path / 'a.npz'}")
    np.testing.assert_array_equal(dataset.train.images, images)
    assert dataset.labels == ("2", "4", "9")


def test_npz_of_other_sizes_becomes_glyphs(tmp_path: Path) -> None:
    pictures = np.stack([np.asarray(drawn(label)) for label in "0170"])
    np.savez(tmp_path / "a.npz", X=pictures, y=np.array(list("OIZO")))
    dataset = load(f"npz:{tmp_path / 'a.npz'}")
    assert dataset.labels == ("I", "O", "Z")
    assert all(is_glyph(image.astype(np.float32) / 255) for image in dataset.train.images)
    (tmp_path / "1").mkdir()
    drawn("1").save(tmp_path / "1" / "a.png")
    same = load(f"folder:{tmp_path}").train.images[0]
    np.testing.assert_array_equal(dataset.train.images[1], same)


BAD_NPZ: dict[str, tuple[dict[str, Any], str]] = {
    "other names": ({"pictures": glyphs(4), "y": LABELS}, "expected arrays named.*found pictures"),
    "fewer labels": ({"X": glyphs(4), "y": LABELS[:3]}, r"array y: expected a label for each"),
    "none": ({"X": glyphs(4)[:0], "y": LABELS[:0]}, "array y: expected a label"),
    "one-hot labels": ({"X": glyphs(4), "y": np.eye(4)}, "array y: expected a label"),
    "odd width": ({"X": np.zeros((4, 700)), "y": LABELS}, r"array X: expected .*\[4, 700\]"),
    "five axes": ({"X": np.zeros((4, 2, 2, 2, 2)), "y": LABELS}, "array X: expected"),
    "not a number": ({"X": np.full((4, 784), np.nan), "y": LABELS}, "expected pixels 0–255.*nan"),
    "negative": ({"X": np.full((4, 784), -0.5), "y": LABELS}, "expected pixels 0–255"),
    "too bright": ({"X": np.full((4, 784), 256), "y": LABELS}, "expected pixels 0–255.*256"),
    "text": ({"X": np.full((4, 784), "a"), "y": LABELS}, "array X: expected numbers"),
    "objects": ({"X": np.full(4, None), "y": LABELS}, "not an npz file of plain arrays"),
}


@pytest.mark.parametrize("case", BAD_NPZ)
def test_a_bad_npz_is_refused_by_name(tmp_path: Path, case: str) -> None:
    arrays, message = BAD_NPZ[case]
    path = tmp_path / "bad.npz"
    np.savez(path, **arrays)
    with pytest.raises(DataError, match=message) as caught:
        load(f"npz:{path}")
    assert str(path) in str(caught.value)


def test_no_npz_at_all_is_refused_by_name(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", glyphs(1))
    np.savez_compressed(tmp_path / "cut.npz", X=glyphs(20), y=np.arange(20))
    whole = (tmp_path / "cut.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[:-40])
    damaged = bytearray(whole)
    damaged[2000:2100] = bytes(100)
    (tmp_path / "damaged.npz").write_bytes(damaged)
    for name in ("a.npy", "cut.npz", "damaged.npz", "nowhere.npz"):
        with pytest.raises(DataError, match=f"{name}: not an npz file"):
            load(f"npz:{tmp_path / name}")


# ---------------------------------------------------------------- preparing


def test_scaled_is_pixels_over_255() -> None:
    images = np.arange(256, dtype=np.uint8).repeat(784).reshape(256, 28, 28)
    network = scaled(images)
    assert network.shape == (256, 28, 28, 1)
    assert network.dtype == np.float32
    np.testing.assert_allclose(network[:, 3, 5, 0], np.arange(256) / 255, rtol=1e-6)


@needs_sklearn
def test_one_hot_is_sklearns() -> None:
    from sklearn.preprocessing import label_binarize

    targets = rng.integers(0, 7, 50)
    np.testing.assert_array_equal(one_hot(targets, 7), label_binarize(targets, classes=range(7)))
    assert one_hot(targets, 7).dtype == np.float32
    assert one_hot(targets[:0], 7).shape == (0, 7)


@pytest.mark.parametrize("target", [-1, 10])
def test_one_hot_refuses_a_target_that_is_no_class(target: int) -> None:
    with pytest.raises(DataError, match="expected targets 0 to 9"):
        one_hot(np.array([3, target]), 10)


def numbered(targets: list[int]) -> Split:
    """Images that say which row they were."""
    images = np.zeros((len(targets), 28, 28), np.uint8)
    images[:, 0, :2] = np.arange(len(targets)).astype(">u2").view(np.uint8).reshape(-1, 2)
    return Split(images, np.array(targets, np.int64))


def rows_of(split: Split) -> list[int]:
    return [int(image[0, 0]) * 256 + int(image[0, 1]) for image in split.images]


@given(
    st.lists(st.integers(0, 5), min_size=2, max_size=120),
    st.floats(0.001, 0.999),
    st.integers(0, 2**64),
)
def test_hold_out_parts_by_class(targets: list[int], share: float, seed: int) -> None:
    split = numbered(targets)
    count = min(max(1, round(share * len(targets))), len(targets) - 1)
    rest, held = hold_out(split, count, seed)
    assert len(held) == count
    assert sorted(rows_of(rest) + rows_of(held)) == list(range(len(targets)))
    for part in (rest, held):
        assert rows_of(part) == sorted(rows_of(part))  # in their order
        assert part.targets.tolist() == [targets[row] for row in rows_of(part)]
    for target in set(targets):
        fair = targets.count(target) * count / len(targets)
        assert abs(held.targets.tolist().count(target) - fair) < 1
    again = hold_out(split, count, seed)[1]
    assert rows_of(again) == rows_of(held)


def test_hold_out_by_share_is_by_count() -> None:
    split = numbered([0, 1] * 100)
    assert rows_of(hold_out(split, 0.1, 3)[1]) == rows_of(hold_out(split, 20, 3)[1])
    assert rows_of(hold_out(split, 20, 3)[1]) != rows_of(hold_out(split, 20, 4)[1])


PINNED_ROWS = [9, 36, 39, 55, 61, 75, 85, 93]
PINNED_HASH = "3902d1bd15fde31a"


def test_hold_out_is_the_same_on_every_machine() -> None:
    """Pinned: whoever changes the choice changes every recorded run."""
    rows = rows_of(hold_out(numbered([0, 1, 2] * 1000), 300, seed=1)[1])
    assert rows[:8] == PINNED_ROWS
    assert hashlib.sha256(str(rows).encode()).hexdigest()[:16] == PINNED_HASH


@pytest.mark.parametrize("size", [0, 10, 11, -1, 0.0, 1.0, 0.01, 1.5])
def test_hold_out_refuses_an_empty_part(size: float) -> None:
    with pytest.raises(UsageError, match="cannot hold out"):
        hold_out(numbered([0, 1] * 5), size)


# ---------------------------------------------------------------- the command line


@pytest.fixture
def own(tmp_path: Path) -> tuple[str, Dataset]:
    images = glyphs(30)
    np.savez(tmp_path / "own.npz", X=images, y=np.arange(30) % 3)
    name = f"npz:{tmp_path / 'own.npz'}"
    return name, load(name)


def test_list_shows_every_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_emnist(tmp_path, monkeypatch, [1, 2, 3])
    result = CliRunner().invoke(data, ["list", "--data-dir", str(tmp_path)])
    assert result.exit_code == 0
    rows = {name: line for name in DATASETS for line in result.stdout.splitlines() if name in line}
    assert set(rows) == set(DATASETS)
    assert str(tmp_path) in rows["emnist-letters"]
    assert "not here" in rows["emnist-balanced"]
    assert "60,000 + 10,000" in rows["kmnist"]
    assert "folder:PATH" in result.stdout


def test_info_counts(own: tuple[str, Dataset]) -> None:
    name, dataset = own
    result = CliRunner().invoke(data, ["info", name])
    assert result.exit_code == 0
    pixels = dataset.train.images / 255
    assert f"mean {pixels.mean():.4f}, standard deviation {pixels.std():.4f}" in result.stdout
    assert "30 images, uint8 [30, 28, 28]" in result.stdout
    assert name.removeprefix("npz:") in result.stdout
    counts = [line.split() for line in result.stdout.splitlines()[-3:]]
    assert counts == [["0", "10"], ["1", "10"], ["2", "10"]]


def test_preview_draws_what_the_seed_chooses(own: tuple[str, Dataset], tmp_path: Path) -> None:
    name, dataset = own
    pictures = {}
    for file, seed in (("a", 1), ("b", 1), ("c", 2)):
        path = tmp_path / f"{file}.png"
        options = ["--seed", str(seed), "--rows", "2", "--columns", "5"]
        result = CliRunner().invoke(data, ["preview", name, "-o", str(path), *options])
        assert result.exit_code == 0, result.output
        assert result.stdout.strip() == str(path)
        pictures[file] = np.asarray(Image.open(path))
    np.testing.assert_array_equal(pictures["a"], pictures["b"])
    assert (pictures["a"] != pictures["c"]).any()
    corner = pictures["a"][6:62:2, 6:62:2]  # the first sample, at its own size
    assert (dataset.train.images == corner).all(axis=(1, 2)).any()


def test_preview_of_few_images_and_an_unknown_kind(
    own: tuple[str, Dataset], tmp_path: Path
) -> None:
    name, _ = own
    good = CliRunner().invoke(data, ["preview", name, "-o", str(tmp_path / "a.png")])
    assert good.exit_code == 0  # 30 images, room for 96
    bad = CliRunner().invoke(data, ["preview", name, "-o", str(tmp_path / "a.nothing")])
    assert isinstance(bad.exception, UsageError)
    assert "a.nothing" in str(bad.exception)


def test_download_prints_the_folder_it_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_emnist(tmp_path, monkeypatch, [1, 2, 3])
    result = CliRunner().invoke(data, ["download", "emnist-letters", "--data-dir", str(tmp_path)])
    assert result.stdout.strip() == str(tmp_path)
    result = CliRunner().invoke(data, ["download", "optdigits"])
    assert isinstance(result.exception, UsageError)


@needs_mnist
def test_download_into_a_folder_ignores_what_lies_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked for in a folder, MNIST is fetched into it even where another folder has it."""
    known = DATASETS["mnist"]
    assert known.idx is not None
    monkeypatch.setitem(DATASETS, "mnist", replace(known, idx=replace(known.idx, mirrors=())))
    monkeypatch.setenv("HOME", str(tmp_path))
    for folder in (str(tmp_path), "~/mine"):  # a shell leaves the ~ of --data-dir=~/mine as it is
        result = CliRunner().invoke(data, ["download", "mnist", "--data-dir", folder])
        assert isinstance(result.exception, DataError)
        assert str(Path(folder).expanduser() / "mnist") in str(result.exception)
    assert CliRunner().invoke(data, ["download", "mnist"]).exit_code == 0


# ---------------------------------------------------------------- Parquet


def test_parquet_as_hugging_face_has_it(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    digits = [np.asarray(drawn(label)) for label in "172"]
    encoded = []
    for digit in digits:
        buffer = io.BytesIO()
        Image.fromarray(digit).save(buffer, "PNG")
        encoded.append({"bytes": buffer.getvalue(), "path": None})
    table = pyarrow.table({"image": encoded, "label": [1, 7, 2]})
    parquet.write_table(table, tmp_path / "digits.parquet")
    loaded = load(f"parquet:{tmp_path / 'digits.parquet'}")
    assert loaded.labels == ("1", "2", "7")
    assert [loaded.labels[t] for t in loaded.train.targets] == ["1", "7", "2"]
    assert loaded.train.images.shape == (3, 28, 28)
    assert all(is_glyph(image.astype(np.float32) / 255) for image in loaded.train.images)


def hugging_face(path: Path, images: NDArray[np.uint8], labels: list[int], **schema: Any) -> None:
    """Write rows as `datasets` does: a struct of PNG bytes and a path, and an int64."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    encoded = []
    for image in images:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG")
        encoded.append({"bytes": buffer.getvalue(), "path": None})
    image = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    table = pyarrow.table(
        {
            "image": pyarrow.array(encoded, image),
            "label": pyarrow.array(labels, pyarrow.int64()),
        }
    )
    metadata = {"huggingface": json.dumps(schema)} if schema else None
    parquet.write_table(table.replace_schema_metadata(metadata), path)


def test_parquet_of_28_pixels_is_taken_as_it_is(tmp_path: Path) -> None:
    images = np.roll(glyphs(4), 4, axis=1)  # no reader would leave them so
    hugging_face(tmp_path / "train-00000-of-00002.parquet", images[:2], [7, 7])
    hugging_face(tmp_path / "train-00001-of-00002.parquet", images[2:3], [0])
    hugging_face(tmp_path / "test-00000-of-00001.parquet", images[3:], [0])
    dataset = load(f"parquet:{tmp_path}")
    assert dataset.test is not None
    np.testing.assert_array_equal(dataset.train.images, images[:3])
    np.testing.assert_array_equal(dataset.test.images, images[3:])
    assert dataset.labels == ("0", "7")
    assert dataset.train.targets.tolist() == [1, 1, 0]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"expected files called train\*\.parquet"):
        load(f"parquet:{tmp_path / 'empty'}")


def test_parquet_names_its_classes(tmp_path: Path) -> None:
    path = tmp_path / "letters.parquet"
    label = {"names": ["alpha", "beta", "gamma"], "_type": "ClassLabel"}
    features = {"image": {"_type": "Image"}, "label": label}
    hugging_face(path, glyphs(3), [2, 0, 2], info={"features": features})
    dataset = load(f"parquet:{path}")
    assert dataset.labels == ("alpha", "gamma")
    assert dataset.train.targets.tolist() == [1, 0, 1]
    label = {"dtype": "int64", "_type": "Value"}
    hugging_face(path, glyphs(2), [2, 0], info={"features": {"label": label}})
    assert load(f"parquet:{path}").labels == ("0", "2")


@needs_mnist
def test_parquet_of_mnist_is_mnist(tmp_path: Path) -> None:
    test = load("mnist").test
    assert test is not None
    hugging_face(tmp_path / "a.parquet", test.images[:1000], test.targets[:1000].tolist())
    loaded = load(f"parquet:{tmp_path / 'a.parquet'}").train
    np.testing.assert_array_equal(loaded.images, test.images[:1000])
    np.testing.assert_array_equal(loaded.targets, test.targets[:1000])


def test_parquet_that_is_not_so_is_refused(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    (tmp_path / "text.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match=r"text\.parquet"):
        load(f"parquet:{tmp_path / 'text.parquet'}")
    parquet.write_table(
        pyarrow.table({"image": [b"no picture"], "label": [1]}), tmp_path / "p.parquet"
    )
    with pytest.raises(DataError, match="row 0"):
        load(f"parquet:{tmp_path / 'p.parquet'}")
