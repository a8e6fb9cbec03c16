"""What the page draws itself: a glyph, bars and a table, as HTML."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from digitreader.reading import Digit, percent

NO_DIGIT = "no digit"


def glyph(pixels: NDArray[np.uint8]) -> str:
    """Return a glyph, uint8 [28, 28], as a picture with every pixel to be seen."""
    return picture(Image.fromarray(pixels), "The digit's 28×28 pixels, ink bright", "glyph")


def picture(image: Image.Image, words: str, kind: str) -> str:
    """Return a picture that travels with the page, and what it shows in words."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f'<img class="{kind}" alt="{escape(words)}" src="data:image/png;base64,{data}">'


def bars(digit: Digit, labels: Sequence[str]) -> str:
    """Return a bar for each label and its probability; the three likeliest stand out.

    Where the probabilities leave something to one, it has a bar, too: it is no digit.
    """
    shares = [(label, float(p)) for label, p in zip(labels, digit.probabilities, strict=True)]
    rest = 1 - sum(p for _, p in shares)
    likely = [label for label, _ in digit.top3]
    if rest > 0.0005:
        shares.append((NO_DIGIT, rest))
    return f'<table class="bars">{"".join(_bar(*share, likely) for share in shares)}</table>'


def _bar(label: str, share: float, likely: Sequence[str]) -> str:
    rank = likely.index(label) + 1 if label in likely else 0
    return (
        f'<tr class="rank{rank}"><th scope="row">{escape(label)}</th>'
        f'<td class="bar"><span style="width:{100 * share:.2f}%"></span></td>'
        f"<td>{percent(share)}</td></tr>"
    )


def confusion(counts: Sequence[Sequence[int]], labels: Sequence[str]) -> str:
    """Return a table of what is taken for what: a row is what it is, a column what was read."""
    table = np.array(counts)
    most = max(1, int((table - np.diag(table.diagonal())).max()))  # of one kind of error
    head = "".join(f'<th scope="col">{escape(label)}</th>' for label in labels)
    rows = "".join(
        f'<tr><th scope="row">{escape(label)}</th>'
        + "".join(_cell(n, i == j, n / most) for j, n in enumerate(row))
        + "</tr>"
        for i, (label, row) in enumerate(zip(labels, counts, strict=True))
    )
    return f'<table class="confusion"><tr><th></th>{head}</tr>{rows}</table>'


def _cell(count: int, right: bool, share: float) -> str:
    kind = "right" if right else "wrong"
    return f'<td class="{kind}" style="--share:{60 * share:.0f}%">{count or ""}</td>'
