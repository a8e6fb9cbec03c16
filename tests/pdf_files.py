"""PDF documents written by hand, whole and broken, for the tests that read them."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def written(objects: list[bytes], trailer: bytes = b"") -> bytes:
    """Write a PDF by hand: object 1 is its catalogue, 2 its list of pages."""
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    return out + (
        b"xref\n0 %d\n0000000000 65535 f \n%btrailer\n<</Size %d/Root 1 0 R%b>>\n"
        b"startxref\n%d\n%%%%EOF\n" % (size, table, size, trailer, len(out))
    )


def stream(entries: bytes, body: bytes) -> bytes:
    return b"<<%b/Length %d>>\nstream\n%b\nendstream" % (entries, len(body), body)


def scan(width: int, height: int) -> tuple[bytes, NDArray[np.uint8]]:
    """A grey picture as an object of a PDF, without loss, and its pixels."""
    pixels = np.random.default_rng(0).integers(0, 256, (height, width), dtype=np.uint8)
    entries = (
        b"/Type/XObject/Subtype/Image/BitsPerComponent 8/ColorSpace/DeviceGray"
        b"/Width %d/Height %d" % (width, height)
    )
    return stream(entries, pixels.tobytes()), pixels


FONT = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"


def one_page(
    content: bytes, size: bytes = b"72 144", *, more: bytes = b"", i: bytes = b""
) -> bytes:
    """A page of this content, where /I is a picture and /F a font."""
    return written(
        [
            b"<</Type/Catalog/Pages 2 0 R>>",
            b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 %b]/Contents 4 0 R/Resources"
            b"<</XObject<</I 5 0 R>>/Font<</F 6 0 R>>>>%b>>" % (size, more),
            stream(b"", content),
            i or b"null",
            FONT,
        ]
    )


def from_pillow(*images: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    images[0].save(buffer, "PDF", save_all=True, append_images=images[1:], **options)
    return buffer.getvalue()


def kids(count: int, *pages: bytes) -> bytes:
    listed = b" ".join(b"%d 0 R" % (number + 3) for number in range(count))
    top = b"<</Type/Pages/Kids[%b]/Count %d>>" % (listed, count)
    return written([b"<</Type/Catalog/Pages 2 0 R>>", top, *pages])


GOOD = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 72 72]>>"


def locked(how: bytes) -> bytes:
    secret = b"<" + b"5a" * 32 + b">"
    entries = b"<</Filter%b/R 2/O%b/U%b/P -4>>" % (how, secret, secret)
    parts = [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[3 0 R]/Count 1>>", GOOD]
    return written(parts, b"/ID[<00><00>]/Encrypt " + entries)
