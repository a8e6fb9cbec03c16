"""One ONNX file in, calibrated probabilities out; anything else is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from digitreader.card import ModelCard
from digitreader.classifier import BATCH, SHIPPED, Classifier, shipped_model, softmax
from digitreader.errors import ModelError


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.open()


def glyphs(n: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(n).integers(0, 256, (n, 28, 28), dtype=np.uint8)


def test_softmax_against_scipy() -> None:
    from scipy.special import softmax as oracle

    logits = np.random.default_rng(0).normal(0, 30, (50, 10)).astype(np.float32)
    np.testing.assert_allclose(softmax(logits), oracle(logits, axis=1), atol=1e-6)


@pytest.mark.parametrize("n", [0, 1, BATCH, BATCH + 1, 3 * BATCH - 1])
def test_any_number_of_glyphs(classifier: Classifier, n: int) -> None:
    probabilities = classifier.probabilities(glyphs(n))
    assert probabilities.shape == (n, 10)
    assert probabilities.dtype == np.float32
    assert (probabilities >= 0).all()
    assert (probabilities.sum(axis=1) <= 1 + 1e-5).all()  # what is missing: that it is no digit


def test_a_batch_gives_what_one_by_one_gives(classifier: Classifier) -> None:
    batch = glyphs(30)
    singly = np.concatenate([classifier.logits(glyph[None]) for glyph in batch])
    np.testing.assert_allclose(classifier.logits(batch), singly, atol=1e-4)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((2, 28, 28), np.float32),
        np.zeros((28, 28), np.uint8),
        np.zeros((1, 32, 32), np.uint8),
    ],
    ids=["float", "no batch", "size"],
)
def test_other_arrays_are_refused(classifier: Classifier, wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"expected glyphs as uint8 \[N, 28, 28\]"):
        classifier.logits(wrong)


def test_the_shipped_model_is_small_and_says_what_it_is(classifier: Classifier) -> None:
    assert shipped_model(SHIPPED).stat().st_size <= 1_500_000
    assert classifier.card.labels == tuple("0123456789")
    assert classifier.card.trained["recipe"]["dataset"] == "mnist"


def test_the_card_survives_being_written() -> None:
    card = ModelCard("m", ("a", "b"), 1.25, 0.5, trained={"epochs_run": 3})
    assert ModelCard.from_json(json.dumps(card.as_dict())) == card
    with pytest.raises(ValueError, match="card"):
        ModelCard.from_json('{"name": "m"}')


def test_files_that_are_no_model_are_refused(tmp_path: Path) -> None:
    whole = shipped_model(SHIPPED).read_bytes()
    for name, content in {
        "cut.onnx": whole[:1000],
        "text.onnx": b"hello",
        "empty.onnx": b"",
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelError, match=name):
            Classifier.open(tmp_path / name)


def test_models_from_elsewhere_are_refused(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(shipped_model(SHIPPED))
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "foreign.onnx")
    with pytest.raises(ModelError, match="not made by digitreader"):
        Classifier.open(tmp_path / "foreign.onnx")


@pytest.mark.parametrize(
    ("change", "message"),
    [({"glyph_form": 99}, "glyphs of form 99"), ({"surprise": 1}, "card that cannot be read")],
)
def test_models_of_another_time_are_refused(
    tmp_path: Path, change: dict[str, int], message: str
) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(shipped_model(SHIPPED))
    card = Classifier.open().card.as_dict() | change
    onnx.helper.set_model_props(model, {"digitreader": json.dumps(card)})
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(ModelError, match=message):
        Classifier.open(tmp_path / "other.onnx")
