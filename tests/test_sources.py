"""Pictures of every mode and from every place become the same upright 8-bit page."""

from __future__ import annotations

import functools
import io
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from digitreader.errors import SourceError
from digitreader.sources import Page, expand, open_pages


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
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(b"\0" * 99))
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data
    with pytest.raises(SourceError, match="million pixels"):
        list(open_pages(bomb))


def test_sources_are_expanded_in_order(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("b.png", "a.JPG", "sub/c.tif", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "list.txt").write_text(f"{tmp_path / 'b.png'}\n\n# a remark\nhttps://x/y.png\n")
    names = [Path(p).relative_to(tmp_path).as_posix() for p in expand([str(tmp_path)])]
    assert names == ["a.JPG", "b.png", "sub/c.tif"]
    assert list(expand([f"@{tmp_path / 'list.txt'}"])) == [
        str(tmp_path / "b.png"),
        "https://x/y.png",
    ]
    assert list(expand([str(tmp_path / "*.png"), "-"])) == [str(tmp_path / "b.png"), "-"]


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(tmp_path: Path) -> None:
    name = str(tmp_path / "scan[1].png")
    Path(name).write_bytes(b"")
    assert list(expand([name])) == [name]


@pytest.mark.parametrize("argument", ["@nowhere.txt", "*.nothing"])
def test_what_leads_nowhere_is_named(argument: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=argument.replace("*", r"\*")):
        list(expand([argument]))
    with pytest.raises(SourceError, match="no picture"):
        list(expand([str(tmp_path)]))


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


def test_an_unreachable_server_is_a_clear_error() -> None:
    with pytest.raises(SourceError, match="cannot be fetched"):
        list(open_pages("http://127.0.0.1:9/x.png"))
