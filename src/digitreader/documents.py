"""PDF documents: each page drawn when its turn comes, a scan with the pixels it has."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from digitreader.errors import MissingExtraError, SourceError, needs_extra
from digitreader.pictures import MAX_PIXELS, Pixels

RESOLUTION = 200 / 72  # px a point; a digit 4 mm high has 31 px
PAGE_PIXELS = 16_000_000  # A4 at 400 dpi; a larger page is drawn smaller
PAGE_SIDE = 32_000  # px, of a page that is nothing but long
MANY = 10_000  # things on a page; so many are a drawing, not a scan
AT_ONCE = 20  # pages; PDFium keeps what they are made of until their document is closed
COVERS = 0.9  # of the page: a picture from which it hides what lies below
PDFIUM = threading.RLock()  # PDFium knows no threads; a page let go may close while one is drawn

WHY = {  # by PDFium's error code
    2: "has no pages",
    4: "is locked with a password; save it without one first",
    5: "is locked in a way that is not known here; save it unlocked first",
}


def is_pdf(content: Path | bytes) -> bool:
    """Whether a file begins as a PDF does."""
    if isinstance(content, bytes):
        head = content[:64]
    else:
        with content.open("rb") as file:
            head = file.read(64)
    return head.lstrip(b"\xef\xbb\xbf\0\t\r\n ").startswith(b"%PDF-")


def draw(content: Path | bytes, name: str) -> Iterator[Pixels]:
    """Draw a document page by page: uint8 [H, W, 3].

    A page that is one scan comes with the scan's own pixels, any other at 200 dots per inch.

    Raises:
        SourceError: the document or a page is locked, broken or empty, or PDFium is missing;
            the message names it.
    """
    first, pages = 0, 1  # as many as there are, once the document is open
    while first < pages:
        document = _opened(content, name)
        try:
            pages = len(document)
            for index in range(first, min(first + AT_ONCE, pages)):
                with _pdfium(name, f"page {index + 1} cannot be drawn"):
                    pixels = _drawn(document, index)
                yield pixels
        finally:
            with PDFIUM:
                document.close()
        first += AT_ONCE


def _opened(content: Path | bytes, name: str) -> Any:
    try:
        with needs_extra("PDF", "pdf"):
            from pypdfium2 import PdfDocument, raw
    except MissingExtraError as error:  # of this source alone: others can be read
        raise SourceError(f"{name}: {error}") from error
    with _pdfium(name, "cannot be read as PDF"):
        # Where there are no pages PDFium leaves the code of an earlier error: make it 2, "no file".
        raw.FPDF_LoadDocument(b"", None)
        return PdfDocument(content if isinstance(content, bytes) else content.absolute())


@contextmanager
def _pdfium(name: str, failure: str) -> Iterator[None]:
    """Keep other threads out, and say in one line what went wrong."""
    from pypdfium2 import PdfiumError

    try:
        with PDFIUM:
            yield
    except PdfiumError as error:
        raise SourceError(f"{name}: {WHY.get(error.err_code, f'{failure}: {error}')}") from error
    except (OSError, ValueError, MemoryError) as error:
        raise SourceError(f"{name}: {failure}: {error}") from error


def _drawn(document: Any, index: int) -> Pixels:
    page = document[index]
    try:
        scans = _scans(page)
        bitmap = page.render(scale=_scale(page, scans), rev_byteorder=True)
        pixels: Pixels = bitmap.to_numpy()  # [H, W, 3]
        bitmap.close()  # the pixels are ours and stay
        if scans and pixels.min() == pixels.max() and any(map(_broken, scans)):
            raise ValueError("the picture on it is broken")  # PDFium would give a blank page
        return pixels
    finally:
        page.close()


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


def _broken(scan: Any) -> bool:
    from pypdfium2 import PdfiumError

    width, height = scan.get_px_size()
    if width * height > MAX_PIXELS:
        return True
    try:
        scan.get_bitmap().close()
    except PdfiumError:
        return True
    return False
