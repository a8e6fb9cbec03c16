"""PNG files of grey bytes and nothing else, as digits are often kept: opened in no time.

Pillow, which knows every form, takes longer over a small file's form than over its pixels. What
is not plain and whole to the last byte is left to it, and so is every complaint.
"""

from __future__ import annotations

import zlib
from struct import Struct

import cv2
import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER = Struct(">I4sII5B")  # the first chunk but for its checksum
PLAIN = (8, 0, 0, 0, 0)  # bits, colours, compression, filters, interlacing: a grey byte a pixel
FILTERS = 5
LEAST = len(SIGNATURE) + HEADER.size + 4
MOST = 1 << 16  # px; of larger ones the pixels take the time
CHUNK = Struct(">I4s")  # the length of what follows, and its kind
CHECKSUM = Struct(">I")


def decoded(content: bytes) -> NDArray[np.uint8] | None:
    """The pixels of a small plain PNG, uint8 [H, W]; None for any other file."""
    if not content.startswith(SIGNATURE) or len(content) < LEAST:
        return None
    length, kind, width, height, *form = HEADER.unpack_from(content, len(SIGNATURE))
    plain = (length, kind, *form) == (13, b"IHDR", *PLAIN)
    if not plain or not 0 < width * height <= MOST:
        return None
    packed = _packed(content)
    if packed is None or not _holds(packed, width, height):
        return None
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    return np.asarray(pixels, np.uint8)


def _packed(content: bytes) -> bytes | None:
    """What the chunks of pixels hold, where there are no others and all checksums are right."""
    parts: list[bytes] = []
    at, kind = len(SIGNATURE), b""
    while kind != b"IEND" and at + CHUNK.size + CHECKSUM.size <= len(content):
        length, kind = CHUNK.unpack_from(content, at)
        begin, end = at + CHUNK.size, at + CHUNK.size + length
        known = kind in (b"IDAT", b"IEND") or at == len(SIGNATURE)
        if not known or end + CHECKSUM.size > len(content):
            return None
        (checksum,) = CHECKSUM.unpack_from(content, end)
        if checksum != zlib.crc32(content[at + 4 : end]):
            return None
        parts += [content[begin:end]] if kind == b"IDAT" else []
        at = end + CHECKSUM.size
    return b"".join(parts) if kind == b"IEND" and at == len(content) else None


def _holds(packed: bytes, width: int, height: int) -> bool:
    """Whether all rows are packed, each behind its filter, with their checksum, and no more."""
    row, unpacker = 1 + width, zlib.decompressobj()
    try:
        rows = unpacker.decompress(packed, height * row + 1)
    except zlib.error:
        return False
    whole = len(rows) == height * row and unpacker.eof and not unpacker.unused_data
    return whole and max(rows[::row]) < FILTERS
