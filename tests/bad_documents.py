"""PDFs that are locked, that lie, or that would keep a drawing program busy for hours."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from bad_claims import File, zeros
from pdf_files import GOOD, kids, locked, one_page, stream, written

FILLED = b"0 0 600 700 re f "
BOXES = (b"0 0 0 0", b"0 0 1e38 1e38", b"-1e9 -1e9 1e9 1e9", b"0 0 1e-9 1e-9", b"0 0 nan inf",
         b"5 5 5 9", b"9 9 0 0", b"0 0 .001 14400")  # fmt: skip


def packed(content: bytes, *more: bytes, resources: bytes = b"") -> bytes:
    """A page of compressed content; what else it needs is object 5 and those after it."""
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources<<%b>>>>"
    return written(
        [
            b"<</Type/Catalog/Pages 2 0 R>>",
            b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
            page % resources,
            stream(b"/Filter/FlateDecode", zlib.compress(content)),
            *more,
        ]
    )


def picture(width: int, height: int, bits: int, packing: bytes, body: bytes) -> bytes:
    """A page that is one grey picture."""
    entries = (
        b"/Type/XObject/Subtype/Image/ColorSpace/DeviceGray/BitsPerComponent %d/Width %d/Height %d"
        b"/Filter%b" % (bits, width, height, packing)
    )
    return one_page(b"q 72 0 0 144 0 0 cm /I Do Q", i=stream(entries, body))


def forms(levels: int, times: int) -> bytes:
    """A drawing that holds another so many times, which holds another, and so on."""
    last = stream(b"/Type/XObject/Subtype/Form/BBox[0 0 99 99]", b"0 0 9 9 re f")
    entries = b"/Type/XObject/Subtype/Form/BBox[0 0 99 99]/Resources<</XObject<</F %d 0 R>>>>"
    inner = [stream(entries % (6 + level), b"/F Do " * times) for level in range(levels)]
    return packed(b"/F Do", *inner, last, resources=b"/XObject<</F 5 0 R>>")


def lies() -> Iterator[File]:
    """Documents that end soon, whatever they say."""
    for number, how in enumerate(
        (b"/Standard/V 1", b"/Standard/V 5", b"/Standard/V 99", b"/Odd/V 1")
    ):
        yield f"locked_{number}.pdf", locked(how)
    for count in (b"1000000000", b"-5", b"0", b"null", b"(x)"):
        pages = b"<</Type/Pages/Kids[3 0 R]/Count %b>>" % count
        name = f"count_{count.decode().strip('()')}.pdf"
        yield name, written([b"<</Type/Catalog/Pages 2 0 R>>", pages, GOOD])
    for number, box in enumerate(BOXES):
        page = one_page(FILLED)
        yield f"box_{number}.pdf", page.replace(b"[0 0 72 144]", b"[" + box + b"]")
    yield "unit.pdf", one_page(FILLED, more=b"/UserUnit 1e9")
    yield "turned.pdf", one_page(FILLED, more=b"/Rotate 45")
    yield "no_pages.pdf", kids(0)
    yield "in_itself.pdf", kids(1).replace(b"3 0 R", b"2 0 R")
    yield "a_page_is_missing.pdf", kids(3, GOOD)
    yield "drawn_in_itself.pdf", forms(1, 2).replace(b"/F 6 0 R", b"/F 5 0 R")
    yield "claimed.pdf", picture(30_000, 30_000, 8, b"/FlateDecode", zlib.compress(bytes(99)))
    yield "fax.pdf", picture(30_000, 30_000, 1, b"/CCITTFaxDecode", bytes(99))
    yield "odd_filter.pdf", picture(9, 9, 8, b"/Nothing", bytes(99))
    yield "odd_jpeg.pdf", picture(9, 9, 8, b"/DCTDecode", b"\xff\xd8" + bytes(99))
    yield "odd_jpeg_2000.pdf", picture(9, 9, 8, b"/JPXDecode", b"\0\0\0\x0cjP  " + bytes(99))
    yield "odd_jbig.pdf", picture(9, 9, 1, b"/JBIG2Decode", bytes(99))
    yield (
        "script.pdf",
        written(
            [
                b"<</Type/Catalog/Pages 2 0 R/OpenAction<</S/JavaScript/JS(while(1);)>>>>",
                b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
                GOOD,
            ]
        ),
    )
    yield "many_pages.pdf", kids(10_000, *[GOOD] * 10_000)


def bombs() -> Iterator[File]:
    """Documents of some kilobytes that take all the time or memory that a page is given."""
    nothing = zeros(30_000 * 30_000)
    yield "bomb_picture.pdf", picture(30_000, 30_000, 8, b"/FlateDecode", nothing)
    twice = zlib.compress(nothing, 9)
    yield "bomb_twice.pdf", picture(30_000, 30_000, 8, b"[/FlateDecode/FlateDecode]", twice)
    yield "bomb_spaces.pdf", packed(b" " * (1 << 28))
    yield "bomb_saved.pdf", packed(b"q " * 1_000_000)
    yield "bomb_filled.pdf", packed(FILLED * 1_000_000)
    yield "bomb_curves.pdf", packed(b"0 0 m 9 700 600 9 600 700 c S " * 300_000)
    yield "bomb_forms.pdf", forms(9, 10)
    group = b"/Type/XObject/Subtype/Form/BBox[0 0 612 792]/Group<</S/Transparency/I true/K true>>"
    layer = stream(group, b"0 0 612 792 re f")
    yield "bomb_layers.pdf", packed(b"/F Do " * 3000, layer, resources=b"/XObject<</F 5 0 R>>")
    shade = (
        b"<</ShadingType 3/ColorSpace/DeviceRGB/Coords[0 0 0 400 400 800]/Extend[true true]"
        b"/Function<</FunctionType 2/Domain[0 1]/C0[0 0 0]/C1[1 1 1]/N 2>>>>"
    )
    yield "bomb_shades.pdf", packed(b"/S sh " * 500, shade, resources=b"/Shading<</S 5 0 R>>")
