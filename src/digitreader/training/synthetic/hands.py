"""Hands: where the shapes of characters come from, each drawn large, upright and bright.

A hand draws the same character a little differently every time it is asked. Digits come from
real writers (MNIST); letters from fonts, handwritten and printed; either from pen strokes.
"""

from __future__ import annotations

import json
import string
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from digitreader.errors import DataError
from digitreader.training.datasets import Split
from digitreader.training.flags import flagged

HEIGHT = 64  # px; digits are drawn this high, a page's hardly ever are
DRAWN = 10_000  # characters of all fonts that are kept, some 5 KB each
FONT_SUFFIXES = (".ttf", ".otf", ".woff", ".woff2")
FLAGGED = 0.4  # share of the ones; few of MNIST's writers gave them a flag, many do
TURN, SHEAR, STRETCH, ELASTIC = np.deg2rad(4), 0.05, 0.15, 0.5  # how far a scanned digit is bent


class Shape(NamedTuple):
    """One character: `ink` is float32 [h, w] in 0–1, ink bright, cut tight.

    `top` and `bottom` are heights above the line it stands on, in heights of a digit: a digit
    reaches from 1 down to 0, an x to half of it, a g below zero.
    """

    ink: NDArray[np.float32]
    top: float
    bottom: float


class Hand(Protocol):
    """Draws characters in one person's, or one font's, way."""

    characters: str

    def draw(self, character: str, rng: np.random.Generator) -> Shape:
        """Draw one of its characters once more."""
        ...


class ScannedHand:
    """Real digits, 28×28: any of them, so a number is written by several writers."""

    characters = string.digits

    def __init__(self, split: Split) -> None:
        self._images = [split.images[split.targets == digit] for digit in range(10)]
        some = round(FLAGGED * len(self._images[1]))
        self._images[1][:some] = flagged(self._images[1][:some], np.random.default_rng(0))
        for digit, images in enumerate(self._images):
            if not len(images):
                raise DataError(f"no image of the digit {digit} to write pages with")

    def draw(self, character: str, rng: np.random.Generator) -> Shape:
        """Draw one of the images, bent a little."""
        images = self._images[int(character)]
        image = _written_again(images[rng.integers(len(images))], rng)
        # Enlarged first, so that the pen's edge, not MNIST's grey pixels, is on the page.
        large = cv2.resize(image, None, fx=3.2, fy=3.2, interpolation=cv2.INTER_CUBIC)
        return _standing(_grey(large), 1.0, 0.0)


class FontHand:
    """A font: handwritten ones are bent, printed ones stand as they are."""

    def __init__(self, path: Path, *, printed: bool) -> None:
        self.name = path.stem
        self.printed = printed
        self._path = path
        _, top, _, bottom = ImageFont.truetype(str(path), 100).getbbox("0")
        self._size = round(100 * HEIGHT / max(1, bottom - top))
        self.characters = "".join(c for c in CHARACTERS if self._mask(c).any())
        zero = self._place("0")
        self._line, self._height = zero[1], zero[1] - zero[0]  # where a digit stands, how high

    def draw(self, character: str, rng: np.random.Generator) -> Shape:
        """Draw the font's character."""
        top, bottom = self._place(character)
        ink = _grey(self._mask(character))
        above = (self._line - np.array([top, bottom])) / self._height
        return Shape(ink if self.printed else _bent(ink, rng), float(above[0]), float(above[1]))

    @lru_cache(maxsize=DRAWN)  # noqa: B019 (hands live as long as the program)
    def _place(self, character: str) -> tuple[int, int]:
        _, top, _, bottom = self._font().getbbox(character)
        return round(top), round(bottom)

    @lru_cache(maxsize=DRAWN)  # noqa: B019
    def _mask(self, character: str) -> NDArray[np.uint8]:
        left, top, right, bottom = (round(v) for v in self._font().getbbox(character))
        picture = Image.new("L", (max(1, right - left), max(1, bottom - top)))
        ImageDraw.Draw(picture).text((-left, -top), character, fill=255, font=self._font())
        return np.asarray(picture)

    @lru_cache(maxsize=2)  # noqa: B019
    def _font(self) -> ImageFont.FreeTypeFont:
        return ImageFont.truetype(str(self._path), self._size)


class StrokeHand:
    """One writer's pen strokes, drawn again: points of a tablet, y downwards."""

    def __init__(self, strokes: dict[str, list[NDArray[np.float32]]]) -> None:
        self._strokes = strokes
        self.characters = "".join(strokes)

    def draw(self, character: str, rng: np.random.Generator) -> Shape:
        """Draw the strokes with a pen of some thickness."""
        strokes = self._strokes[character]
        points = np.concatenate(strokes)
        low, size = points.min(axis=0), np.maximum(np.ptp(points, axis=0), 1)
        scale = HEIGHT / max(size[1], size[0] / 2)
        pen = int(rng.integers(3, 10))
        canvas = np.zeros(np.ceil(size[::-1] * scale).astype(int) + 2 * pen, np.uint8)
        for stroke in strokes:
            drawn = np.rint(((stroke - low) * scale + pen) * 16).astype(np.int32)
            cv2.polylines(canvas, [drawn], isClosed=False, color=255, thickness=pen,
                          lineType=cv2.LINE_AA, shift=4)  # fmt: skip
        height = 1.0 if character in TALL else 0.65
        drop = 0.3 if character in "gjpqy" else 0.0
        return _standing(_bent(_grey(canvas), rng), height - drop, -drop)


def invented_hand(rng: np.random.Generator) -> StrokeHand:
    """Make up the letters of an alphabet that nobody writes, two to four strokes each."""
    return StrokeHand({c: invented_letter(rng) for c in string.ascii_letters})


def invented_letter(rng: np.random.Generator) -> list[NDArray[np.float32]]:
    """Make up the strokes of one."""
    return [_some_stroke(rng) for _ in range(rng.integers(2, 5))]


def _some_stroke(rng: np.random.Generator) -> NDArray[np.float32]:
    """A stroke through a square of 100 px, straight, with corners or round: [N, 2]."""
    points = rng.uniform(0, 100, (rng.integers(2, 5), 2))
    while np.ptp(points, axis=0).max() < 40:
        points = rng.uniform(0, 100, points.shape)
    return (rounded(points) if rng.random() < 0.6 else points).astype(np.float32)


def rounded(path: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same path with its corners cut three times (Chaikin 1974): [N, 2] → [M, 2]."""
    for _ in range(3):
        a, b = path[:-1], path[1:]
        cut = np.stack([0.75 * a + 0.25 * b, 0.25 * a + 0.75 * b], 1).reshape(-1, 2)
        path = np.concatenate([path[:1], cut, path[-1:]])
    return path


PUNCTUATION = ".,-/:+()$€£%#=*"
CHARACTERS = string.digits + string.ascii_letters + PUNCTUATION + "&@!?;'\"<>[]{}|\\~^_"
TALL = string.digits + string.ascii_uppercase + "bdfhkltgjpqy"


@dataclass(frozen=True, eq=False)
class Hands:
    """All who write on the pages.

    `digits` write the digits that are to be read; `letters` write what is not to be read;
    `print` sets type, digits among it, which is not handwriting and not to be read either.
    """

    digits: tuple[Hand, ...]
    letters: tuple[Hand, ...]
    print: tuple[Hand, ...]


def fonts_in(folder: Path, names: tuple[str, ...], *, printed: bool) -> tuple[FontHand, ...]:
    """Fonts of a folder, at any depth, whose file's name begins with one of the names.

    Raises:
        DataError: there is none.
    """
    chosen = [_font_file(folder, name) for name in names]
    hands = tuple(FontHand(path, printed=printed) for path in chosen if path is not None)
    if not hands:
        raise DataError(f"{folder} has none of the fonts {', '.join(names[:3])} …")
    return hands


def _font_file(folder: Path, name: str) -> Path | None:
    """Return the font's upright file of usual weight with Latin letters, as packages name it."""
    files = [p for p in folder.rglob(f"{name}*") if p.suffix in FONT_SUFFIXES]
    usual = [p for p in files if "latin-400-normal" in p.name]
    return min(usual or files, default=None)


def stroke_hands(path: Path) -> tuple[StrokeHand, ...]:
    """Writers of a JSON file: {character: [writer: [stroke: [[x, y], …]]]}.

    Raises:
        DataError: the file is missing or holds something else.
    """
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        writers = min(len(instances) for instances in table.values())
        return tuple(
            StrokeHand(
                {c: [np.array(s, np.float32) for s in table[c][writer]] for c in sorted(table)}
            )
            for writer in range(writers)
        )
    except (OSError, ValueError, AttributeError, TypeError, KeyError, IndexError) as error:
        raise DataError(f"{path}: not a file of pen strokes ({error})") from error


def _grey(levels: object) -> NDArray[np.float32]:
    """Levels 0–255 as ink: float32 in 0–1."""
    return np.asarray(levels, np.float32) * np.float32(1 / 255)


def _bent(ink: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Every writing differs: a smooth random displacement of a few pixels."""
    reach = 0.035 * HEIGHT
    ink = np.pad(ink, round(reach))
    height, width = ink.shape
    coarse = rng.uniform(-reach, reach, (4, 4, 2)).astype(np.float32)
    field = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    rows, columns = np.indices(ink.shape, np.float32)
    return np.asarray(
        cv2.remap(ink, columns + field[..., 0], rows + field[..., 1], cv2.INTER_LINEAR), np.float32
    )


def _written_again(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A scanned digit turned, slanted, stretched and bent a little: uint8 [h, w], the same."""
    turn, shear = rng.uniform(-TURN, TURN), rng.uniform(-SHEAR, SHEAR)
    stretch = np.sqrt(1 + rng.uniform(-STRETCH, STRETCH))
    field = rng.uniform(-ELASTIC, ELASTIC, (5, 5, 2)).astype(np.float32)
    cos, sin = np.cos(turn), np.sin(turn)
    matrix = np.array([[cos, -sin], [sin, cos]]) @ np.array([[1, shear], [0, 1]])
    matrix = (matrix * (stretch, 1 / stretch)).astype(np.float32)  # to the image's own px
    rows, columns = np.indices(image.shape, np.float32)
    middle = np.float32((image.shape[1] - 1) / 2), np.float32((image.shape[0] - 1) / 2)
    x, y = columns - middle[0], rows - middle[1]
    moved = cv2.resize(field, image.shape[::-1], interpolation=cv2.INTER_CUBIC)
    from_x = matrix[0, 0] * x + matrix[0, 1] * y + middle[0] + moved[..., 0]
    from_y = matrix[1, 0] * x + matrix[1, 1] * y + middle[1] + moved[..., 1]
    return np.asarray(cv2.remap(image, from_x, from_y, cv2.INTER_LINEAR), np.uint8)


def _standing(ink: NDArray[np.float32], top: float, bottom: float) -> Shape:
    rows = np.flatnonzero((ink > 0.3).any(axis=1))
    columns = np.flatnonzero((ink > 0.3).any(axis=0))
    if not rows.size:
        return Shape(ink, top, bottom)
    return Shape(ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], top, bottom)
