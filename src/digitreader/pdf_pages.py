"""The pages of one PDF document drawn to standard output, by a process that does nothing else.

A document of 4 kB can keep PDFium busy for hours, fill the memory or end the process that it runs
in. So `documents.py` gives each document a process of its own, which starts in 0.07 s as long as
it imports neither NumPy nor what reads digits.

For each page there is a line of JSON with its `shape`, [H, W, 3], and then that many bytes, RGB;
or with why it is `broken`. Where a document goes no further, a last line has the `error`, and
PDFium's `code`.
"""

from __future__ import annotations

import json
import math
import os
import sys
import threading
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

RESOLUTION = 200 / 72  # px a point; a digit 4 mm high has 31 px
PAGE_PIXELS = 16_000_000  # A4 at 400 dpi; a larger page is drawn smaller
PAGE_SIDE = 32_000  # px, of a page that is nothing but long
MANY = 10_000  # things on a page; so many are a drawing, not a scan
AT_ONCE = 20  # pages; PDFium keeps what they are made of until their document is closed
MOST_BROKEN = 20  # pages; a document of 1 kB can claim a million that it has not
COVERS = 0.9  # of the page: a picture from which it hides what lies below

SECONDS = 4  # of a processor, for one page
TOO_LONG = 75  # the exit code of a process that a page kept busy for more
MEMORY = 800_000_000  # bytes of addresses, where the system keeps to that: Linux does

Drawn = tuple[int, int, Any]  # height, width, and a buffer of RGB


def main(path: str, most: int) -> None:
    """Draw a document, that of standard input where the path is `-`.

    A picture on it is looked at for damage where it has so many pixels at most.
    """
    _limit_memory()
    limit = TimeLimit()
    try:
        for page in _pages(sys.stdin.buffer.read() if path == "-" else path, most):
            limit.lift()
            if isinstance(page, Exception):
                _say(broken=_named(page))
            else:
                height, width, pixels = page
                _say(shape=[height, width, 3])
                sys.stdout.buffer.write(pixels)
            sys.stdout.buffer.flush()  # before the next page ends the process
            limit.start()
    except Exception as error:  # a damaged document makes it stumble in many ways
        _say(error=_named(error), code=getattr(error, "err_code", None))


def _named(error: Exception) -> str:
    return str(error) or type(error).__name__


class TimeLimit:
    """Ends the process once it has computed for too long since `start`.

    Time in which it waits for a processor, or for the reader of its pages, does not count.
    """

    def __init__(self) -> None:
        self.start()
        threading.Thread(target=self._watch, daemon=True).start()

    def start(self) -> None:
        self._end = time.process_time() + SECONDS

    def lift(self) -> None:
        self._end = math.inf

    def _watch(self) -> None:
        while time.process_time() < self._end:
            time.sleep(0.1)
        os._exit(TOO_LONG)


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows has none
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # PDFium ends itself where memory is short


def _say(**told: Any) -> None:
    sys.stdout.buffer.write(json.dumps(told).encode() + b"\n")


def _pages(content: str | bytes, most: int) -> Iterator[Drawn | Exception]:
    """Draw page after page, or tell what is wrong with it; too many that are broken are the end."""
    from pypdfium2 import PdfDocument, raw

    broken = 0
    first, count = 0, 1  # as many as there are, once the document is open
    while first < count:
        # Where there are no pages PDFium leaves the code of an earlier error: make it 2, "no file".
        raw.FPDF_LoadDocument(b"", None)
        with PdfDocument(content) as document:
            count = len(document)
            for index in range(first, min(first + AT_ONCE, count)):
                page = _tried(document, index, most)
                if isinstance(page, Exception):
                    broken += 1
                    if broken > MOST_BROKEN:
                        raise page
                yield page
        first += AT_ONCE


def _tried(document: Any, index: int, most: int) -> Drawn | Exception:
    try:
        return _drawn(document[index], most)
    except Exception as error:  # a damaged page, too
        return error


def _drawn(page: Any, most: int) -> Drawn:
    scans = _scans(page)
    bitmap = page.render(scale=_scale(page, scans), rev_byteorder=True)
    pixels = memoryview(bitmap.buffer).cast("B")
    # PDFium gives a blank page where the picture on it is broken.
    if scans and _is_blank(pixels) and any(_broken(scan, most) for scan in scans):
        raise ValueError("the picture on it is broken or too large")
    page.close()
    return bitmap.height, bitmap.width, pixels


def _is_blank(pixels: memoryview) -> bool:
    """Whether all pixels of three bytes are the same."""
    return pixels[3:] == pixels[:-3]


def _scale(page: Any, scans: list[Any]) -> float:
    """Pixels a point."""
    width, height = page.get_size()
    wanted = max(map(_density, scans), default=0) or RESOLUTION
    most = min(math.sqrt(PAGE_PIXELS / (width * height)), PAGE_SIDE / max(width, height))
    # PDFium's sizes are rounded to 32 bits, and its bitmaps up: 1653.0001 px would become 1654.
    return float(min(wanted, most)) * (1 - 1e-4)


def _scans(page: Any) -> list[Any]:
    """The pictures on a page that shows nothing else.

    Text under a picture, or invisible, is there to be searched.
    """
    from pypdfium2 import raw

    things = list(islice(page.get_objects(), MANY))
    if len(things) == MANY or raw.FPDFPage_GetAnnotCount(page):
        return []
    scans, shows_more = [], False
    width, height = page.get_size()
    for thing in things:
        if thing.type == raw.FPDF_PAGEOBJ_IMAGE:
            scans.append(thing)
            across, down = _extent(thing)
            shows_more = shows_more and across * down < COVERS * width * height
        elif thing.type != raw.FPDF_PAGEOBJ_FORM:  # a group, whose members come on their own
            shows_more = shows_more or not _invisible(thing)
    return [] if shows_more else scans


def _invisible(thing: Any) -> bool:
    from pypdfium2 import raw

    if thing.type != raw.FPDF_PAGEOBJ_TEXT:
        return False
    return bool(raw.FPDFTextObj_GetTextRenderMode(thing) == raw.FPDF_TEXTRENDERMODE_INVISIBLE)


def _density(scan: Any) -> float:
    """Pixels a point, along the side where they are closer: a fax has half as many down."""
    across, down = _extent(scan)
    width, height = scan.get_px_size()
    return max(width / across, height / down) if across * down else 0.0


def _extent(scan: Any) -> tuple[float, float]:
    """Points that a picture's two sides take on the page, however it is turned."""
    matrix, group = scan.get_matrix(), scan.container
    while group is not None:  # pictures may stand in groups, and groups in groups
        matrix, group = matrix.multiply(group.get_matrix()), group.container
    a, b, c, d, *_ = matrix.get()
    return math.hypot(a, b), math.hypot(c, d)


def _broken(scan: Any, most: int) -> bool:
    from pypdfium2 import PdfiumError

    width, height = scan.get_px_size()
    if width * height > most:
        return True
    try:
        scan.get_bitmap()
    except PdfiumError:
        return True
    return False


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
