"""Windows of synthetic pages for training the finder: ink and, for each cell, what is there."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import cv2
import numpy as np
from numpy.typing import NDArray

from digitreader.cells import CLASSES, NOTHING, OTHER_WRITING, STRIDE
from digitreader.finder import shown_of
from digitreader.ink import inked
from digitreader.reading import Box
from digitreader.training.synthetic.hands import Hands
from digitreader.training.synthetic.pages import Range, SyntheticPage, synthetic_page
from digitreader.training.synthetic.sheet import OTHER, Written

SIDE = 192  # px of a window
WINDOWS = 4  # at most, from one page, which costs more to write than they to cut
BOUNDS = Range(side=(160, 512), digit=(20.0, 50.0))
CENTRAL = 0.3  # of a box's sides, from its centre: there a cell must say what it sees
UNDECIDED = 0.45  # and from there to here, near the edge, it may say what it likes
FAINTEST = 30  # of 255, by which a character's ink must be brighter than the paper in its box
CROPS = 0.2  # of the pages are cut down to one character and its surroundings
ANYTHING = 0.2  # of these to any character, the others to a digit
VISIBLE = 0.5  # of a character's box; with less in a crop it is nothing
CHANNELS = CLASSES + 5  # the class of a cell, its weight, and its box

Truth = NDArray[np.float32]  # [cells down, cells across, CHANNELS]
MakeHands = Callable[[], Hands]


def batches(  # noqa: PLR0913, PLR0917 (what a batch follows from)
    make_hands: MakeHands, seed: int, start: int, stop: int, size: int, workers: int
) -> Iterator[tuple[NDArray[np.uint8], Truth]]:
    """Yield uint8 [size, SIDE, SIDE, 2], as `shown_of` gives them, and their truths.

    Batch i is always the same. Pages are written by other processes while the network trains.
    """
    context = get_context("spawn")  # a fork of a process that trains may hang
    with ProcessPoolExecutor(workers, context, _begin, (make_hands,)) as pool:
        ahead: deque[Future[tuple[NDArray[np.uint8], Truth]]] = deque()
        for i in range(start, stop + 3 * workers):
            if i < stop:
                ahead.append(pool.submit(_batch, seed, i, size))
            if i >= start + 3 * workers:
                yield ahead.popleft().result()


_HANDS: list[Hands] = []  # of this worker process


def _begin(make_hands: MakeHands) -> None:
    cv2.setNumThreads(1)
    _HANDS.append(make_hands())


def _batch(seed: int, number: int, size: int) -> tuple[NDArray[np.uint8], Truth]:
    return batch(_HANDS[0], np.random.default_rng((seed, number)), size)


def batch(hands: Hands, rng: np.random.Generator, size: int) -> tuple[NDArray[np.uint8], Truth]:
    """Cut windows from as many pages as it takes: [size, SIDE, SIDE, 2] and [size, h, w, C]."""
    inks: list[NDArray[np.uint8]] = []
    truths: list[Truth] = []
    while len(inks) < size:
        page = synthetic_page(hands, rng, bounds=BOUNDS)
        if page.digits and rng.random() < CROPS:
            page = _crop(page, page.written if rng.random() < ANYTHING else page.digits, rng)
        ink = shown_of(inked(page.pixels))
        for _ in range(min(WINDOWS, 1 + ink[..., 0].size // SIDE**2)):
            top, left = _place(ink.shape[:2], page.written, rng)
            window = _cut(ink, top, left)
            inks.append(window)
            truths.append(truth(window[..., 0], page.written, top, left))
    return np.stack(inks[:size]), np.stack(truths[:size])


def _crop(
    page: SyntheticPage, marks: tuple[Written, ...], rng: np.random.Generator
) -> SyntheticPage:
    """Cut one of some marks out with what stands around it, as crops of single digits come."""
    box = marks[rng.integers(len(marks))].box
    side = max(box.width, box.height) * rng.uniform(1.05, 2.5)
    shift = rng.uniform(-0.1, 0.1, 2) * side
    left = int(max(0, box.x + box.width / 2 - side / 2 + shift[0]))
    top = int(max(0, box.y + box.height / 2 - side / 2 + shift[1]))
    pixels = page.pixels[top : top + int(side), left : left + int(side)]
    moved = [
        replace(mark, box=Box(mark.box.x - left, mark.box.y - top, *mark.box[2:]))
        for mark in page.written
    ]
    height, width = pixels.shape[:2]
    visible = [m for m in moved if _part_within(m.box, width, height) > VISIBLE]
    return SyntheticPage(pixels, page.kind, tuple(visible), ())


def _part_within(box: Box, width: int, height: int) -> float:
    across = max(0, min(box.right, width) - max(box.x, 0))
    down = max(0, min(box.bottom, height) - max(box.y, 0))
    return across * down / (box.width * box.height)


def truth(window: NDArray[np.uint8], written: tuple[Written, ...], top: int, left: int) -> Truth:
    """What each cell of a window must say: its class one-hot, its weight, and its box.

    Cells of what is too faint to be seen weigh nothing. The box is the distance from the cell's
    centre to left, top, right and bottom in px.
    """
    cells = SIDE // STRIDE
    centres = (np.arange(cells) + 0.5) * STRIDE
    label = np.full((cells, cells), NOTHING)
    weight = np.ones((cells, cells), np.float32)
    box = np.zeros((cells, cells, 4), np.float32)
    nearest = np.full((cells, cells), np.inf)
    for mark in written:
        x, y = mark.box.x - left, mark.box.y - top
        right, bottom = x + mark.box.width, y + mark.box.height
        if right <= 0 or bottom <= 0 or x >= SIDE or y >= SIDE:
            continue
        # Narrow as a 1 may be, a cell or two are its own.
        wide, high = max(mark.box.width, 4 * STRIDE), max(mark.box.height, 4 * STRIDE)
        across = np.abs(centres - (x + right) / 2) / wide
        down = np.abs(centres - (y + bottom) / 2) / high
        near = np.ix_(np.flatnonzero(down < UNDECIDED), np.flatnonzero(across < UNDECIDED))
        away = np.maximum(across[near[1]], down[near[0]])  # [n, m], in heights and widths
        weight[near] = np.where(label[near] == NOTHING, 0, weight[near])
        rows, columns = np.nonzero((away < CENTRAL) & (away < nearest[near]))
        rows, columns = near[0][rows, 0], near[1][0, columns]
        nearest[rows, columns] = np.maximum(across[columns], down[rows])
        label[rows, columns] = OTHER_WRITING if mark.label == OTHER else int(mark.label)
        weight[rows, columns] = _stands_out(window[max(y, 0) : bottom, max(x, 0) : right])
        across, down = centres[columns], centres[rows]
        box[rows, columns] = np.stack([across - x, down - y, right - across, bottom - down], 1)
    one_hot = np.eye(CLASSES, dtype=np.float32)[label]  # [cells, cells, CLASSES]
    return np.concatenate([one_hot, weight[..., None], box], axis=2)


def _stands_out(seen: NDArray[np.uint8]) -> bool:
    paper, ink = np.percentile(seen, (30, 97))
    return bool(ink - paper > FAINTEST)


def _place(
    shape: tuple[int, ...], written: tuple[Written, ...], rng: np.random.Generator
) -> tuple[int, int]:
    """Choose a window's corner: mostly where something is written."""
    if written and rng.random() < 0.85:
        box = written[rng.integers(len(written))].box
        middle = np.array([box.y + box.height / 2, box.x + box.width / 2])
        corner = middle - rng.uniform(0.1, 0.9, 2) * SIDE
    else:
        corner = rng.uniform(0, 1, 2) * np.array(shape) - SIDE / 2
    limits = np.maximum(np.array(shape) - SIDE, 0)
    return tuple(int(v) for v in np.clip(corner, 0, limits))  # type: ignore[return-value]


def _cut(ink: NDArray[np.uint8], top: int, left: int) -> NDArray[np.uint8]:
    window = ink[top : top + SIDE, left : left + SIDE]
    missing = [(0, SIDE - length) for length in window.shape[:2]]
    return np.pad(window, [*missing, (0, 0)])  # [SIDE, SIDE, 2]
