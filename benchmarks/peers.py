"""Two readers of any text beside ours, on the same pictures: Tesseract and RapidOCR.

Neither is made for single handwritten digits, so each is called in several ways that a user could
try, and on each set of pictures the way that did best there is the one it is judged by. "Prepared"
pictures are dark on light, small ones enlarged and large ones of one digit reduced to about
64 px, with a white border; others are given as they are.
"""

from __future__ import annotations

import csv
import importlib
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from digitreader.sources import open_pages
from nothing import EMPTY
from pool import OURS, SETS, MakeEngine, OurReader, Run, Ways, outcomes, sample
from scores import Answer, Outcome, count_lines, invented, invented_row, lines_row, share
from sets import PAGED, Case, Pictures

Image = NDArray[np.uint8]
Segment = tuple[str, float, float, float]  # text, left, top, bottom in px

MOST = 200  # pictures of a set; the peers are slow, on pages most
HIGH = 64  # px; single digits are prepared to about this height
BORDER = 24  # px, white
MOST_PAGES = 100
SECONDS = 120  # for one call of the program
SCATTERED = 11  # the page mode that gives text in no order
WORD = "5"  # the level of a word in Tesseract's table
LOOKS_LIKE = str.maketrans("OoDIl|ZzASsbBgq", "000111224556899")


# --- pictures as peers get them -----------------------------------------------------------------


def pixels_of(case: Case) -> Image:
    """Return an upright picture: uint8 [H, W, 3]."""
    pixels = next(islice(open_pages(case.picture), 1)).pixels
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    return np.ascontiguousarray(pixels)


def dark_on_light(pixels: Image) -> Image:
    return 255 - pixels if np.median(pixels) < 128 else pixels


def prepared(pixels: Image) -> Image:
    """One digit, dark on light, about HIGH px high, with a border: uint8 [h, w, 3]."""
    pixels = dark_on_light(pixels)
    scale = HIGH / max(pixels.shape[:2])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    sized = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=how)
    rim = (BORDER,) * 4
    bordered = cv2.copyMakeBorder(sized, *rim, cv2.BORDER_CONSTANT, value=(255, 255, 255))
    return np.asarray(bordered, np.uint8)


# --- from text to digits ------------------------------------------------------------------------


def digits_in(texts: Sequence[str]) -> tuple[str, ...]:
    """Digits of each line of text, lines without any left out."""
    lines = (re.sub(r"[^0-9]", "", text) for text in texts)
    return tuple(line for line in lines if line)


def numbers_in(texts: Sequence[str]) -> tuple[str, ...]:
    """As `digits_in`, but words that hold letters are left out."""
    return digits_in([" ".join(w for w in text.split() if not re.search(r"[^\W\d_]", w))
                      for text in texts])  # fmt: skip


def in_rows(segments: Sequence[Segment]) -> list[str]:
    """Put what stands side by side into one line, as the truth has it, from left to right."""
    rows: list[list[Segment]] = []
    for segment in sorted(segments, key=lambda s: s[1]):
        row = next((r for r in rows if _beside(r[-1], segment)), None)
        if row is None:
            rows.append([segment])
        else:
            row.append(segment)
    return [" ".join(text for text, *_ in row) for row in rows]


def _beside(a: Segment, b: Segment) -> bool:
    shared = min(a[3], b[3]) - max(a[2], b[2])
    return shared > 0.35 * min(a[3] - a[2], b[3] - b[2])


# --- the peers ----------------------------------------------------------------------------------


class Tesseract:
    """The program, called once for each picture and way."""

    WHITELIST = ("-c", "tessedit_char_whitelist=0123456789")

    def __call__(self, case: Case, pictures: Pictures) -> Ways:
        """Single digits as a character, a word or a line; pages as a block or as scattered text."""
        pixels = pixels_of(case)
        if pictures.layout == "single":
            small = prepared(pixels)
            return {
                "psm 10": self._digits(pixels, 10),
                "psm 10, prepared": self._digits(small, 10),
                "psm 8, prepared": self._digits(small, 8),
                "psm 13, prepared": self._digits(small, 13),
            }
        page = dark_on_light(pixels)
        block, scattered = self._digits(page, 6), self._digits(page, 11)
        return {
            "psm 6": block,
            "psm 11": scattered,
            "psm 7 where there is one line, else 6":
                self._digits(page, 7) if len(case.lines) == 1 else block,
            "psm 6, any text, words with letters left out": self._numbers(page, 6),
            "psm 11, any text, words with letters left out": self._numbers(page, 11),
        }  # fmt: skip

    def _digits(self, pixels: Image, mode: int) -> Answer:
        return Answer(digits_in(self._texts(pixels, mode, *self.WHITELIST)))

    def _numbers(self, pixels: Image, mode: int) -> Answer:
        return Answer(numbers_in(self._texts(pixels, mode)))

    def _texts(self, pixels: Image, mode: int, *more: str) -> list[str]:
        if mode != SCATTERED:
            return self._called(pixels, mode, *more)
        rows = csv.DictReader(
            self._called(pixels, mode, *more, "tsv"), delimiter="\t", quoting=csv.QUOTE_NONE
        )
        words = (row for row in rows if row["level"] == WORD and row["text"])
        return in_rows([
            (w["text"], float(w["left"]), float(w["top"]), float(w["top"]) + float(w["height"]))
            for w in words
        ])  # fmt: skip

    def _called(self, pixels: Image, mode: int, *more: str) -> list[str]:
        encoded = cv2.imencode(".png", pixels[..., ::-1])[1].tobytes()
        command = ["tesseract", "-", "-", "--psm", str(mode), *more]
        one_thread = {**os.environ, "OMP_THREAD_LIMIT": "1"}  # as many processes as cores
        done = subprocess.run(
            command,
            input=encoded,
            capture_output=True,
            env=one_thread,
            timeout=SECONDS,
            check=False,
        )
        # It ends with 1 where a picture is too small for it: nothing was read.
        return done.stdout.decode("utf-8", "replace").splitlines()

    @staticmethod
    def missing() -> str | None:
        """Why it cannot be run, and how to get it."""
        if shutil.which("tesseract") is None:
            return "no program 'tesseract' on the path; on Debian: apt-get install tesseract-ocr"
        return None

    @staticmethod
    def versions() -> dict[str, str]:
        done = subprocess.run(
            ["tesseract", "--version"], capture_output=True, text=True, check=True
        )
        return {"tesseract": done.stdout.split()[1]}


class Rapid:
    """RapidOCR with the models of its wheel: finds lines, turns them, recognises their text."""

    def __init__(self) -> None:
        made: Any = importlib.import_module("rapidocr").RapidOCR
        threads = {"EngineConfig.onnxruntime.intra_op_num_threads": 1, "Global.log_level": "error"}
        self._engine = made(params=threads)

    def __call__(self, case: Case, pictures: Pictures) -> Ways:
        """Single digits by recognition alone and as a page; pages as they are."""
        pixels = pixels_of(case)
        if pictures.layout == "single":
            small = prepared(pixels)
            texts = {
                "recognition only": self._recognised(pixels),
                "recognition only, prepared": self._recognised(small),
                "found and recognised": self._page(pixels),
                "found and recognised, prepared": self._page(small),
            }
            alike = {f"{way}, letters that look like digits taken for them":
                     [text.translate(LOOKS_LIKE) for text in said]
                     for way, said in texts.items()}  # fmt: skip
            return {way: Answer(digits_in(said)) for way, said in (texts | alike).items()}
        lines = self._page(pixels)
        return {
            "all digits": Answer(digits_in(lines)),
            "words with letters left out": Answer(numbers_in(lines)),
        }

    def _recognised(self, pixels: Image) -> list[str]:
        said = self._engine(pixels[..., ::-1], use_det=False, use_cls=False, use_rec=True)
        return list(said.txts or ())

    def _page(self, pixels: Image) -> list[str]:
        # Each switch is named, for the engine keeps those of the call before.
        said = self._engine(pixels[..., ::-1], use_det=True, use_cls=True, use_rec=True)
        if said.boxes is None:
            return []
        segments = [
            (text, float(box[:, 0].min()), float(box[:, 1].min()), float(box[:, 1].max()))
            for text, box in zip(said.txts, said.boxes, strict=True)
        ]
        return in_rows(segments)

    @staticmethod
    def missing() -> str | None:
        """Why it cannot be run, and how to get it."""
        if importlib.util.find_spec("rapidocr") is None:
            return "no package rapidocr; pip install rapidocr onnxruntime"
        return None

    @staticmethod
    def versions() -> dict[str, str]:
        return {"rapidocr": version("rapidocr"), "onnxruntime": version("onnxruntime")}


PEERS: dict[str, type[Tesseract] | type[Rapid]] = {"Tesseract": Tesseract, "RapidOCR": Rapid}


# --- side by side -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """How good a set's answers by one way are, and the row that says so."""

    good: float
    row: dict[str, Any]


def compare(model: Path | None, run: Run, names: Sequence[str] | None = None) -> dict[str, Any]:
    """Read the same sample of every set with ours and with each peer that is installed."""
    makers: dict[str, MakeEngine] = {OURS: partial(OurReader, model)}
    peers: dict[str, Any] = {}
    for peer, kind in PEERS.items():
        reason = kind.missing()
        peers[peer] = {"skipped": reason} if reason else {"versions": kind.versions()}
        if reason:
            print(f"{peer} skipped: {reason}")
        else:
            makers[peer] = kind
    sets = {}
    for name in names or SETS:
        chosen = sample(name, run, MOST_PAGES if name in PAGED else MOST)
        sets[name] = {
            reader: judged(name, outcomes(name, make, run, chosen, f"{name}, {reader}"))
            for reader, make in makers.items()
        }
        for reader, told in sets[name].items():
            print(f"{name:20} {reader:12} {told['summary']}  ({told['way']})", flush=True)
    return {"most": MOST, "most_pages": MOST_PAGES, "peers": peers, "sets": sets}


def judged(name: str, read: Sequence[Outcome]) -> dict[str, Any]:
    """The row of the way that did best, and how good every way was."""
    judge: Callable[[Sequence[Outcome], str], Verdict] = JUDGES.get(name, _single)
    verdicts = {way: judge(read, way) for way in read[0].answers}
    best = max(verdicts, key=lambda way: verdicts[way].good)
    ways = {way: verdict.good for way, verdict in verdicts.items()}
    row = verdicts[best].row
    if "digits_per_picture" in row:
        summary = f"{row['digits_per_picture']:.2f} a picture"
    else:
        summary = f"{row['right']}/{row['n']} ({100 * verdicts[best].good:.1f}%)"
    return {"way": best, "summary": summary, "pictures": len(read), **row, "ways": ways}


def _single(read: Sequence[Outcome], way: str) -> Verdict:
    right = sum("".join(o.answers[way].lines) == "".join(o.lines) for o in read)
    return Verdict(right / len(read), share(right, len(read)))


def _pages(read: Sequence[Outcome], way: str) -> Verdict:
    row = lines_row([count_lines(o.lines, o.answers[way].lines) for o in read])
    return Verdict(row["accuracy"] or 0.0, row)


def _empty(read: Sequence[Outcome], way: str) -> Verdict:
    made_up = float(np.mean([invented(o.answers[way]) for o in read]))
    return Verdict(-made_up, invented_row(read, way))


JUDGES: dict[str, Callable[[Sequence[Outcome], str], Verdict]] = {
    **dict.fromkeys(PAGED, _pages),
    **dict.fromkeys(EMPTY, _empty),
}
