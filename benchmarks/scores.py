"""Counting what a reading got right: lines, digits with their boxes, and digits that are none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from digitreader.reading import Box
from digitreader.training.metrics import wilson

LEAST_OVERLAP = 0.5  # intersection over union from which two boxes mean the same digit
RESAMPLES = 2000
LEAST_PAGES = 10  # with fewer, resampling says little
WORST = 8  # pictures that a result names


class Found(NamedTuple):
    """A digit, found or true: what it is, where, and how sure the reader is."""

    label: str
    box: Box
    status: str = "ok"


@dataclass(frozen=True)
class Answer:
    """What a reader said of a picture; `digits` is None where it gives no boxes."""

    lines: tuple[str, ...]
    digits: tuple[Found, ...] | None = None


@dataclass(frozen=True)
class Outcome:
    """A picture's truth beside what was read in it, by each way of reading it.

    `digits` is None where nobody knows the boxes.
    """

    name: str
    kind: str
    lines: tuple[str, ...]
    digits: tuple[Found, ...] | None
    answers: dict[str, Answer]


class Lines(NamedTuple):
    """Lines of writing: on the page, read, and read exactly; `extra` are read beyond the page's.

    A line that was misread, or made up in place of one that was missed, is one error; one that
    was made up on top of the page's lines is another.
    """

    truth: int
    read: int
    right: int
    extra: int


class Marks(NamedTuple):
    """Digits with boxes: on the page, found, found where one is, and given its label too."""

    truth: int
    found: int
    paired: int
    right: int


def count_lines(truth: Sequence[str], read: Sequence[str], *, spaces: bool = False) -> Lines:
    """Compare a page's lines one to one, in any order; without `spaces` only digits count."""
    if not spaces:
        truth, read = _squeezed(truth), _squeezed(read)
    right = (Counter(truth) & Counter(read)).total()
    return Lines(len(truth), len(read), right, max(0, len(read) - len(truth)))


def _squeezed(lines: Iterable[str]) -> list[str]:
    return [line for line in ("".join(text.split()) for text in lines) if line]


def count_marks(truth: Sequence[Found], found: Sequence[Found]) -> Marks:
    """Pair digits by their boxes and compare the labels of each pair."""
    pairs = paired([digit.box for digit in truth], [digit.box for digit in found])
    right = sum(truth[i].label == found[j].label for i, j in pairs)
    return Marks(len(truth), len(found), len(pairs), right)


def paired(a: Sequence[Box], b: Sequence[Box]) -> list[tuple[int, int]]:
    """Pairs of boxes that overlap enough, the closest first, each box in one pair at most."""
    shares = overlaps(a, b)  # [len(a), len(b)]
    rows, columns = np.nonzero(shares >= LEAST_OVERLAP)
    order = np.argsort(-shares[rows, columns], kind="stable")
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for i, j in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if i not in pairs and j not in taken:
            pairs[i] = j
            taken.add(j)
    return list(pairs.items())


def overlaps(a: Sequence[Box], b: Sequence[Box]) -> NDArray[np.float64]:
    """Intersection over union of every two boxes: [len(a), len(b)]."""
    first = np.array(a, np.float64).reshape(-1, 1, 4)
    second = np.array(b, np.float64).reshape(1, -1, 4)
    low = np.maximum(first[..., :2], second[..., :2])
    high = np.minimum(first[..., :2] + first[..., 2:], second[..., :2] + second[..., 2:])
    both = np.maximum(high - low, 0).prod(axis=2)  # [len(a), len(b)]
    either = first[..., 2:].prod(axis=2) + second[..., 2:].prod(axis=2) - both
    return np.asarray(both / np.maximum(either, 1e-9), np.float64)


# --- rows of a result file ----------------------------------------------------------------------

Counts = NDArray[np.int64]  # [pages, what is counted]
Ratio = Callable[[Counts], tuple[NDArray[np.int64], NDArray[np.int64]]]  # right, of how many


def share(right: int, n: int) -> dict[str, Any]:
    """A share with its 95% Wilson interval; None where there was nothing to count."""
    return {"right": right, "n": n, "accuracy": right / n if n else None,
            "accuracy_95": wilson(right, n) if n else None}  # fmt: skip


def lines_row(pages: Sequence[Lines]) -> dict[str, Any]:
    """Lines read exactly, of the pages' lines and of those read beyond them.

    Lines of one page stand or fall together, which Wilson's interval does not know, so there is
    one by resampling pages, too. `strict` holds every line read against the reader that is none
    of the page's, so a misread line counts twice.
    """
    counts = np.array(pages, np.int64).reshape(-1, 4)
    truth, read, right, extra = (int(v) for v in counts.sum(axis=0))
    strict = right / (truth + read - right) if truth + read else None
    return {
        **share(right, truth + extra),
        "accuracy_95_by_page": by_page(counts, lambda c: (c[:, 2], c[:, 0] + c[:, 3])),
        "lines": truth,
        "read": read,
        "extra": extra,
        "strict": strict,
    }


def marks_row(pages: Sequence[Marks]) -> dict[str, Any]:
    """Precision, recall and F1 of digits with their labels, and F1 of their boxes alone."""
    counts = np.array(pages, np.int64).reshape(-1, 4)
    truth, found, paired_, right = (int(v) for v in counts.sum(axis=0))
    return {
        "digits": truth,
        "found": found,
        "right": right,
        "precision": right / found if found else None,
        "recall": right / truth if truth else None,
        "f1": 2 * right / (truth + found) if truth + found else None,
        "f1_95_by_page": by_page(counts, lambda c: (2 * c[:, 3], c[:, 0] + c[:, 1])),
        "found_f1": 2 * paired_ / (truth + found) if truth + found else None,
    }


def by_page(counts: Counts, ratio: Ratio) -> tuple[float, float] | None:
    """95% interval of a ratio of sums over pages, by drawing as many pages again and again.

    None where there are too few pages to draw from, or where all of them are alike.
    """
    right, n = ratio(counts)
    if np.count_nonzero(n) < LEAST_PAGES or np.ptp(right * n.sum() - right.sum() * n) == 0:
        return None
    drawn = np.random.default_rng(0).integers(0, len(counts), (RESAMPLES, len(counts)))
    ratios = right[drawn].sum(axis=1) / np.maximum(n[drawn].sum(axis=1), 1)
    low, high = np.percentile(ratios, (2.5, 97.5))
    return float(low), float(high)


def invented_row(outcomes: Sequence[Outcome], way: str) -> dict[str, Any]:
    """Digits read where there is none: how many a picture, and on how many pictures any."""
    answers = [outcome.answers[way] for outcome in outcomes]
    unsure = np.array([invented(answer) for answer in answers], np.int64)
    sure = np.array([invented(answer, sure=True) for answer in answers], np.int64)
    n = len(outcomes)
    worst = np.argsort(-unsure, kind="stable")[:WORST]
    return {
        "n": n,
        "digits": int(unsure.sum()),
        "digits_per_picture": float(unsure.mean()),
        "pictures_with_any": share(int((unsure > 0).sum()), n),
        "ok_digits": int(sure.sum()),
        "ok_digits_per_picture": float(sure.mean()),
        "pictures_with_any_ok": share(int((sure > 0).sum()), n),
        "worst": [f"{outcomes[i].name}: {unsure[i]}, {'|'.join(answers[i].lines)[:60]}"
                  for i in worst if unsure[i]],
    }  # fmt: skip


def invented(answer: Answer, *, sure: bool = False) -> int:
    """Count the digits of an answer; those called unsure, too, unless `sure`."""
    if answer.digits is None:
        return sum(map(len, _squeezed(answer.lines)))
    return sum(digit.status == "ok" or not sure for digit in answer.digits)
