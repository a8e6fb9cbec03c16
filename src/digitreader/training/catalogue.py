"""The table of datasets with a name: what they are, whose they are, where their files come from.

A further dataset in MNIST's form is a further row here and nothing else.
"""

from __future__ import annotations

import string
from dataclasses import dataclass

from digitreader.training.mirrors import IMAGES_MAGIC, LABELS_MAGIC, IdxFile, IdxSet


@dataclass(frozen=True)
class KnownSet:
    """A row of the table: what a name stands for, before anything is loaded.

    `sizes` are train and test; `idx` names the files, and None means that the dataset comes
    with a library. `first_target` is the number that stands for the first label in the files.
    """

    title: str
    labels: tuple[str, ...]
    sizes: tuple[int, int]
    licence: str
    home: str
    idx: IdxSet | None = None
    transposed: bool = False
    first_target: int = 0


DIGITS = tuple(string.digits)
CAPITALS = tuple(string.ascii_uppercase)
SMALL = tuple(string.ascii_lowercase)
# Of the small letters, those that EMNIST's "balanced" and "bymerge" tell from the capital.
DISTINCT_SMALL = tuple("abdefghnqrt")
NO_CHECKSUMS = (None, None, None, None)


def _four_files(
    prefixes: tuple[str, str],
    releases: tuple[tuple[int, int], ...],
    md5: tuple[str | None, ...] = NO_CHECKSUMS,
    gz_md5: tuple[str | None, ...] = NO_CHECKSUMS,
) -> tuple[IdxFile, IdxFile, IdxFile, IdxFile]:
    """The files as MNIST names them; `releases` are the (train, test) sizes there have been.

    Without any, every size will do.
    """

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


def _emnist(
    kind: str, labels: tuple[str, ...], *releases: tuple[int, int], first_target: int = 0
) -> KnownSet:
    """EMNIST is published as one zip of 536 MB, without checksums for the files in it."""
    return KnownSet(
        title=f"EMNIST {kind}, handwritten characters",
        labels=labels,
        sizes=releases[0],
        licence="public domain (NIST)",
        home="https://www.nist.gov/itl/products-and-services/emnist-dataset",
        idx=IdxSet(
            _four_files((f"emnist-{kind}-train", f"emnist-{kind}-test"), releases),
            folders=("emnist", "emnist/gzip", "."),
        ),
        transposed=True,
        first_target=first_target,
    )


OWN_FILES = IdxSet(_four_files(("train", "t10k"), ()), folders=())

DATASETS: dict[str, KnownSet] = {
    "mnist": KnownSet(
        title="MNIST, handwritten digits",
        labels=DIGITS,
        sizes=(60_000, 10_000),
        licence="CC BY-SA 3.0",
        home="https://yann.lecun.com/exdb/mnist/",
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
        title="Optical Recognition of Handwritten Digits, 8×8",
        labels=DIGITS,
        sizes=(1_438, 359),
        licence="CC BY 4.0",
        home="https://archive.ics.uci.edu/dataset/80",
    ),
    "fashion-mnist": KnownSet(
        title="Fashion-MNIST, clothes",
        labels=(
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
        sizes=(60_000, 10_000),
        licence="MIT",
        home="https://github.com/zalandoresearch/fashion-mnist",
        idx=IdxSet(
            _four_files(
                ("train", "t10k"),
                ((60_000, 10_000),),
                gz_md5=(
                    "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                    "25c81989df183df01b3e8a0aad5dffbe",
                    "bef4ecab320f06d8554ea6380940ec79",
                    "bb300cfdad3c16e7a12a480ee83cd310",
                ),
            ),
            folders=("fashion-mnist",),
            mirrors=(
                "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
                "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
            ),
        ),
    ),
    "kmnist": KnownSet(
        title="Kuzushiji-MNIST, cursive Japanese",
        labels=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        sizes=(60_000, 10_000),
        licence="CC BY-SA 4.0",
        home="https://codh.rois.ac.jp/kmnist/",
        idx=IdxSet(
            _four_files(
                ("train", "t10k"),
                ((60_000, 10_000),),
                gz_md5=(
                    "bdb82020997e1d708af4cf47b453dcf7",
                    "e144d726b3acfaa3e44228e80efcd344",
                    "5c965bf0a639b31b8f53240b1b52f4d7",
                    "7320c461ea6c1c855c0b718fb2a4b134",
                ),
            ),
            folders=("kmnist",),
            mirrors=("https://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
        ),
    ),
    "emnist-digits": _emnist("digits", DIGITS, (240_000, 40_000)),
    # The paper's 88,800 and 14,800 were published first.
    "emnist-letters": _emnist(
        "letters", CAPITALS, (124_800, 20_800), (88_800, 14_800), first_target=1
    ),
    "emnist-balanced": _emnist("balanced", DIGITS + CAPITALS + DISTINCT_SMALL, (112_800, 18_800)),
    "emnist-bymerge": _emnist("bymerge", DIGITS + CAPITALS + DISTINCT_SMALL, (697_932, 116_323)),
    "emnist-byclass": _emnist("byclass", DIGITS + CAPITALS + SMALL, (697_932, 116_323)),
    "emnist-mnist": _emnist("mnist", DIGITS, (60_000, 10_000)),
}
