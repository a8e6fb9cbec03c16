"""From a picture to a reading: right on real pictures, and unchanged by what is not ink."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

import digitreader
from digitreader.errors import ModelError, SourceError, UsageError
from digitreader.reader import Reader, _in_context
from digitreader.reading import Box, Digit, DigitStatus, Reading

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader()


@pytest.fixture(scope="module")
def seven() -> Pixels:
    return np.asarray(Image.open(Path(__file__).parent.parent / "examples" / "felt_pen.png"))


def test_the_examples_are_read_as_they_say(
    reader: Reader, examples: dict[Path, tuple[str, ...]]
) -> None:
    assert {path.name: reader.read(path).lines for path in examples} == {
        path.name: lines for path, lines in examples.items()
    }


def test_the_three_lines_of_the_readme(seven: Pixels) -> None:
    reading = digitreader.read(seven)
    (digit,) = reading.digits
    assert reading.text == "7"
    assert digit.digit == 7
    assert digit.confidence == digit.top3[0][1] == max(digit.probabilities)
    assert 0.5 < sum(digit.probabilities) <= 1.00001  # the rest says it may be no digit
    assert digit.glyph.shape == (28, 28)
    assert digit.glyph.dtype == np.uint8


def test_a_source_may_be_anything(reader: Reader, seven: Pixels, tmp_path: Path) -> None:
    path = tmp_path / "seven.png"
    Image.fromarray(seven).save(path)
    colour = np.dstack([seven] * 3)
    opaque = np.dstack([colour, np.full_like(seven, 255)])
    sources: list[Any] = [
        path, str(path), path.read_bytes(), Image.open(path), seven, colour, opaque,
    ]  # fmt: skip
    readings = list(reader.read_many(sources))
    assert [reading.text for reading in readings] == ["7"] * len(sources)
    assert {reading.digits[0].box for reading in readings} == {readings[0].digits[0].box}


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("layout", ["auto", "single", "page"])
def test_an_empty_page_is_empty(reader: Reader, level: int, layout: Any) -> None:
    noise = np.random.default_rng(level).normal(0, 2, (300, 200))
    for page in (np.full((300, 200), level), np.clip(level + noise, 0, 255)):
        reading = reader.read(page.astype(np.uint8), layout)
        assert (reading.status, reading.text, reading.digits) == ("empty", "", ())


@pytest.mark.parametrize("shape", [(1, 1), (1, 2000), (2000, 1), (3, 3)])
def test_pages_without_room_for_a_digit(reader: Reader, shape: tuple[int, int]) -> None:
    assert reader.read(np.full(shape, 255, np.uint8)).status == "empty"


def test_a_broken_picture_does_not_stop_the_rest(
    reader: Reader, seven: Pixels, tmp_path: Path
) -> None:
    (tmp_path / "broken.png").write_bytes(b"broken")
    readings = list(reader.read_many([seven, tmp_path / "broken.png", tmp_path / "no.png", seven]))
    assert [reading.text for reading in readings] == ["7", "", "", "7"]
    assert [reading.status for reading in readings[1:3]] == ["error", "error"]
    assert "broken.png" in str(readings[1].error)
    assert "no such file" in str(readings[2].error)


def test_read_refuses_to_drop_pages(reader: Reader, seven: Pixels) -> None:
    buffer = io.BytesIO()
    frame = Image.fromarray(seven)
    frame.save(buffer, "TIFF", save_all=True, append_images=[frame])
    with pytest.raises(SourceError, match="several pages"):
        reader.read(buffer.getvalue())
    readings = list(reader.read_many([buffer.getvalue()]))
    assert [(r.page, r.text) for r in readings] == [(1, "7"), (2, "7")]


def test_min_confidence_marks_and_keeps(seven: Pixels) -> None:
    strict = Reader(min_confidence=1.0).read(seven)
    assert (strict.text, strict.status, strict.digits[0].status) == ("7", "unsure", "unsure")
    assert Reader(min_confidence=0.0).read(seven).status == "ok"


def test_arguments_that_make_no_sense_are_refused(seven: Pixels) -> None:
    for confidence in (-0.1, 1.5, float("nan")):
        with pytest.raises(UsageError, match=f"min_confidence is {confidence}; expected 0 to 1"):
            Reader(min_confidence=confidence)
    with pytest.raises(UsageError, match="layout is 'line'; expected auto, single, page"):
        Reader().read(seven, layout="line")  # type: ignore[arg-type]


@pytest.mark.parametrize(("sure", "called"), [(1, 0), (2, 2), (3, 3)])
def test_where_most_digits_are_doubtful_none_is_sure(sure: int, called: int) -> None:
    """As in noise, where a few of many shapes look like digits by chance."""
    glyph = np.zeros((28, 28), np.uint8)
    none = np.zeros(10, np.float32)
    statuses: list[DigitStatus] = ["ok" if i < sure else "unsure" for i in range(4)]
    digits = [Digit("3", 0.8, none, (), Box(0, 0, 9, 9), glyph, status) for status in statuses]
    assert [digit.status for digit in _in_context(digits)].count("ok") == called


def test_a_missing_model_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model file"):
        Reader(tmp_path / "none.onnx")


# --- what must not change a reading -----------------------------------------------------------


def base_digits(count: int) -> list[Pixels]:
    """Real digits, 56×56, ink bright, spread over the classes; none in MNIST's own form."""
    from digitreader.training.datasets import load

    train = load("optdigits").train
    chosen = [np.flatnonzero(train.targets == k)[: -(-count // 10)] for k in range(10)]
    twice = np.ones((2, 2), np.uint8)
    return [np.kron(train.images[i], twice) for i in np.concatenate(chosen)]


@pytest.fixture(scope="module")
def digits() -> list[Pixels]:
    return base_digits(40)


@pytest.fixture(scope="module")
def readings(reader: Reader, digits: list[Pixels]) -> list[Reading]:
    return [reader.read(digit, "single") for digit in digits]


@settings(max_examples=15)
@given(st.tuples(*[st.integers(0, 60)] * 4))
def test_padding_and_shifting_change_nothing(
    reader: Reader,
    digits: list[Pixels],
    readings: list[Reading],
    pads: tuple[int, int, int, int],
) -> None:
    top, bottom, left, right = pads
    for digit, before in zip(digits, readings, strict=True):
        after = reader.read(np.pad(digit, ((top, bottom), (left, right))), "single")
        assert before.text == after.text or "unsure" in {before.status, after.status}


@pytest.mark.parametrize("factor", [2, 3])
def test_whole_factors_change_next_to_nothing(
    reader: Reader, digits: list[Pixels], readings: list[Reading], factor: int
) -> None:
    """No probability; so no label, but where two are as likely as each other."""
    for digit, before in zip(digits, readings, strict=True):
        after = reader.read(np.kron(digit, np.ones((factor, factor), np.uint8)), "single")
        given, got = (reading.digits[0].probabilities for reading in (before, after))
        np.testing.assert_allclose(got, given, atol=0.03)


def test_inverting_changes_nothing(reader: Reader, digits: list[Pixels]) -> None:
    for digit in digits:
        bright, dark = reader.read(digit, "single"), reader.read(255 - digit, "single")
        np.testing.assert_array_equal(bright.digits[0].glyph, dark.digits[0].glyph)
        np.testing.assert_array_equal(bright.digits[0].probabilities, dark.digits[0].probabilities)


def test_encoding_again_changes_nothing(reader: Reader, digits: list[Pixels]) -> None:
    for digit in digits:
        buffer = io.BytesIO()
        Image.fromarray(digit).save(buffer, "PNG")
        again = reader.read(buffer.getvalue(), "single")
        np.testing.assert_array_equal(
            reader.read(digit, "single").digits[0].probabilities, again.digits[0].probabilities
        )


def test_mnist_goes_through_untouched(reader: Reader, mnist: tuple[Pixels, Any]) -> None:
    images = mnist[0][:500]
    readings = list(reader.read_many(list(images)))
    untouched = [
        len(r.digits) == 1 and np.array_equal(r.digits[0].glyph, image)
        for r, image in zip(readings, images, strict=True)
    ]
    assert all(untouched)


def test_the_shipped_model_reads_real_digits(
    reader: Reader, optdigits: tuple[Pixels, NDArray[np.int64]]
) -> None:
    """scikit-learn's digits are 8×8 and blurred: far from MNIST, and read all the same."""
    images, targets = optdigits
    assert (reader.classify(images).argmax(1) == targets).mean() > 0.93
