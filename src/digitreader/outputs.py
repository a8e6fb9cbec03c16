"""Readings written down: as a table, JSON, JSON lines, CSV, Parquet, and drawn into the page."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TextIO

import numpy as np
from numpy.typing import NDArray

from digitreader.arrow import schema, table_of
from digitreader.errors import AS_ESCAPES, UsageError, printable
from digitreader.reading import Digit, Reading, percent
from digitreader.writing import whole

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

Labels = Sequence[str]
Writer = Callable[[Iterable[Reading], Any, Labels], None]  # to a text stream, or a binary one


@dataclass(frozen=True)
class Format:
    """A form of output: how it is written, the suffixes of its files, and a line about it."""

    write: Writer
    suffixes: tuple[str, ...]
    about: str
    binary: bool = False


def format_of(path: Path) -> str:
    """Return the format that a file's suffix names.

    Raises:
        UsageError: none does.
    """
    for name, form in FORMATS.items():
        if path.name.lower().endswith(form.suffixes):
            return name
    known = " ".join(suffix for form in FORMATS.values() for suffix in form.suffixes)
    raise UsageError(
        f"{path}: the suffix {path.suffix!r} names no format; expected {known}, or add --format"
    )


def write_json(readings: Iterable[Reading], stream: TextIO, labels: Labels) -> None:
    """One object for one page, an array with an object a line for several."""
    del labels
    rows = (json.dumps(reading.as_dict(), ensure_ascii=False) for reading in readings)
    first, second = next(rows, None), next(rows, None)
    if first is not None and second is None:
        stream.write(first + "\n")
        return
    stream.write("[")
    for i, row in enumerate(chain(filter(None, (first, second)), rows)):
        stream.write((",\n" if i else "\n") + row)
    stream.write("\n]\n")


def write_jsonl(readings: Iterable[Reading], stream: TextIO, labels: Labels) -> None:
    """One object a line, each as soon as it is ready."""
    del labels
    for reading in readings:
        stream.write(json.dumps(reading.as_dict(), ensure_ascii=False) + "\n")
        stream.flush()


def write_csv(readings: Iterable[Reading], stream: TextIO, labels: Labels) -> None:
    """One row a digit; a page without digits, or one that failed, has one row all the same."""
    plain = csv.writer(stream, lineterminator="\n")
    quoted = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_ALL)
    plain.writerow([*PAGE_COLUMNS, *DIGIT_COLUMNS, *(f"p_{label}" for label in labels)])
    for reading in readings:
        page = (reading.source, reading.page, reading.status, reading.text, reading.model,
                reading.error or "")  # fmt: skip
        # A name may hold a carriage return, which ends a row and which Python quotes from 3.13 on.
        writer = quoted if any("\r" in str(cell) for cell in page) else plain
        writer.writerows([*page, i, *_digit_row(d)] for i, d in enumerate(reading.digits, 1))
        if not reading.digits:
            writer.writerow([*page, *[""] * (len(DIGIT_COLUMNS) + len(labels))])
        stream.flush()


def write_submission(readings: Iterable[Reading], stream: TextIO, labels: Labels) -> None:
    """Kaggle's form: a row a picture, numbered from 1, with what it says.

    A picture that may be no digit has the likeliest label all the same; an empty one, and one
    that could not be read, has none.
    """
    del labels
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["ImageId", "Label"])
    writer.writerows([i, _said(reading)] for i, reading in enumerate(readings, 1))


def _said(reading: Reading) -> str:
    return reading.text or next((digit.top3[0][0] for digit in reading.digits), "")


def write_table(readings: Iterable[Reading], stream: TextIO, labels: Labels) -> None:
    """A table for people, when all pages are read."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    del labels
    table = Table("picture", "text", "confidence", "status", box=None, pad_edge=False)
    table.columns[1].no_wrap = True
    for reading in readings:
        name = printable(reading.source)
        lowest = min((digit.confidence for digit in reading.digits), default=None)
        table.add_row(
            Text(f"{name} (page {reading.page})" if reading.page > 1 else name),
            Text(reading.text, style="bold"),
            "" if lowest is None else percent(lowest),
            Text(reading.error or reading.status, style=STATUS_STYLES[reading.status]),
        )
    # A pipe has no width: let no cell be cut there.
    Console(file=stream, width=None if stream.isatty() else 10_000).print(table)


def write_parquet(readings: Iterable[Reading], stream: IO[bytes], labels: Labels) -> None:
    """One row a page, its digits a list in it, as in JSON; the three likeliest as pairs."""
    del labels
    own = schema()
    from pyarrow import parquet

    rows = iter(readings)
    with parquet.ParquetWriter(stream, own) as writer:
        while group := list(islice(rows, PARQUET_GROUP)):
            writer.write_table(table_of(group))


def write_json_file(value: object, path: Path) -> None:
    """Write a value as JSON; the file appears under its name only when it is `whole`."""
    text = json.dumps(value, ensure_ascii=False, indent=2) + "\n"
    with whole(path) as draft:
        draft.write_text(text, encoding="utf-8", errors=AS_ESCAPES)  # which are JSON's, too


def write_csv_file(rows: Sequence[Mapping[str, object]], path: Path) -> None:
    """Write rows, one or more, as CSV under the names of the first; `whole` as JSON is."""
    with (
        whole(path) as draft,
        draft.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


FORMATS: dict[str, Format] = {
    "table": Format(write_table, (".txt",), "for people"),
    "json": Format(write_json, (".json",), "an object for one page, an array for several"),
    "jsonl": Format(write_jsonl, (".jsonl", ".ndjson"), "an object a line, as they are ready"),
    # Before csv, whose suffix its files have too.
    "submission": Format(write_submission, ("submission.csv",), "ImageId,Label, as Kaggle asks"),
    "csv": Format(write_csv, (".csv",), "a row a digit, with all probabilities"),
    "parquet": Format(write_parquet, (".parquet",), "a row a page, its digits in it", binary=True),
}
PARQUET_GROUP = 1000  # pages a row group
PAGE_COLUMNS = ("source", "page", "status", "text", "model", "error")
DIGIT_COLUMNS = ("index", "label", "confidence", "digit_status", "x", "y", "width", "height")
STATUS_STYLES = {
    "ok": "green", "unsure": "yellow", "not_a_digit": "dim", "empty": "dim", "error": "red"
}  # fmt: skip
COLOURS = {"ok": (31, 119, 60), "unsure": (214, 100, 15), "not_a_digit": (110, 110, 110)}


def _digit_row(digit: Digit) -> list[object]:
    probabilities = (f"{p:.6f}" for p in digit.probabilities)
    return [digit.label, f"{digit.confidence:.6f}", digit.status, *digit.box, *probabilities]


def annotated(
    pixels: NDArray[np.uint8], reading: Reading, shape: tuple[int, int] | None = None
) -> Image.Image:
    """Return the page, uint8 [H, W] or [H, W, 3], with boxes, labels and confidences drawn in.

    A small page is enlarged, so that the writing can be read. `shape` is the height and width
    that boxes are counted in, where that is not the pixels' own (see `Page`).
    """
    from PIL import Image, ImageDraw

    page = Image.fromarray(pixels).convert("RGB")
    factor = max(1, round(320 / max(page.size)))
    page = page.resize((page.width * factor, page.height * factor), Image.Resampling.NEAREST)
    down, across = (
        n / of for n, of in zip(page.size[::-1], shape or pixels.shape[:2], strict=True)
    )
    draw = ImageDraw.Draw(page)
    line = max(1, round(max(page.size) / 400))
    for digit in reading.digits:
        scales = (across, down, across, down)
        x, y, width, height = (round(v * s) for v, s in zip(digit.box, scales, strict=True))
        colour = COLOURS[digit.status]
        corners = (
            (max(0, x - line), max(0, y - line)),
            (
                min(page.width - 1, x + width),
                min(page.height - 1, y + height),
            ),
        )
        draw.rectangle(corners, outline=colour, width=line)
        size = max(12, min(height // 3, max(page.size) // 22))
        _tag(draw, digit.label or "no digit", (x - line, y - line), "lb", size, colour)
        _tag(
            draw,
            percent(digit.confidence),
            (x - line, y + height),
            "lt",
            max(10, size // 2),
            colour,
        )
    return page


def _tag(  # noqa: PLR0913, PLR0917 (what a label is made of)
    draw: ImageDraw.ImageDraw,
    words: str,
    corner: tuple[int, int],
    anchor: str,
    size: int,
    colour: tuple[int, int, int],
) -> None:
    """Write on a coloured patch whose corner (Pillow's anchor) lies here, within the picture."""
    from PIL import ImageFont

    font = ImageFont.load_default(size=size)
    left, top, right, bottom = draw.textbbox(corner, words, font=font, anchor=anchor)
    down = max(0, 2 - int(top)) - max(0, int(bottom) + 2 - draw.im.size[1])
    patch = (left - 1, top - 2 + down, right + 3, bottom + 2 + down)
    draw.rectangle(patch, fill=colour)
    draw.text((corner[0] + 1, corner[1] + down), words, font=font, fill="white", anchor=anchor)
