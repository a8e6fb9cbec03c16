"""Pictures without a digit: empty papers, and letters and glyphs that look like none.

Whatever is read in them is made up.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from digitreader.training.synthetic import papers
from digitreader.training.synthetic.hands import HEIGHT, Hand, Shape
from digitreader.training.synthetic.pens import Slope, some_pen
from digitreader.training.synthetic.sheet import Sheet, Style
from sets import Case, MakeSet, Pictures, tablet_writers

PAPERS = 300
SINGLE = 125  # of each kind
COMPOSED = 125
LOOK_ALIKES = "OoDQlIiZzSsBbgq"  # letters; to read one as a digit is no error
CREASED = 0.4  # share of the papers
ALPHABET = 0xE000  # where Unicode leaves room for characters of one's own

Images = NDArray[np.uint8]
Random = np.random.Generator


def empty_papers(data: Path, held_out: bool) -> Pictures:
    """Papers plain, ruled, squared, creased, shadowed, as scans and as photos."""
    del data

    def case(i: int) -> Case:
        rng = np.random.default_rng((3, held_out, i))
        shape = tuple(int(side) for side in rng.integers(300, 1601, 2))
        paper = papers.rules((shape[0], shape[1]), float(rng.uniform(25, 110)), rng)
        ruled = "ruled" if paper.min() < 1 else "plain"
        page = papers.lit(paper, rng)
        creased = rng.random() < CREASED
        if creased:
            page *= creases((shape[0], shape[1]), rng)[..., None]
        pixels = papers.photographed(page, float(rng.uniform(24, 70)), rng)
        kind = f"{ruled}, creased" if creased else ruled
        return Case(f"paper[{i}], {kind}", pixels, (), (), kind)

    return Pictures(PAPERS, "auto", case)


def creases(shape: tuple[int, int], rng: Random) -> papers.Light:
    """Folds: on either side the sheet is lit differently, and between runs a dark or bright line.

    float32 [H, W], about 1. On purpose not the folds that the finder is trained on.
    """
    height, width = shape
    rows, columns = np.indices(shape, np.float32)
    light = np.ones(shape, np.float32)
    for _ in range(rng.integers(1, 5)):
        level = rng.choice((0, np.pi / 2)) + rng.normal(0, 0.06)  # people fold across or along
        away = (columns - width * rng.uniform(0.1, 0.9)) * np.cos(level)
        away += (rows - height * rng.uniform(0.1, 0.9)) * np.sin(level)  # px from the fold
        reach = max(shape) * rng.uniform(0.05, 0.3)
        slope = rng.uniform(-0.12, 0.12) * np.sign(away) * np.exp(-np.abs(away) / reach)
        line = rng.uniform(-0.35, 0.15) * np.exp(-((away / rng.uniform(0.6, 2.5)) ** 2))
        light *= 1 + slope + line
    return light


def letters_and_glyphs(data: Path, held_out: bool) -> Pictures:
    """Single photos of letters, single characters and glyphs, and rows of all three on paper."""
    rng = np.random.default_rng((4, held_out))
    found = [
        (name, images[i])
        for name, images in sources(data, held_out).items()
        for i in rng.choice(len(images), SINGLE, replace=False)
    ]

    def case(i: int) -> Case:
        if i < len(found):
            kind, picture = found[i]
            return Case(f"{kind}[{i % SINGLE}]", picture, (), (), kind)
        number = i - len(found)
        kind, hands = list(_hands(data, held_out).items())[number % 3]
        pixels = composed(hands, np.random.default_rng((5, held_out, number)))
        return Case(f"{kind}[{number}]", pixels, (), (), kind)

    return Pictures(len(found) + COMPOSED, "auto", case)


@lru_cache(maxsize=2)
def sources(data: Path, held_out: bool) -> dict[str, Images]:
    """Pictures of one letter or glyph each, by what they are: uint8 [N, H, W].

    One half of each kind is for the held-out variant.
    """
    with np.load(data / "dev" / "tablet_characters.npz") as file:
        skipped = [*LOOK_ALIKES, *"0123456789"]
        characters = file["X"][~np.isin(file["label"], skipped)]
    with np.load(data / "dev" / "omniglot_glyphs.npz") as file:
        glyphs = file["X"]
    half = slice(int(held_out), None, 2)
    return {
        "letter photo": letter_photos(data)[half],
        "tablet character": characters[half],
        "omniglot glyph": glyphs[half],
    }


def letter_photos(data: Path) -> Images:
    """Photos of a letter each that no digit looks like: uint8 [N, H, W], ink dark."""
    with np.load(data / "dev" / "letter_photos.npz") as file:
        return np.asarray(file["X"][~np.isin(file["label"], list(LOOK_ALIKES))], np.uint8)


def composed(hands: tuple[Hand, ...], rng: Random) -> Images:
    """Several lines of words of letters or glyphs on paper: uint8 [H, W, 3]."""
    one = hands[rng.integers(len(hands))]
    size = float(rng.uniform(24, 70))
    shape = tuple(int(side) for side in rng.integers(600, 1601, 2))
    sheet = Sheet(papers.rules((shape[0], shape[1]), 1.6 * size, rng), rng)
    style = Style(one, one, some_pen(rng), size, gap=float(rng.uniform(0.05, 0.3)), read=False,
                  slope=Slope(float(rng.normal(0, 0.1)), 0.0))  # fmt: skip
    known = [c for c in one.characters if c not in LOOK_ALIKES and not c.isdigit()]
    for base in np.arange(1.5 * size, sheet.height, size * rng.uniform(1.6, 2.6)):
        words = ("".join(rng.choice(known, rng.integers(1, 9))) for _ in range(6))
        sheet.write(" ".join(words), size * rng.uniform(0.3, 2), float(base), style)
    return papers.photographed(papers.lit(sheet.left, rng), size, rng)


@lru_cache(maxsize=2)
def _hands(data: Path, held_out: bool) -> dict[str, tuple[Hand, ...]]:
    pictures = sources(data, held_out)
    return {
        "rows of tablet characters": tablet_writers(data, held_out),
        "rows of letter photos": (PictureHand(255 - pictures["letter photo"]),),
        "rows of omniglot glyphs": (PictureHand(pictures["omniglot glyph"]),),
    }


class PictureHand:
    """Pictures as characters: uint8 [N, H, W], ink bright, on any even paper."""

    def __init__(self, images: Images) -> None:
        self._images = images
        self.characters = "".join(chr(ALPHABET + i) for i in range(len(images)))

    def draw(self, character: str, rng: Random) -> Shape:
        """Cut the picture's ink out; one without any is a speck."""
        del rng
        image = self._images[ord(character) - ALPHABET].astype(np.float32)
        ink = np.maximum(image - np.percentile(image, 80), 0)
        ink = np.minimum(ink / max(30.0, 0.6 * float(ink.max())), 1).astype(np.float32)
        ink[ink < 0.25] = 0  # paper
        top, bottom = _extent(ink.max(axis=1))
        left, right = _extent(ink.max(axis=0))
        ink = ink[top:bottom, left:right]
        scale = HEIGHT / max(ink.shape[0], ink.shape[1] / 2)
        large = cv2.resize(ink, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
        half = large.shape[0] / HEIGHT / 2  # a dash stands in the middle of the line
        return Shape(np.asarray(large, np.float32), 0.5 + half, 0.5 - half)


def _extent(profile: NDArray[np.float32]) -> tuple[int, int]:
    inked = np.flatnonzero(profile > 0.3)
    return (int(inked[0]), int(inked[-1]) + 1) if inked.size else (0, len(profile))


EMPTY: dict[str, MakeSet] = {
    "empty papers": empty_papers,
    "letters and glyphs": letters_and_glyphs,
}
