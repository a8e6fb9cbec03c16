"""Whole pages: numbers, dates, forms, tables, registers and other writing, composed at random.

    page = synthetic_page(hands, np.random.default_rng(0))
    page.pixels, page.digits, page.lines

The same seed gives the same page. Boxes are those of the ink as it was drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from digitreader.errors import UsageError
from digitreader.reading import Box
from digitreader.training.synthetic import papers
from digitreader.training.synthetic.drawings import figure, scribble, underline
from digitreader.training.synthetic.hands import Hands
from digitreader.training.synthetic.pens import BLACK, RED, Colour, Slope
from digitreader.training.synthetic.sheet import OTHER, Sheet, Style, Written
from digitreader.training.synthetic.styles import style_of_numbers, style_of_words
from digitreader.training.synthetic.texts import some_letter, some_number, some_word

FRAMES: tuple[Colour, ...] = (  # a form's own colours
    BLACK, BLACK, (0.5, 0.5, 0.5), RED, (0.95, 0.15, 0.15), (0.9, 0.4, 0.4), (0.95, 0.6, 0.3),
    (0.3, 0.6, 0.35), (0.4, 0.6, 0.9), (0.2, 0.3, 0.75),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class SyntheticPage:
    """A page and the truth about it.

    `pixels` are uint8 [H, W, 3]; `written` holds every character large enough to be taken for
    a digit, in the order of writing; `lines` the digits of each line of writing, left to right.
    """

    pixels: NDArray[np.uint8]
    kind: str
    written: tuple[Written, ...]
    lines: tuple[str, ...]

    @property
    def digits(self) -> tuple[Written, ...]:
        """Only what is to be read."""
        return tuple(w for w in self.written if w.label != OTHER)


SHARE = 0.7  # of a page's shorter side that a digit may be high
SMALLEST = 4  # px a digit; a page full of smaller ones takes minutes
LARGEST = 10_000  # px a side


@dataclass(frozen=True)
class Range:
    """Bounds of a page: its sides and the height of its digits, in px."""

    side: tuple[int, int] = (160, 640)
    digit: tuple[float, float] = (18.0, 60.0)

    def __post_init__(self) -> None:
        """Refuse bounds that no page can keep, naming them."""
        if not 1 <= self.side[0] <= self.side[1] <= LARGEST:
            raise UsageError(f"side is {self.side}; expected the shorter first, 1 to {LARGEST}")
        most = SHARE * self.side[0]
        if not SMALLEST <= self.digit[0] <= min(self.digit[1], most):
            raise UsageError(
                f"digit is {self.digit}; expected the smaller first, "
                f"{SMALLEST} to {most:g} ({SHARE:.0%} of a page's shortest side)"
            )


def synthetic_page(
    hands: Hands, rng: np.random.Generator, kind: str | None = None, bounds: Range | None = None
) -> SyntheticPage:
    """Compose, light and photograph a page; `kind` is one of KINDS, None draws one."""
    bounds = bounds or Range()
    shares = np.array([share for share, _ in KINDS.values()])
    kind = kind or str(rng.choice(list(KINDS), p=shares / shares.sum()))
    height, width = rng.integers(bounds.side[0], bounds.side[1] + 1, 2)
    low, high = bounds.digit
    size = float(np.exp(rng.uniform(np.log(low), np.log(min(high, SHARE * min(height, width))))))
    sheet = Sheet(papers.rules((int(height), int(width)), 1.6 * size, rng), rng)
    KINDS[kind][1](sheet, hands, size)
    pixels = papers.photographed(papers.lit(sheet.left, rng), size, rng)
    return SyntheticPage(pixels, kind, tuple(sheet.written), lines_of(sheet.written))


# --- kinds of pages -----------------------------------------------------------------------------


def _numbers(sheet: Sheet, hands: Hands, size: float) -> None:
    """Rows of numbers, each at its own place."""
    rng = sheet.rng
    style = style_of_numbers(sheet, hands, size)
    base = size * rng.uniform(1.1, 2)
    margin = rng.uniform(0.02, 0.3) * sheet.width
    while base < sheet.height - 0.3 * size:
        x = margin + rng.uniform(0, 0.6) * size
        while x < sheet.width - size:
            box = sheet.write(some_number(rng), x, base, style)
            if box is None or rng.random() < 0.6:
                break
            x = box.right + size * rng.uniform(1.5, 4)
        base += size * rng.uniform(1.25, 2.6)
        if rng.random() < 0.1:
            return
        if rng.random() < 0.15:
            style = style_of_numbers(sheet, hands, size * rng.uniform(0.8, 1.2))


def _labelled(sheet: Sheet, hands: Hands, size: float) -> None:
    """Words with numbers beside or below them, as on envelopes and receipts."""
    rng = sheet.rng
    style = style_of_numbers(sheet, hands, size)
    words = style_of_words(sheet, hands, size * rng.uniform(0.6, 1.1))
    if rng.random() < 0.4 and not words.read:
        style = replace(style, pen=words.pen)
    base = size * rng.uniform(1.2, 2)
    while base < sheet.height - 0.4 * size:
        x = sheet.width * rng.uniform(0.02, 0.2)
        for _ in range(rng.integers(0, 4)):
            box = sheet.write(some_word(rng), x, base, words)
            if box is not None:
                x = box.right + 0.6 * size
        if rng.random() < 0.7:
            box = sheet.write(some_number(rng), x + size * rng.uniform(0.3, 1.5), base, style)
            if box is not None and rng.random() < 0.15:
                underline(sheet, box, style.pen.colour)
        base += size * rng.uniform(1.4, 2.2)


def _form(sheet: Sheet, hands: Hands, size: float) -> None:
    """Fields of boxes, one digit in each, with words around them."""
    rng = sheet.rng
    colour = FRAMES[rng.integers(len(FRAMES))]
    style = style_of_numbers(sheet, hands, size)
    words = style_of_words(sheet, hands, size * rng.uniform(0.5, 1.1))
    if rng.random() < 0.4:
        rim = int(size * rng.uniform(0.1, 0.3))
        outer = Box(rim, rim, sheet.width - 2 * rim, sheet.height - 2 * rim)
        sheet.rectangle(outer, BLACK, size * rng.uniform(0.03, 0.15), 0.05 * size)
    shade = float(rng.uniform(0.7, 0.95)) + rng.uniform(-0.05, 0.05, 3)
    shaded = str(rng.choice(("nothing", "cells", "form"), p=(0.7, 0.15, 0.15)))
    if shaded == "form":
        sheet.left *= shade.astype(np.float32)
    cell = {"nothing": None, "cells": shade, "form": np.ones(3)}[shaded]
    for _ in range(rng.integers(0, 3) if rng.random() < 0.25 else 0):
        figure(sheet, size)
    base = size * rng.uniform(1.6, 2.4)
    while base < sheet.height - 0.7 * size:
        x = sheet.width * rng.uniform(0.05, 0.3)
        while rng.random() < 0.45:
            word = "$" if rng.random() < 0.2 else some_word(rng)
            box = sheet.write(word, x, base, words)
            if box is None:
                break
            x = box.right + 0.7 * size
            if rng.random() < 0.2:
                underline(sheet, box, words.pen.colour)
        if rng.random() < 0.8:
            _field(sheet, style, (x, base), colour, cell)
        base += size * rng.uniform(2.0, 3.0)


def _field(
    sheet: Sheet,
    style: Style,
    start: tuple[float, float],
    colour: Colour,
    cell: NDArray[np.float64] | None,
) -> None:
    """One row of boxes, joined or apart, or open at the top as a comb; a cell may be filled."""
    rng, size = sheet.rng, style.height
    x, base = start
    wide, high = size * rng.uniform(0.85, 1.5), size * rng.uniform(1.15, 1.8)
    apart = size * rng.uniform(0.1, 0.4) if rng.random() < 0.3 else 0.0
    cells = min(int(rng.integers(1, 11)), int((sheet.width - x - 2) / (wide + apart)))
    thick, wobble = size * rng.uniform(0.02, 0.13), size * rng.uniform(0, 0.06)
    drawn = str(rng.choice(("boxes", "frame", "comb"), p=(0.45, 0.4, 0.15)))
    if drawn == "frame":  # one frame, parted by strokes
        apart = 0.0
    low = base + (high - size) / 2
    filled = rng.random() < 0.9
    if cell is not None:
        for i in range(cells):
            place = Box(int(x + i * (wide + apart)), int(low - high), int(wide), int(high))
            sheet.fill(place, cell)
    if drawn == "frame" and cells > 0:
        sheet.rectangle(Box(int(x), int(low - high), int(cells * wide), int(high)), colour,
                        thick, wobble)  # fmt: skip
    for i in range(cells):
        left = x + i * (wide + apart)
        if drawn == "comb":
            sheet.stroke([(left, low), (left + wide, low)], colour, thick)
            sheet.stroke([(left, low), (left, low - 0.4 * high)], colour, thick)
        elif drawn == "frame" and i > 0:
            sheet.bow((left, low), (left, low - high), colour, thick, 2 * wobble)
        elif drawn == "boxes":
            sheet.rectangle(Box(int(left), int(low - high), int(wide), int(high)), colour,
                            thick, wobble)  # fmt: skip
        if filled and rng.random() < 0.93:
            digit = str(rng.integers(10))
            inside = left + rng.uniform(0.02, 0.4) * wide
            sheet.write(digit, inside, base + rng.uniform(-0.1, 0.1) * size, style)


def _table(sheet: Sheet, hands: Hands, size: float) -> None:
    """A ruled table of numbers, with words at its head or side."""
    rng = sheet.rng
    style = style_of_numbers(sheet, hands, size)
    words = style_of_words(sheet, hands, size * rng.uniform(0.6, 1))
    colour: Colour = ((0.2, 0.2, 0.2), (0.6, 0.6, 0.6), (0.5, 0.6, 0.9))[rng.integers(3)]
    wide, high = size * rng.uniform(2, 5), size * rng.uniform(1.3, 2.0)
    x0, y0 = size * rng.uniform(0.2, 1, 2)
    columns, rows = int((sheet.width - x0 - 1) / wide), int((sheet.height - y0 - 1) / high)
    thick = max(1.0, size * rng.uniform(0.01, 0.06))
    upright, level = rng.random() < 0.8, rng.random() < 0.8
    for i in range(columns + 1 if upright else 0):
        sheet.stroke([(x0 + i * wide, y0), (x0 + i * wide, y0 + rows * high)], colour, thick)
    for j in range(rows + 1 if level else 0):
        sheet.stroke([(x0, y0 + j * high), (x0 + columns * wide, y0 + j * high)], colour, thick)
    for j in range(rows):
        for i in range(columns):
            x, base = x0 + i * wide + 0.2 * size, y0 + (j + 1) * high - 0.2 * size
            chance = rng.random()
            if chance < 0.1 or (j == 0 and chance < 0.5):
                sheet.write(some_word(rng, int(wide / size)), x, base, words)
            elif chance < 0.9:
                count = rng.integers(1, max(2, int(wide / size * 1.3)))
                sheet.write("".join(map(str, rng.integers(0, 10, count))), x, base, style)


def _register(sheet: Sheet, hands: Hands, size: float) -> None:
    """A column of an old book: slanted, close, with dots and rules, on grey paper."""
    rng = sheet.rng
    style = style_of_numbers(sheet, hands, size)
    style = replace(style, slope=Slope(float(rng.uniform(0.1, 0.5)), style.slope.turn))
    base = size * rng.uniform(1.0, 1.4)
    x = sheet.width * rng.uniform(0.02, 0.3)
    step = size * rng.uniform(1.1, 1.6)
    dotted = rng.random() < 0.4
    while base < sheet.height - 0.2 * size:
        number = str(rng.integers(1, 10 ** rng.integers(1, 5))) + "." * int(rng.random() < 0.6)
        box = sheet.write(number, x + rng.uniform(0, 0.4) * size, base, style)
        if box is not None and rng.random() < 0.5 and box.right + 2 * size < sheet.width:
            sheet.write(str(rng.integers(10, 2000)), box.right + size, base, style)
        if dotted:
            for dot in np.arange(0, sheet.width - 3, max(4.0, size / 6)):
                sheet.stroke([(dot, base + 2), (dot + 1, base + 2)], (0.5, 0.5, 0.5), 1)
        base += step
    for _ in range(rng.integers(0, 4)):
        at = x + size * rng.uniform(-1, 5)
        sheet.stroke([(at, 0), (at + rng.uniform(-0.1, 0.1) * size, sheet.height)],
                     (0.3, 0.3, 0.3), size * rng.uniform(0.02, 0.2))  # fmt: skip


def _writing(sheet: Sheet, hands: Hands, size: float) -> None:
    """Text, by hand or in print, with at most a few numbers to be read."""
    rng = sheet.rng
    words = style_of_words(sheet, hands, size)
    style = style_of_numbers(sheet, hands, size * rng.uniform(0.8, 1.5))
    numbers = rng.random() < 0.3
    base = size * rng.uniform(1.1, 2)
    while base < sheet.height - 0.4 * size:
        x = size * rng.uniform(0.2, 1)
        while x < sheet.width - size:
            by_hand = numbers and rng.random() < 0.1
            plain = not by_hand and words.hand in hands.print and rng.random() < 0.2
            text = some_number(rng) if by_hand or plain else some_word(rng)
            box = sheet.write(text, x, base, style if by_hand else words)
            x = (x if box is None else box.right) + size * rng.uniform(0.5, 0.9)
        base += size * rng.uniform(1.3, 2)


def _apart(sheet: Sheet, hands: Hands, size: float) -> None:
    """Single characters far from one another: context tells nothing."""
    rng = sheet.rng
    words = style_of_words(sheet, hands, size)
    style = style_of_numbers(sheet, hands, size)
    step = size * rng.uniform(1.7, 2.5)
    chance = rng.uniform(0.2, 0.8)
    for y in np.arange(step, sheet.height - 0.3 * size, step):
        for x in np.arange(0.2 * size, sheet.width - size, step):
            if rng.random() < chance:
                character = some_letter(words.other, rng)
                sheet.write(character, x, y, words)
            elif rng.random() < chance:
                sheet.write(str(rng.integers(10)), x, y, style)


def _scribbles(sheet: Sheet, hands: Hands, size: float) -> None:
    """Lines, loops, ticks, figures and blots; now and then a number among them."""
    rng = sheet.rng
    for _ in range(rng.integers(1, 9)):
        draw = figure if rng.random() < 0.3 else scribble
        draw(sheet, size)
    if rng.random() < 0.4:
        style = style_of_numbers(sheet, hands, size)
        place = rng.uniform(0.05, 0.5) * sheet.width, rng.uniform(0.3, 0.9) * sheet.height
        sheet.write(some_number(rng), *place, style)


def _blank(sheet: Sheet, hands: Hands, size: float) -> None:
    """Nothing at all, or a few specks."""
    del hands
    rng = sheet.rng
    for _ in range(rng.integers(0, 6)):
        x, y = rng.uniform(0, (sheet.width, sheet.height))
        sheet.stroke([(x, y), (x + 1, y)], BLACK, size * rng.uniform(0.02, 0.15))


Compose = Callable[[Sheet, Hands, float], None]

KINDS: dict[str, tuple[float, Compose]] = {  # how often, and how
    "numbers": (0.30, _numbers),
    "labelled": (0.14, _labelled),
    "form": (0.14, _form),
    "table": (0.10, _table),
    "register": (0.10, _register),
    "writing": (0.10, _writing),
    "apart": (0.06, _apart),
    "scribbles": (0.05, _scribbles),
    "blank": (0.05, _blank),
}


def lines_of(written: list[Written]) -> tuple[str, ...]:
    """The digits of each line, left to right, lines from top to bottom.

    Numbers stand in one line where each reaches into the middle of the next.
    """
    numbers: dict[int, list[Written]] = {}
    for mark in written:
        if mark.label != OTHER:
            numbers.setdefault(mark.number, []).append(mark)
    lines: list[list[Written]] = []
    for marks in sorted(numbers.values(), key=lambda m: min(w.box.x for w in m)):
        line = next((x for x in lines if _beside(x[-1].box, marks[0].box)), None)
        if line is None:
            lines.append(list(marks))
        else:
            line += marks
    lines.sort(key=lambda line: np.mean([w.box.y + w.box.height / 2 for w in line]))
    return tuple("".join(w.label for w in line) for line in lines)


def _beside(a: Box, b: Box) -> bool:
    shared = min(a.bottom, b.bottom) - max(a.y, b.y)
    return shared > 0.35 * min(a.height, b.height)
