"""PDF documents: each drawn page by page by a process of its own, which a bad one may end."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from io import BufferedReader
from itertools import count
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from typing import Any

import numpy as np

from digitreader import pdf_pages
from digitreader.errors import MissingExtraError, SourceError
from digitreader.pictures import MAX_PIXELS, Pixels

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


def draw(content: Path | bytes, name: str) -> Iterator[Pixels | SourceError]:
    """Draw a document page by page: uint8 [H, W, 3]; of a broken page comes what is wrong with it.

    A page that is one scan comes with the scan's own pixels, any other at 200 dots per inch.

    Raises:
        SourceError: the document is locked, broken or empty, too many of its pages are broken, or
            one takes too much time or memory, or PDFium is missing; the message names it.
    """
    if find_spec("pypdfium2") is None:  # which concerns this source alone: others can be read
        raise SourceError(f"{name}: {MissingExtraError('PDF', 'pdf')}")
    with _drawing(content) as process:
        for number in count(1):
            told = _answer(process)
            if "error" in told:
                raise SourceError(f"{name}: {_why(told, number)}")
            if not told:
                return
            broken = f"{name}: page {number} cannot be drawn: {told.get('broken')}"
            yield told["page"] if "page" in told else SourceError(broken)


def _answer(process: Popen[bytes]) -> dict[str, Any]:
    """The next `page`, or why it is `broken`; an `error`; nothing at the end; see `pdf_pages`."""
    assert isinstance(process.stdout, BufferedReader)
    line = process.stdout.readline()
    told: dict[str, Any] = json.loads(line) if line.endswith(b"\n") else {}
    if "shape" in told:
        pixels = np.empty(told["shape"], np.uint8)
        if process.stdout.readinto(pixels.data.cast("B")) == pixels.size:
            return {"page": pixels}
    elif told:
        return told
    code = process.wait()
    if not code:
        return {}
    if code == pdf_pages.TOO_LONG:
        return {"error": f"it takes more than {pdf_pages.SECONDS} seconds of a processor"}
    return {"error": f"PDFium gave it up (exit code {code}); it may take too much memory"}


def _why(told: dict[str, Any], number: int) -> str:
    """Say what is wrong with a document, or with the page of that number, which ends it."""
    code = told.get("code")
    if code is None:
        why = told["error"].rstrip(".")
        return f"page {number} cannot be drawn: {why}; what follows it is not read"
    return WHY.get(code, f"cannot be read as PDF: {told['error']}")


@contextmanager
def _drawing(content: Path | bytes) -> Iterator[Popen[bytes]]:
    """Run the process that draws a document; it ends with the last page that is asked for."""
    path = "-" if isinstance(content, bytes) else str(content.absolute())
    command = [sys.executable, "-P", "-m", pdf_pages.__name__, path, str(MAX_PIXELS)]
    modules = os.pathsep.join(sys.path)  # are where they are for us
    with Popen(
        command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=os.environ | {"PYTHONPATH": modules}
    ) as process:
        assert process.stdin is not None
        try:
            with suppress(BrokenPipeError), process.stdin:
                process.stdin.write(content if isinstance(content, bytes) else b"")
            yield process
        finally:
            process.kill()
