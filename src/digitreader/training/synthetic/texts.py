"""What is written on synthetic pages: numbers, words and single letters."""

from __future__ import annotations

import numpy as np

from digitreader.training.synthetic.hands import Hand

LETTERS = "eeeetttaaaooiinnssrrhhllddcumfpgwybvkxjqz"
LIKE_DIGITS = "0123456789OoDQlIiZzSsbBgqGy|.,-'\"_^~:;![](){}/\\"
NUMBERED = 0.2  # of the words go on with a number, which belongs to them
SHORTEST = 3  # letters; fewer beside a number are no word


def some_number(rng: np.random.Generator) -> str:
    """Draw a number as people write them: plain, a date, a telephone number, an amount, a code."""
    forms = ("#" * int(rng.integers(1, 9)), "#" * int(rng.integers(1, 5)), "##", "#####",
             "##.##.####", "##/##/##", "####-##-##", "+## (###) ###-####", "### ## ##", "##:##",
             "#,###.##", "$ ###.##", "##.", "###,-", "####/##", "##%", "#.",
             "#####-####")  # fmt: skip
    form = forms[rng.integers(len(forms))]
    return "".join(str(rng.integers(10)) if c == "#" else c for c in form)


def some_word(rng: np.random.Generator, longest: int = 9) -> str:
    """Draw a word that no number looks like; some go on with digits, as FORM-92 does."""
    numbered = rng.random() < NUMBERED and longest > 2 * SHORTEST
    word = "o"
    while set(word) <= set(LIKE_DIGITS):  # an "Io" would be a 10
        length = rng.integers(SHORTEST if numbered else 1, longest + 1)
        word = "".join(LETTERS[rng.integers(len(LETTERS))] for _ in range(length))
        style = rng.random()
        word = word.upper() if style < 0.3 else word.capitalize() if style < 0.6 else word
    if numbered:
        word += ("", "-", "-", " - ")[rng.integers(4)] + str(rng.integers(1, 1000))
    return word + ("", ":", ".", ",")[rng.choice(4, p=(0.6, 0.15, 0.15, 0.1))]


def some_letter(hand: Hand, rng: np.random.Generator) -> str:
    """Draw a letter or sign that does not look like a digit by itself."""
    known = [c for c in hand.characters if c not in LIKE_DIGITS]
    return known[rng.integers(len(known))] if known else " "
