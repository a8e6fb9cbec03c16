"""Pictures of every mode and from every place become the same upright 8-bit page."""

from __future__ import annotations

import contextlib
import functools
import io
import struct
import sys
import threading
import warnings
import zlib
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from bad_claims import png
from conftest import EXAMPLES
from digitreader import pictures
from digitreader.arguments import expand
from digitreader.errors import SourceError
from digitreader.reader import Reader
from digitreader.sources import SUFFIXES, Failed, Page, open_pages


def bars() -> np.ndarray[Any, np.dtype[np.uint8]]:
    """An asymmetric test picture, so that a turned or flipped one is noticed."""
    picture = np.full((40, 60), 240, np.uint8)
    picture[5:35, 8:12] = 10
    picture[5:9, 8:40] = 60
    return picture


def only(source: Any) -> Page:
    (page,) = open_pages(source)
    return page


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["PNG", "TIFF", "BMP", "PPM", "GIF"])
def test_lossless_formats_give_the_pixels_themselves(form: str) -> None:
    page = only(encoded(Image.fromarray(bars()), form))
    grey = page.pixels if page.pixels.ndim == 2 else page.pixels[..., 0]
    np.testing.assert_array_equal(grey, bars())


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "1", "CMYK", "I;16", "I", "F", "LA", "RGBA"])
def test_every_mode_keeps_what_is_dark_and_what_is_light(mode: str) -> None:
    grey = Image.fromarray(bars())
    if mode == "I;16":
        image = Image.fromarray(bars().astype(np.uint16) * 257)
    elif mode == "I":
        image = Image.fromarray(bars().astype(np.int32) * 257)
    elif mode == "F":
        image = Image.fromarray(bars().astype(np.float32) / 255)
    else:
        image = grey.convert(mode, dither=Image.Dither.NONE)
    pixels = only(image).pixels
    assert pixels.dtype == np.uint8
    plane = pixels if pixels.ndim == 2 else pixels.mean(axis=2)
    expected = np.where(bars() > 128, 255, 0) if mode == "1" else bars()
    np.testing.assert_allclose(plane, expected, atol=2)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation: int) -> None:
    turned = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.T,
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a.T, 2),
        8: lambda a: np.rot90(a, -1),
    }[orientation]
    stored = Image.fromarray(np.ascontiguousarray(turned(bars())))
    exif = Image.Exif()
    exif[0x0112] = orientation
    page = only(encoded(stored, "PNG", exif=exif))
    np.testing.assert_array_equal(page.pixels, bars())


@pytest.mark.parametrize("ink", [0, 255, 128])
@pytest.mark.parametrize("hidden", [0, 255])
def test_ink_on_a_transparent_ground_never_vanishes(ink: int, hidden: int) -> None:
    rgba = np.full((40, 60, 4), hidden, np.uint8)
    rgba[..., 3] = 0
    rgba[5:35, 8:12] = [ink, ink, ink, 255]
    pixels = only(rgba).pixels.astype(int)
    assert abs(int(pixels[10, 10, 0]) - int(pixels[30, 40, 0])) > 100


def test_a_transparent_rim_takes_the_colour_of_the_paper() -> None:
    rgba = np.dstack([bars()] * 3 + [np.full((40, 60), 255, np.uint8)])
    rgba[:2] = rgba[-2:] = 0
    pixels = only(rgba).pixels
    np.testing.assert_array_equal(pixels[0], np.full((60, 3), 240))


def test_twelve_bits_in_sixteen_use_the_whole_range_but_noise_is_not_stretched() -> None:
    twelve = (bars().astype(np.uint16) * 16)[..., :]
    np.testing.assert_allclose(only(Image.fromarray(twelve)).pixels, bars(), atol=2)
    noise = np.random.default_rng(0).integers(3000, 3010, (40, 60)).astype(np.uint16)
    assert np.ptp(only(Image.fromarray(noise)).pixels) <= 1


def test_pages_of_a_tiff_and_frames_of_an_array_are_counted() -> None:
    frames = [Image.fromarray(np.full((9, 9), value, np.uint8)) for value in (10, 120, 250)]
    tiff = encoded(frames[0], "TIFF", save_all=True, append_images=frames[1:])
    pages = list(open_pages(tiff))
    seen = [(page.number, int(page.pixels[0, 0])) for page in pages]
    assert seen == [(1, 10), (2, 120), (3, 250)]


def colour_bars(shift: int = 0) -> Image.Image:
    """Four colours, few enough for a palette; the bar stands elsewhere with each shift."""
    picture = np.full((40, 60, 3), 240, np.uint8)
    picture[5:35, 8 + shift : 12 + shift] = [200, 10, 10]
    picture[30:34, 8:50] = [10, 10, 120]
    return Image.fromarray(picture)


def pages_of(*images: Image.Image, form: str, **options: Any) -> bytes:
    return encoded(images[0], form, save_all=True, append_images=images[1:], **options)


@pytest.mark.parametrize(
    "compression", ["raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "tiff_lzma", "zstd"]
)
def test_compressed_tiffs_give_the_pixels_themselves(compression: str) -> None:
    second = colour_bars(9).resize((90, 33))
    tiff = pages_of(colour_bars(), second, form="TIFF", compression=compression)
    for page, image in zip(open_pages(tiff), (colour_bars(), second), strict=True):
        np.testing.assert_array_equal(page.pixels, np.asarray(image))


@pytest.mark.parametrize("compression", ["group3", "group4", "tiff_ccitt"])
def test_faxes_give_the_pixels_themselves(compression: str) -> None:
    fax = Image.fromarray(bars()).convert("1", dither=Image.Dither.NONE)
    tiff = pages_of(fax, fax.rotate(180), form="TIFF", compression=compression)
    first, second = open_pages(tiff)
    np.testing.assert_array_equal(first.pixels, np.asarray(fax) * np.uint8(255))
    np.testing.assert_array_equal(second.pixels, first.pixels[::-1, ::-1])


def test_a_jpeg_in_a_tiff_is_near_its_picture() -> None:
    soft = Image.linear_gradient("L").convert("RGB")
    page = only(encoded(soft, "TIFF", compression="jpeg", quality=95))
    assert np.abs(page.pixels.astype(int) - np.asarray(soft)).max() <= 3


def test_pages_of_one_tiff_may_have_any_mode_and_size() -> None:
    grey = Image.fromarray(bars())
    modes = [
        *(grey, grey.convert("RGB").resize((100, 50)), grey.convert("1")),
        *(grey.convert(mode) for mode in ("CMYK", "LA", "P")),
        Image.fromarray(bars().astype(np.uint16) * 257),
    ]
    pages = list(open_pages(pages_of(*modes, form="TIFF")))
    assert [page.pixels.shape[1::-1] for page in pages] == [image.size for image in modes]
    for page in (pages[0], *pages[3:]):
        plane = page.pixels if page.pixels.ndim == 2 else page.pixels[..., 1]
        np.testing.assert_allclose(plane, bars(), atol=1)


def two_pages_of_tiff() -> tuple[bytes, int, int]:
    """A TIFF, where its first page says that the second begins, and where that has its pixels."""
    tiff = pages_of(colour_bars(), colour_bars(9), form="TIFF", compression="tiff_lzw")
    (start,) = struct.unpack_from("<I", tiff, 4)
    (entries,) = struct.unpack_from("<H", tiff, start)
    with Image.open(io.BytesIO(tiff)) as image:
        image.seek(1)
        return tiff, start + 2 + 12 * entries, image.tag_v2[273][0]  # type: ignore[attr-defined]


@pytest.mark.parametrize("damage", ["its pixels", "its place", "cut"])
def test_a_damaged_second_page_leaves_the_first_and_one_error(damage: str) -> None:
    tiff, link, strip = two_pages_of_tiff()
    damaged = {
        "its pixels": tiff[:strip] + bytes(40) + tiff[strip + 40 :],
        "its place": tiff[:link] + struct.pack("<I", len(tiff) + 99) + tiff[link + 4 :],
        "cut": tiff[: strip + 9],
    }[damage]
    pages = open_pages(damaged)
    np.testing.assert_array_equal(next(pages).pixels, np.asarray(colour_bars()))
    with pytest.raises(SourceError, match=r"^<bytes>: cannot be decoded"):
        next(pages)


@pytest.mark.parametrize(
    ("form", "options"),
    [
        *(("GIF", {"disposal": how}) for how in (0, 1, 2)),
        *(("PNG", {"disposal": how, "blend": mix}) for how in (0, 1) for mix in (0, 1)),
        ("PNG", {"default_image": True}),
        ("WEBP", {"lossless": True}),
    ],
)
def test_every_frame_of_an_animation_is_a_whole_page(form: str, options: dict[str, Any]) -> None:
    frames = [colour_bars(shift) for shift in (0, 10, 20, 30)]  # files hold what changed
    pages = list(open_pages(pages_of(*frames, form=form, **options)))
    assert [page.number for page in pages] == [1, 2, 3, 4]
    for page, frame in zip(pages, frames, strict=True):
        np.testing.assert_array_equal(page.pixels, np.asarray(frame))


@pytest.mark.parametrize("ink", [0, 255])
@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP"])
def test_ink_that_grows_on_a_transparent_ground_shows_in_every_frame(form: str, ink: int) -> None:
    frames = []
    for right in (12, 22, 32):
        rgba = np.zeros((40, 60, 4), np.uint8)
        rgba[5:35, 8:right] = [ink, ink, ink, 255]
        frames.append(Image.fromarray(rgba))
    exact = {"lossless": True} if form == "WEBP" else {}
    for page, frame in zip(open_pages(pages_of(*frames, form=form, **exact)), frames, strict=True):
        drawn = np.asarray(frame)[..., 3] > 0
        np.testing.assert_array_equal(page.pixels[..., 0], np.where(drawn, ink, 255 - ink))


def test_the_second_picture_in_a_phones_jpeg_is_no_page() -> None:
    photo, brightness = Image.linear_gradient("L"), Image.linear_gradient("L").resize((64, 64))
    page = only(pages_of(photo.convert("RGB"), brightness, form="MPO"))
    assert page.pixels.shape == (256, 256, 3)


def test_npy_files_hold_a_picture_or_a_stack(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", bars())
    np.save(tmp_path / "many.npy", np.stack([bars(), 255 - bars()]))
    np.testing.assert_array_equal(only(tmp_path / "one.npy").pixels, bars())
    assert [page.number for page in open_pages(tmp_path / "many.npy")] == [1, 2]


@pytest.mark.parametrize("labelled", [False, True])
def test_a_csv_in_kaggles_form_is_a_stack_of_pictures(labelled: bool, tmp_path: Path) -> None:
    digits = np.random.default_rng(0).integers(0, 256, (3, 28, 28), dtype=np.uint8)
    header = ["label"] * labelled + [f"pixel{i}" for i in range(784)]
    rows = [["7"] * labelled + [str(v) for v in digit.ravel()] for digit in digits]
    path = tmp_path / "test.csv"
    path.write_text("\n".join(",".join(row) for row in [header, *rows]))
    pages = list(open_pages(path))
    assert [page.number for page in pages] == [1, 2, 3]
    np.testing.assert_array_equal([page.pixels for page in pages], digits)


@pytest.mark.parametrize(
    ("text", "message"),
    [("a,b\n1,2\n", "expected a header"), ("", "expected a header")],
    ids=["other columns", "empty"],
)
def test_another_csv_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(SourceError, match=message):
        list(open_pages(tmp_path / "x.csv"))


def test_a_pickle_in_an_npy_file_is_not_run(tmp_path: Path) -> None:
    np.save(tmp_path / "evil.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(SourceError, match=r"evil\.npy"):
        list(open_pages(tmp_path / "evil.npy"))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4), np.float64),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((0, 4), np.uint8),
        np.zeros(16, np.uint8),
    ],
    ids=["float", "two channels", "empty", "flat"],
)
def test_other_arrays_are_refused_with_what_was_expected(array: Any) -> None:
    with pytest.raises(SourceError, match=r"expected uint8 \[H, W\]"):
        list(open_pages(array))


@pytest.mark.parametrize("source", [None, 7, ["a.png", "b.png"], [[0] * 28] * 28])
def test_what_is_no_picture_at_all_is_refused(source: Any) -> None:
    with pytest.raises(SourceError, match=f"or an array, got a {type(source).__name__}"):
        list(open_pages(source))


def test_broken_pictures_are_named(tmp_path: Path) -> None:
    whole = encoded(Image.fromarray(bars()), "PNG")
    for name, content in {
        "cut.png": whole[: len(whole) // 2],
        "text.png": b"not a picture",
        "zero.jpg": b"",
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SourceError, match=name):
            list(open_pages(tmp_path / name))


def test_a_picture_that_claims_a_huge_size_is_refused_before_it_is_decoded() -> None:
    bomb = png(30_000, 30_000, zlib.compress(b"\0" * 99))
    with pytest.raises(SourceError, match="million pixels"):
        list(open_pages(bomb))


def test_a_picture_of_up_to_a_hundred_million_pixels_is_opened() -> None:
    page = only(encoded(Image.new("1", (9800, 9900), 1), "TIFF", compression="group4"))
    assert page.pixels.shape == (9900, 9800)
    with pytest.raises(SourceError, match="100 million pixels"):
        list(open_pages(encoded(Image.new("1", (10_100, 9_910)), "TIFF", compression="group4")))


@pytest.mark.parametrize("kind", ["array", "PIL", "bytes", "npy", "stack"])
def test_the_limit_of_pixels_is_for_every_kind_of_source(kind: str, tmp_path: Path) -> None:
    picture, path = bars(), tmp_path / "a.npy"
    np.save(path, np.stack([picture] * 2) if kind == "stack" else picture)
    image = Image.fromarray(picture)
    known: dict[str, Any] = {"array": picture, "PIL": image, "bytes": encoded(image, "PNG")}
    source = known.get(kind, path)
    assert list(open_pages(source, picture.size))
    with pytest.raises(SourceError, match=r"more than 0\.002399 million pixels"):
        list(open_pages(source, picture.size - 1))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "LA", "RGBA", "I;16", "I", "F"])
def test_a_picture_converted_in_strips_is_that_converted_whole(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ramp = np.random.default_rng(0).integers(0, 256, (40, 60, 4), dtype=np.uint8)
    deep = mode in ("I;16", "I", "F")
    image = Image.fromarray(ramp).convert("L") if deep else Image.fromarray(ramp).convert(mode)
    if deep:
        values = np.asarray(image).astype({"I;16": "u2", "I": "i4", "F": "f4"}[mode])
        image = Image.fromarray(values * 16)
    assert image.mode == mode
    whole = only(image).pixels
    monkeypatch.setattr(pictures, "STRIP", 7 * 60)  # seven rows
    np.testing.assert_array_equal(only(image).pixels, whole)


@settings(max_examples=100)
@given(
    st.sampled_from(["PNG", "JPEG", "GIF", "WEBP", "BMP", "PPM"]),
    st.integers(0, 10_000),
    st.binary(min_size=1, max_size=20),
)
def test_damage_anywhere_gives_pages_or_one_error(form: str, place: int, junk: bytes) -> None:
    whole = encoded(colour_bars(), form)
    place %= len(whole)
    damaged = whole[:place] + junk + whole[place + len(junk) :]
    with contextlib.suppress(SourceError):
        assert all(page.pixels.size for page in open_pages(damaged))


def test_opening_pictures_leaves_warnings_as_they_were() -> None:
    """While a picture is open, in turns with another, and in threads."""
    before = list(warnings.filters)
    tiff = pages_of(colour_bars(), colour_bars(9), form="TIFF")
    first, second = open_pages(tiff), open_pages(tiff)
    next(first)
    assert list(warnings.filters) == before
    next(second)
    first.close()  # type: ignore[attr-defined]
    second.close()  # type: ignore[attr-defined]
    assert list(warnings.filters) == before
    threads = [threading.Thread(target=lambda: list(open_pages(tiff))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("size", "part"), [((3990, 900), 1), ((4001, 1203), 2), ((8050, 1203), 4)])
def test_a_large_jpeg_has_fewer_pixels_and_its_own_shape(
    size: tuple[int, int], part: int, orientation: int
) -> None:
    photo = Image.linear_gradient("L").resize(size)
    photo.paste(0, (0, 0, size[0] // 3, size[1] // 5))  # so that it shows how it lies
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(photo, "JPEG", exif=exif)
    page = only(data)
    with Image.open(io.BytesIO(data)) as image:
        upright = ImageOps.exif_transpose(image)
        small = upright.resize(page.pixels.shape[1::-1], Image.Resampling.BOX)
    assert page.shape == upright.size[::-1]
    assert max(page.pixels.shape) == -(-max(size) // part)
    assert np.abs(page.pixels.astype(int) - np.asarray(small)).mean() < 2


def test_other_pictures_have_the_shape_of_their_pixels() -> None:
    large = Image.linear_gradient("L").resize((4100, 90))
    for source in (encoded(large, "PNG"), large, np.asarray(large), encoded(large, "PDF")):
        page = only(source)
        assert page.shape == page.pixels.shape[:2] == (90, 4100)


def test_sources_are_expanded_in_order(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("b.png", "a.JPG", "sub/c.tif", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    names = [Path(str(p)).relative_to(tmp_path).as_posix() for p in expand([str(tmp_path)])]
    assert names == ["a.JPG", "b.png", "sub/c.tif"]
    assert list(expand([str(tmp_path / "*.png"), "-"])) == [str(tmp_path / "b.png"), "-"]


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(tmp_path: Path) -> None:
    name = str(tmp_path / "scan[1].png")
    Path(name).write_bytes(b"")
    assert list(expand([name])) == [name]


def test_no_line_of_a_list_costs_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written on Windows, where a text may begin with a mark, and with names that are no UTF-8."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "b.png").write_bytes(b"")
    lines = [b"b.png", b"", b"# a remark", b"empty", b"no.png", b"@list.txt", b"caf\xe9.png",
             b"*.x", b"https://x/y.png"]  # fmt: skip
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbf" + b"\r\n".join(lines))
    found = list(expand(["@list.txt"]))
    assert [each for each in found if isinstance(each, str)] == ["b.png", "https://x/y.png"]
    assert [each.why for each in found if isinstance(each, Failed)] == [
        f"empty: no picture in this folder; looked for {' '.join(sorted(SUFFIXES))}",
        "no.png: there is no such file",
        "@list.txt: a list in a list, @list.txt",
        r"caf\udce9.png: there is no such file",
        "*.x: nothing matches this pattern",
    ]


@pytest.mark.parametrize(
    ("argument", "why"),
    [
        ("@nowhere.txt", "@nowhere.txt: the list cannot be read: No such file or directory"),
        (f"@{EXAMPLES / 'chalk.jpg'}", "expected a picture a line, got '"),
        ("*.nothing", "*.nothing: nothing matches this pattern"),
        (".", ".: no picture in this folder; looked for .bmp"),
    ],
)
def test_what_leads_nowhere_is_named(
    argument: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (failed,) = expand([argument])
    assert isinstance(failed, Failed)
    assert failed.source == argument
    assert why in failed.why


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """A real server on this machine that serves the test's folder."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

    handler = functools.partial(Quiet, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_picture_is_read_from_the_web(web: str, tmp_path: Path) -> None:
    (tmp_path / "bars.png").write_bytes(encoded(Image.fromarray(bars()), "PNG"))
    page = only(f"{web}/bars.png")
    np.testing.assert_array_equal(page.pixels, bars())
    assert page.source == f"{web}/bars.png"
    with pytest.raises(SourceError, match="404"):
        list(open_pages(f"{web}/absent.png"))


def test_a_document_is_read_from_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, web: str
) -> None:
    document = pages_of(colour_bars(), colour_bars(9).rotate(90, expand=True), form="PDF")
    expected = [page.pixels for page in open_pages(document)]
    assert [pixels.shape for pixels in expected] == [(40, 60, 3), (60, 40, 3)]
    path = tmp_path / "näme.PDF"
    path.write_bytes(document)
    (tmp_path / "plain").write_bytes(document)  # it is what it holds, whatever its name
    assert list(expand([str(tmp_path)])) == [str(path)]
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(document)))
    for source in (path, str(path), tmp_path / "plain", f"{web}/plain", "-"):
        pages = list(open_pages(source))
        assert [page.number for page in pages] == [1, 2]
        for page, pixels in zip(pages, expected, strict=True):
            np.testing.assert_array_equal(page.pixels, pixels)


def test_an_unreachable_server_is_a_clear_error() -> None:
    with pytest.raises(SourceError, match=r"cannot be fetched: \[Errno [0-9]+\] [\w ]+$"):
        list(open_pages("http://127.0.0.1:9/x.png"))


def test_boxes_on_a_large_jpeg_are_counted_in_its_own_pixels() -> None:
    """As they are in the same picture in a form that is never decoded smaller."""
    page = np.full((3000, 4200), 240, np.uint8)
    page[900:2100, 1990:2110] = 20  # a 1
    (large,) = Reader().read_many([encoded(Image.fromarray(page), "JPEG", quality=95)], "single")
    (whole,) = Reader().read_many([page], "single")
    assert large.text == whole.text == "1"
    np.testing.assert_allclose(large.digits[0].box, whole.digits[0].box, atol=6)
