"""Picture files whose headers lie, and such as cost far more than they look; byte by byte."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

File = tuple[str, bytes]  # a name and what is in it

SIDE = 9990  # px; a square of them has just less than the 100 million that are read
HUGE = 30_000
ORIENTATION = 0x0112  # of EXIF
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of PNG's kinds of colour


def zeros(count: int) -> bytes:
    """So many zero bytes, compressed to a thousandth."""
    squeeze = zlib.compressobj(1)
    parts = [squeeze.compress(bytes(min(1 << 20, count - i))) for i in range(0, count, 1 << 20)]
    return b"".join([*parts, squeeze.flush()])


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    width: int, height: int, data: bytes, *, kind: int = 0, bits: int = 8, more: bytes = b""
) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + more + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def tiff(width: int, height: int, *tags: tuple[int, int, int, int], bits: int = 8) -> bytes:
    """A grey TIFF whose only strip holds 400 zero bytes; more `tags` go before its own."""
    own = [
        *((256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, bits), (259, 3, 1, 1)),
        *((262, 3, 1, 1), (273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, 400)),
    ]
    named = {tag[0]: tag for tag in (*own, *tags)}
    entries = b"".join(struct.pack("<HHII", *named[number]) for number in sorted(named))
    return (
        b"II*\0"
        + struct.pack("<I", 408)
        + bytes(400)
        + struct.pack("<H", len(named))
        + entries
        + bytes(4)
    )


def bmp(width: int, height: int, data: bytes, *, bits: int = 8, packed: int = 0) -> bytes:
    size = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, packed, len(data), 0, 0, 256, 0)
    head = b"BM" + struct.pack("<IHHI", 1078 + len(data), 0, 0, 1078)
    return head + size + bytes(range(256)) * 4 + data


def gif(width: int, height: int, frames: int, *, disposal: int = 0, side: int = 1) -> bytes:
    screen = struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    how = b"\x21\xf9\x04" + bytes([disposal << 2]) + b"\0\0\0\0"
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, side, side, 0) + b"\x02\x02\x44\x01\x00"
    return b"GIF89a" + screen + (how + frame) * frames + b"\x3b"


def jpeg(width: int, height: int, *, scans: int = 1, **options: Any) -> bytes:
    """A JPEG that claims a size, its last scan's header repeated."""
    stream = io.BytesIO()
    Image.new("L", (64, 64), 9).save(stream, "JPEG", **options)
    whole = stream.getvalue()
    frame = max(whole.find(b"\xff\xc0"), whole.find(b"\xff\xc2"))
    whole = whole[: frame + 5] + struct.pack(">HH", height, width) + whole[frame + 9 :]
    last = whole.rindex(b"\xff\xda")
    length = 2 + int.from_bytes(whole[last + 2 : last + 4])
    return whole[:last] + (whole[last : last + length] + b"\0") * (scans - 1) + whole[last:]


def exif(*tags: tuple[int, int, int, int]) -> bytes:
    """A JPEG whose EXIF has these tags."""
    stream = io.BytesIO()
    Image.new("L", (64, 48), 200).save(stream, "JPEG")
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    body = b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    segment = b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
    return stream.getvalue()[:2] + segment + stream.getvalue()[2:]


def webp(width: int, height: int) -> bytes:
    """An animation without frames."""
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = (
        b"WEBPVP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + sides + b"ANIM\x06\0\0\0" + bytes(6)
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def npy(header: str) -> bytes:
    return (
        b"\x93NUMPY\x01\x00"
        + struct.pack("<H", len(header) + 1)
        + header.encode()
        + b"\n"
        + bytes(99)
    )


def lies() -> Iterator[File]:
    """Headers that claim what does not follow, or what makes no sense."""
    little = zlib.compress(bytes(99))
    for width, height in ((HUGE, HUGE), (SIDE, SIDE), (0, 9), (2**31, 2**31), (2**31 - 1, 1)):
        yield f"claimed_{width}x{height}.png", png(width, height, little)
    for width, height in ((HUGE, HUGE), (SIDE, SIDE), (0, 9), (2**32 - 1, 2**32 - 1)):
        yield f"claimed_{width}x{height}.tif", tiff(width, height)
        for packed in (2, 3, 4, 5, 6, 7, 8, 32773, 34925, 50000, 50001, 65535):
            yield f"packed_{packed}_{width}x{height}.tif", tiff(width, height, (259, 3, 1, packed))
    for width, height in ((HUGE, HUGE), (SIDE, SIDE), (-99, -99), (0, 9), (-(2**31), 9)):
        yield f"claimed_{width}x{height}.bmp", bmp(width, height, b"\0\1")
        yield f"packed_{width}x{height}.bmp", bmp(width, height, b"\0\1", packed=1)
    for width, height in ((65_535, 65_535), (SIDE, SIDE), (6000, 6000), (0, 0)):
        yield f"screen_{width}x{height}.gif", gif(width, height, 3)
    yield "beyond.gif", gif(10, 10, 2, side=65_535)
    for width, height in ((65_500, 65_500), (SIDE, SIDE), (65_500, 1), (1, 65_500), (0, 9)):
        yield f"claimed_{width}x{height}.jpg", jpeg(width, height)
        yield f"progressive_{width}x{height}.jpg", jpeg(width, height, progressive=True)
    yield "scans.jpg", jpeg(SIDE, SIDE, scans=1000, progressive=True)
    yield "small_scans.jpg", jpeg(64, 64, scans=50_000, progressive=True)
    for width, height in ((16_383, 16_383), (16_383, 6000), (6000, 6000)):
        yield f"claimed_{width}x{height}.webp", webp(width, height)
    for kind, width in (
        ("P5", HUGE),
        ("P5", SIDE),
        ("P6", SIDE),
        ("P4", SIDE),
        ("P2", SIDE),
        ("Pf", SIDE),
    ):
        head = f"{kind}\n{width} {width}\n" + (
            "-1.0\n" if kind == "Pf" else "" if kind == "P4" else "255\n"
        )
        yield f"claimed_{kind}_{width}.pnm", head.encode() + b"1" * 1000
    yield "token.pgm", b"P2\n9 9\n255\n" + b"1" * 1_000_000
    yield "comments.ppm", b"P3\n9 9\n255\n" + b"#\n" * 400_000
    yield from odd_tags()
    yield from odd_exif()
    yield from odd_arrays()
    yield from odd_chunks()


def odd_tags() -> Iterator[File]:
    """TIFFs with tiles, strips, samples and links of all sizes."""
    yield (
        "tiles.tif",
        tiff(99, 99, (322, 4, 1, 2**31), (323, 4, 1, 2**31), (324, 4, 1, 8), (325, 4, 1, 9)),
    )
    yield (
        "small_tiles.tif",
        tiff(SIDE, SIDE, (322, 4, 1, 16), (323, 4, 1, 16), (324, 4, 1, 8), (325, 4, 1, 9)),
    )
    yield "a_row_a_strip.tif", tiff(SIDE, SIDE, (278, 4, 1, 1))
    yield "no_rows.tif", tiff(99, 99, (278, 4, 1, 0))
    yield "samples.tif", tiff(9, 9, (277, 3, 1, 65_535))
    yield "extra.tif", tiff(9, 9, (338, 3, 2**30, 8))
    yield "many_widths.tif", tiff(9, 9, (256, 4, 2**30, 8))
    yield "far.tif", tiff(9, 9, (273, 4, 1, 2**32 - 1))
    yield "deep.tif", tiff(9, 9, bits=65_535)
    yield "kind.tif", tiff(9, 9, (258, 99, 1, 8))
    yield "sub.tif", tiff(9, 9, (330, 4, 1, 408), (34665, 4, 1, 408), (34853, 4, 1, 408))
    looped = bytearray(tiff(9, 9))
    yield "itself.tif", bytes(looped[:-4] + struct.pack("<I", 408))
    for turn in (0, 9, 255, 65_535):
        yield f"turned_{turn}.tif", tiff(20, 20, (274, 3, 1, turn))


def odd_exif() -> Iterator[File]:
    """Orientations that are none, and EXIF that points at itself."""
    for turn in (0, 9, 255, 65_535):
        yield f"turned_{turn}.jpg", exif((ORIENTATION, 3, 1, turn))
    for kind, count in ((2, 5), (3, 0), (3, 9), (5, 1), (7, 4), (9, 1), (11, 1), (12, 1), (99, 1)):
        yield f"turned_as_{kind}_{count}.jpg", exif((ORIENTATION, kind, count, 8))
    yield "exif_in_itself.jpg", exif((ORIENTATION, 3, 1, 6), (0x8769, 4, 1, 8), (0x8825, 4, 1, 8))
    yield (
        "exif_far.jpg",
        exif((ORIENTATION, 3, 1, 6), (0x10E, 2, 2**31, 0), (0x8769, 4, 1, 2**32 - 1)),
    )


def odd_arrays() -> Iterator[File]:
    """Headers of NumPy's files."""
    plain = "{{'descr': {}, 'fortran_order': {}, 'shape': {}}}"
    for number, (kind, order, shape) in enumerate((
        *(("'|u1'", "False", shape) for shape in (
            "(30000, 30000)", "(1000000000000, 28, 28)", "(0, 28, 28)", "(28, 0)", "()", "(-1, 28)",
            "(9, True)", "(9.5, 9)", "9", "(9, 9, 9, 9)", "(99,)", "(2**99, 2)")),
        *((kind, "False", "(3, 3)") for kind in (
            "'<f8'", "'<f4'", "'|O'", "'<U9'", "'|b1'", "'<c16'", "'<M8[ns]'", "'no'", "None", "9",
            "[('a', '|u1')]", "('|u1', (3,))")),
        ("'|u1'", "True", "(9, 11)"), ("'|u1'", "7", "(9, 11)"),
    )):  # fmt: skip
        yield f"header_{number}.npy", npy(plain.format(kind, order, shape))
    for number, header in enumerate(
        ("", "{", "(" * 9000, "[" * 9000, "__import__('os')", "{}", "{1: 2}")
    ):
        yield f"no_header_{number}.npy", npy(header)
    yield "version.npy", b"\x93NUMPY\x63\x00" + bytes(99)
    odd = np.array([[np.nan, np.inf], [-1, 300]])
    for values in (odd, odd.astype(np.float32), odd > 0, odd.astype(object), odd.astype(str)):
        stream = io.BytesIO()
        np.save(stream, values, allow_pickle=True)
        yield f"values_{values.dtype.name}.npy", stream.getvalue()


def odd_chunks() -> Iterator[File]:
    """PNGs with chunks that expand, come too often or come from nowhere."""
    row = zlib.compress(bytes(90))
    yield "text.png", png(9, 9, row, more=chunk(b"zTXt", b"a\0\0" + zeros(1 << 27)))
    yield "profile.png", png(9, 9, row, more=chunk(b"iCCP", b"a\0\0" + zeros(1 << 27)))
    yield "exif.png", png(9, 9, row, more=chunk(b"eXIf", b"II*\0\x08\0\0\0\xff\xff"))
    yield "colours.png", png(9, 9, row, kind=3, more=chunk(b"PLTE", bytes(7)))
    yield "no_colours.png", png(9, 9, row, kind=3)
    yield (
        "clear.png",
        png(9, 9, row, kind=3, more=chunk(b"PLTE", bytes(9)) + chunk(b"tRNS", bytes(999))),
    )
    yield "frames.png", png(9, 9, row, more=chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0)))
    yield "no_frames.png", png(9, 9, row, more=chunk(b"acTL", bytes(8)))
    yield "kind.png", png(9, 9, row, kind=5)
    yield "bits.png", png(9, 9, row, bits=99)
    yield "length.png", png(9, 9, row)[:33] + struct.pack(">I", 2**31 - 1) + b"IDAT" + row
    yield "many_chunks.png", png(9, 9, row, more=chunk(b"prVt", b"") * 20_000)


def bombs() -> Iterator[File]:
    """Small files that are as large as a picture may be, once they are decoded."""
    for kind, bits in ((0, 1), (0, 16), (2, 8), (2, 16), (3, 8), (4, 8), (4, 16), (6, 8), (6, 16)):
        more = (
            chunk(b"PLTE", bytes(range(256)) * 3) + chunk(b"tRNS", bytes(range(256)))
            if kind == 3
            else b""
        )
        data = zeros(((SIDE * bits * CHANNELS[kind] + 7) // 8 + 1) * SIDE)
        yield f"bomb_{kind}_{bits}.png", png(SIDE, SIDE, data, kind=kind, bits=bits, more=more)
    for mode in ("1", "L", "RGB", "RGBA", "CMYK", "I;16", "F", "P"):
        stream = io.BytesIO()
        Image.new(mode, (SIDE, SIDE)).save(stream, "TIFF", compression="tiff_adobe_deflate")
        yield f"bomb_{mode.replace(';', '')}.tif", stream.getvalue()
    for mode in ("RGB", "RGBA"):
        stream = io.BytesIO()
        Image.new(mode, (6500, 6100)).save(stream, "WEBP", lossless=True, method=0)
        yield f"bomb_{mode}.webp", stream.getvalue()
    for form in ("GIF", "PNG", "WEBP"):
        frames = [Image.new("RGB", (6500, 6100), (level, 0, 0)) for level in (0, 99)]
        stream = io.BytesIO()
        quick = {"method": 0, "lossless": True} if form == "WEBP" else {}
        frames[0].save(stream, form, save_all=True, append_images=frames[1:], **quick)
        yield f"bomb_of_frames.{form.lower()}", stream.getvalue()
    for name, mode, side, options in (
        ("baseline", "RGB", 13_300, {}),
        ("progressive", "RGB", SIDE, {"progressive": True, "subsampling": 0}),
        ("cmyk", "CMYK", 8600, {"progressive": True, "subsampling": 0}),
        ("large_cmyk", "CMYK", SIDE, {"progressive": True}),
    ):
        stream = io.BytesIO()
        Image.new(mode, (side, side)).save(stream, "JPEG", **options)
        yield f"bomb_{name}.jpg", stream.getvalue()
    yield "bomb_scans.jpg", jpeg(3900, 3900, scans=190, progressive=True)
    yield "bomb_skips.bmp", bmp(SIDE, SIDE, b"\0\x02\xff\xff" * 100_000, packed=1)
    yield "bomb_runs.bmp", bmp(SIDE, 500, b"\x01\x01" * 950_000, packed=1)
    yield "bomb_text.pgm", b"P2\n990 990\n255\n" + b"7 " * 990 * 990
    yield "bomb_depth.pgm", b"P5\n1400 1400\n100\n" + b"7" * 1400 * 1400
