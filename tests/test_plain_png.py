"""Plain PNG files are opened as Pillow opens them, and all others are left to it."""

from __future__ import annotations

import io
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from bad_claims import png
from digitreader.plain_png import MOST, decoded

GREY = arrays.arrays(np.uint8, arrays.array_shapes(min_dims=2, max_dims=2, max_side=40))
DIGIT = np.kron(np.arange(196, dtype=np.uint8).reshape(14, 14), np.ones((2, 2), np.uint8))


def saved(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "png", **options)
    return buffer.getvalue()


def packed(rows: bytes) -> bytes:
    return png(28, 28, zlib.compress(rows))


@given(GREY, st.sampled_from([{}, {"optimize": True}, {"compress_level": 0}]))
def test_what_pillow_writes_is_read_as_it_was(pixels: np.ndarray, options: dict[str, int]) -> None:
    np.testing.assert_array_equal(decoded(saved(Image.fromarray(pixels), **options)), pixels)


@given(GREY, st.integers(0, 4))
def test_every_filter_is_read_as_pillow_reads_it(pixels: np.ndarray, kind: int) -> None:
    side = min(pixels.shape)
    rows = np.pad(pixels[:side, :side], ((0, 0), (1, 0)), constant_values=kind).tobytes()
    content = png(side, side, zlib.compress(rows))
    np.testing.assert_array_equal(decoded(content), np.asarray(Image.open(io.BytesIO(content))))


def test_what_opencv_writes_in_several_chunks_is_read() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (200, 200), np.uint8)
    content = cv2.imencode(".png", pixels)[1].tobytes()
    assert content.count(b"IDAT") > 1
    np.testing.assert_array_equal(decoded(content), pixels)


def noted() -> PngInfo:
    note = PngInfo()
    note.add_text("who", "wrote this")
    return note


@pytest.mark.parametrize(
    "content",
    {
        "colours": saved(Image.fromarray(DIGIT).convert("RGB")),
        "a palette": saved(Image.fromarray(DIGIT).convert("P")),
        "transparent": saved(Image.fromarray(DIGIT).convert("LA")),
        "one grey is transparent": saved(Image.fromarray(DIGIT), transparency=0),
        "one bit": saved(Image.fromarray(DIGIT).convert("1")),
        "16 bits": saved(Image.fromarray(DIGIT.astype(np.uint16))),
        "a note": saved(Image.fromarray(DIGIT), pnginfo=noted()),
        "how it lies": saved(Image.fromarray(DIGIT), exif=b"Exif\0\0"),
        "several frames": saved(
            Image.fromarray(DIGIT), save_all=True, append_images=[Image.fromarray(DIGIT.T)]
        ),
        "large": saved(Image.new("L", (MOST, 2))),
        "something behind it": saved(Image.fromarray(DIGIT)) + b"more",
        "too few rows": packed(bytes(29 * 27)),
        "too many rows": packed(bytes(29 * 29)),
        "endless rows": packed(bytes(1_000_000)),
        "packed data cut": png(28, 28, zlib.compress(bytes(29 * 28))[:-1]),
        "more packed data": png(28, 28, zlib.compress(bytes(29 * 28)) + b"more"),
        "nothing packed": png(28, 28, b""),
        "no packed data": png(28, 28, b"nothing"),
        "a filter there is not": packed((b"\x05" + bytes(28)) * 28),
        "a JPEG": b"\xff\xd8\xff",
        "nothing": b"",
    }.items(),
    ids=lambda pair: pair[0],
)
def test_everything_else_is_left_to_pillow(
    content: tuple[str, bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    assert decoded(content[1]) is None
    assert capfd.readouterr() == ("", "")  # libpng would complain itself


WHOLE = saved(Image.fromarray(DIGIT))


@given(st.integers(0, len(WHOLE) - 1))
def test_a_file_cut_anywhere_is_left_to_pillow(place: int) -> None:
    assert decoded(WHOLE[:place]) is None


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_a_file_with_a_byte_changed_is_left_to_pillow(place: int, change: int) -> None:
    damaged = WHOLE[:place] + bytes([WHOLE[place] ^ change]) + WHOLE[place + 1 :]
    assert decoded(damaged) is None
