"""Where digits stand on a page, and what else is written there: one small network sees it all.

The network (training/page_network.py) looks at a page at a scale at which digits are some 32 px
high, and says for every cell of 4×4 px which digit the cell is in the middle of, or that it
belongs to other writing, or to nothing, and how far the character reaches around it. Touching
digits need no cutting that way, and a letter is told by its neighbours as much as by itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from digitreader.cells import CLASSES, DIGITS, OTHER_WRITING, STRIDE, Found, characters_of
from digitreader.classifier import session_of, shipped_model, softmax
from digitreader.company import SLENDER, in_company
from digitreader.errors import ModelError
from digitreader.ink import Inked
from digitreader.levels import percentile, percentile_of_sorted
from digitreader.onnx_file import read_whole
from digitreader.pieces import (
    LEGIBLE,
    STROKE,
    longest,
    pieces_of,
    sides_cut,
    usual_height,
    without_rules,
)
from digitreader.reading import Box

if TYPE_CHECKING:
    import onnxruntime

SHIPPED = "finder"
REACH = 16.0  # px; the network gives distances in it
COARSEST = 16  # px; sides are multiples of it

HEIGHT = 32.0  # px; digits are brought to about this height
LEAST_HEIGHT = 10.0  # px; smaller writing is not looked for
FITTING = (20.0, 48.0)  # px; found ones that are usually outside are looked at again
FAINT = 0.15  # contrast that is shown half as bright as the strongest
LEVELS = np.linspace(0, 1, 256)  # of contrast
RAISED = np.rint(255 * (1 + FAINT) * LEVELS / (LEVELS + FAINT)).astype(np.uint8)
PARTS = (8, 16)  # of a page's longest side that digits may be high
LETTER = 0.1  # of a digit counts another character, where sizes are compared
SMALLEST = 32  # where nothing is found otherwise
MOST = 3_000_000  # px the network is shown at most
HALF = 0.5  # probability from which something is thought to be so
SURELY = 0.85  # and that at least one digit of a page has: an empty one's noise looks like some
PAPER_AND_INK = (30, 97)  # percentiles of a box: between the strokes, and in their middle
TILE = 16  # px of what the network is shown
ROOM = 8  # tiles a side, from which some hold no writing
EMPTIEST = 5  # percent of a page's tiles at least hold no writing
CLEARLY = 1.6  # times the grain of the paper: from there it is ink
TEMPERATURE = 0.8  # fitted on made-up pages of held-out writers


Looks = dict[float, list[Found]]  # what was found on a page in each size


class Finder:
    """The page network, ready to run. Safe to share between threads."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session

    @classmethod
    def open(cls, path: Path | None = None, threads: int = 0) -> Finder:
        """Load the network, None means the one that ships, to run on so many threads.

        0 means one for each core.

        Raises:
            ModelError: the file is missing, corrupt, or holds another network.
        """
        path = path or shipped_model(SHIPPED)
        session = session_of(read_whole(path), path, threads)
        ends = [
            [one.name for one in some] for some in (session.get_inputs(), session.get_outputs())
        ]
        if ends != [["ink"], ["cells"]]:
            raise ModelError(f"{path} is no finder, as 'digitreader train-finder' makes it")
        return cls(session)

    def find(
        self, page: Inked, height: float | None = None, looks: Looks | None = None
    ) -> list[Found]:
        """Find all characters of a page.

        `height` says how high a digit is, in px. Where it is None, the page is looked at in a few
        sizes: at the one that the pieces of its ink suggest, and at two at which digits are
        large, which takes little time. The one at which most is found counts; where the digits
        in it turn out to be much larger or smaller, the page is looked at once more. Where none
        of its digits is sure, all that it holds is other writing. `looks` keeps what was found in
        each size, for who asks of the same page again.
        """
        shown = shown_of(page)
        looks = {} if looks is None else looks
        if height is not None:
            return self._at(shown, _scale(shown, HEIGHT / height), looks)
        longest_side = max(page.ink.shape)
        suggested = _height_of(page.ink)
        heights = [suggested] * (suggested > 0) + [longest_side / part for part in PARTS]
        scales = dict.fromkeys(_scale(shown, HEIGHT / height) for height in heights)
        seen = {scale: self._at(shown, scale, looks) for scale in scales}
        scale = max(seen, key=lambda scale: _written_in(seen[scale]))
        found = seen[scale]
        smallest = _scale(shown, HEIGHT * SMALLEST / longest_side)
        if not found and suggested > 0 and smallest not in seen:
            found, scale = self._at(shown, smallest, looks), smallest
        digits = [f.box.height for f in found if f.digit > HALF]
        usual = float(np.median(digits)) * scale if digits else HEIGHT
        if not FITTING[0] <= usual <= FITTING[1]:
            found = self._at(shown, _scale(shown, scale * HEIGHT / usual), looks)
        found = [f for f in found if not _runs_on(f.box, page.ink)]
        found = _judged_in_company(found, page.ink)
        if max((f.digit for f in found), default=0) < SURELY:
            return [_with_digit(f, 0) for f in found]
        return found

    def _at(self, shown: NDArray[np.uint8], scale: float, looks: Looks) -> list[Found]:
        if scale not in looks:
            looks[scale] = self._look(shown, scale)
        return looks[scale]

    def _look(self, shown: NDArray[np.uint8], scale: float) -> list[Found]:
        height, width = shown.shape[:2]
        size = [max(1, round(side * scale)) for side in (width, height)]
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        seen = np.asarray(cv2.resize(shown, size, interpolation=how), np.uint8)
        found = characters_of(self.cells(seen))
        if min(seen.shape[:2]) >= ROOM * TILE:  # a crop of one digit has no paper to compare
            found = _standing_out(found, seen[..., 0])
        found = [_scaled(f, 1 / scale, (height, width)) for f in found]
        return [f for f in found if f.box.height >= 0.9 * LEAST_HEIGHT]

    def cells(self, ink: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Run the network on what `shown_of` gives, uint8 [H, W, 2]: float32 [h, w, CLASSES + 4].

        The probabilities of the classes, then the edges of the box in px of the input.
        """
        height, width, _ = ink.shape
        rim = [(COARSEST, COARSEST + -side % COARSEST) for side in (height, width)]
        (out,) = self._session.run(["cells"], {"ink": np.pad(ink, [*rim, (0, 0)])[None]})
        cells = out[0, COARSEST // STRIDE :, COARSEST // STRIDE :]
        cells = cells[: -(-height // STRIDE), : -(-width // STRIDE)]
        logits = cells[..., :CLASSES].reshape(-1, CLASSES) / np.float32(TEMPERATURE)
        flat = softmax(logits).reshape(*cells.shape[:2], -1)
        return np.concatenate([flat, cells[..., CLASSES:] * REACH], axis=2)


def shown_of(page: Inked) -> NDArray[np.uint8]:
    """What the network is shown of a page: its contrast and its black, uint8 [H, W, 2].

    Faint strokes are raised: a tenth of the paper's light becomes two fifths, so that a pencil
    is seen beside a marker. What is noise the network has learnt itself.
    """
    levels = cv2.convertScaleAbs(cv2.merge([page.contrast, page.black]), alpha=255)
    return np.asarray(cv2.LUT(levels, RAISED), np.uint8)


def _height_of(ink: NDArray[np.float32]) -> float:
    """How high the writing may be, px: the usual height of pieces that are no frames, or 0."""
    _, pieces = pieces_of(without_rules(without_rules(ink).T).T)
    pieces = [p for p in pieces if LEGIBLE <= longest(p.box) < max(ink.shape) / 2]
    if not pieces:
        return 0.0
    return usual_height([p for p in pieces if not sides_cut(p.box, ink.shape)] or pieces)


def _scale(shown: NDArray[np.uint8], wanted: float) -> float:
    """The wanted scale, or the largest that shows a page's smallest writing, and all of it."""
    height, width = shown.shape[:2]
    return min(wanted, HEIGHT / LEAST_HEIGHT, float(np.sqrt(MOST / (height * width))))


def _written_in(found: list[Found]) -> float:
    """How much of the page's writing is found, px of height: mostly digits, the surer the more."""
    return sum(
        f.box.height * (max(f.digit - HALF, 0) + LETTER * (f.character - HALF))
        for f in found
        if f.character > HALF
    )


def _standing_out(found: list[Found], seen: NDArray[np.uint8]) -> list[Found]:
    """Only what is darker than its paper by more than the paper's grain: noise has shapes, too."""
    if not found:
        return found
    grain = CLEARLY * _grain(seen)
    kept = []
    for f in found:
        left, top, right, bottom = (max(0, int(v)) for v in f.box)  # corners, not sides, so far
        window = seen[top : bottom + 1, left : right + 1]
        if window.size and _contrast(window.ravel()) > grain:
            kept.append(f)
    return kept


def _contrast(levels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """From paper to ink in windows: [..., N] → [...]."""
    ordered = np.sort(levels, axis=-1)
    paper, ink = (percentile_of_sorted(ordered, percent) for percent in PAPER_AND_INK)
    return np.asarray(ink - paper)


def _grain(seen: NDArray[np.uint8]) -> float:
    """By how much paper differs from itself, in tiles that fit between strokes."""
    tile = min(TILE, *seen.shape)
    down, across = (side // tile for side in seen.shape)
    tiles = seen[: down * tile, : across * tile].reshape(down, tile, across, tile)
    return percentile(_contrast(tiles.swapaxes(1, 2).reshape(-1, tile * tile)), EMPTIEST)


def _judged_in_company(found: list[Found], ink: NDArray[np.float32]) -> list[Found]:
    """Digits and other writing told apart once more, by those beside them."""
    found = [f for f in found if f.character > HALF]
    own = np.array([f.digit / f.character for f in found])
    judged = in_company([f.box for f in found], own, ink)
    return [_with_digit(f, float(p)) for f, p in zip(found, judged, strict=True)]


def _runs_on(box: Box, ink: NDArray[np.float32]) -> bool:
    """Whether a slender box is but a part of a longer line, or the side of a frame."""
    if box.width > SLENDER * box.height:
        return False
    beyond = max(2, round(0.12 * box.height))
    reach = slice(max(0, box.x - 2 * box.width), box.right + 2 * box.width)
    middle = slice(box.x, box.right)
    ends = (slice(max(0, box.y - beyond), box.y), slice(box.bottom, box.bottom + beyond))
    near = (
        slice(max(0, box.y - beyond), box.y + beyond),
        slice(max(0, box.bottom - beyond), box.bottom + beyond),
    )
    for end, around in zip(ends, near, strict=True):
        goes_on = (ink[end, middle] > STROKE).any(axis=1)
        bar = (ink[around, reach] > STROKE).mean(axis=1)
        if not ((goes_on.size and goes_on.mean() > 0.8) or (bar.size and bar.max() > 0.9)):
            return False
    return True


def _with_digit(found: Found, digit: float) -> Found:
    """The same character, as likely a digit as that, if it is one at all."""
    classes = found.classes.copy()
    classes[:DIGITS] *= digit * found.character / max(found.digit, 1e-9)
    classes[OTHER_WRITING] = (1 - digit) * found.character
    return Found(found.box, classes)


def _scaled(found: Found, scale: float, shape: tuple[int, ...]) -> Found:
    left, top, right, bottom = (v * scale for v in found.box)  # corners, not sides, so far
    x, y = max(0, round(left)), max(0, round(top))
    right, bottom = min(shape[1], round(right)), min(shape[0], round(bottom))
    return Found(Box(x, y, max(1, right - x), max(1, bottom - y)), found.classes)
