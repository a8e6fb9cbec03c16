"""How what is written on synthetic pages looks: whose hand, which pen, how large and how close."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from digitreader.training.synthetic.hands import Hand, Hands
from digitreader.training.synthetic.pens import BLACK, Pen, Slope, some_pen
from digitreader.training.synthetic.sheet import Sheet, Style

WIDEST = 0.3  # gap within a word, in heights: letters farther apart stand for themselves


def style_of_numbers(sheet: Sheet, hands: Hands, size: float) -> Style:
    """How digits that are to be read are written; `size` is their height in px."""
    rng = sheet.rng
    # Twice as many fonts' digits as their share of writers, for their styles are other ones.
    fonts = [h for h in hands.letters if set("0123456789") <= set(h.characters)]
    source = fonts if fonts and rng.random() < 0.25 else list(hands.digits)
    gaps = (rng.uniform(-0.08, 0.02), rng.uniform(0.0, 0.2), rng.uniform(0.2, 0.7))
    return Style(
        hand=_one(source, rng),
        other=_one(list(hands.letters), rng),
        pen=some_pen(rng),
        height=size,
        gap=float(gaps[rng.choice(3, p=(0.3, 0.45, 0.25))]),
        unsteady=float(rng.uniform(0, 0.09)),
        outsized=float(rng.choice((0.0, 0.12))),
        slope=Slope(float(rng.normal(0.05, 0.18)), float(rng.normal(0, 0.04))),
    )


def _print(sheet: Sheet, hands: Hands, size: float) -> Style:
    hand = _one(list(hands.print), sheet.rng)
    strength = float(sheet.rng.uniform(0.4, 1))
    pen = Pen(BLACK, strength, edge=0.5)
    return Style(hand, hand, pen, size, gap=0.1, unsteady=0.0, read=False)


def style_of_words(sheet: Sheet, hands: Hands, size: float) -> Style:
    """How what is not to be read is written: by hand or in print."""
    rng = sheet.rng
    if rng.random() < 0.5:
        return _print(sheet, hands, size)
    style = style_of_numbers(sheet, hands, size)
    hand = _one(list(hands.letters), rng)
    gap = float(np.clip(style.gap, 0.05, WIDEST))
    return replace(style, hand=hand, other=hand, gap=gap, read=False)


def _one(hands: list[Hand], rng: np.random.Generator) -> Hand:
    return hands[rng.integers(len(hands))]
