"""How far the model that ships can be trusted, and what other seeds would have made of it.

Calibration on the test images; digits against glyphs of alphabets and letter photos, none of whose
kinds it was trained on, by area under the ROC curve; the test images harmed in fifteen ways.
Reliability, risk, errors and the signs most like digits are drawn to `docs/images`.
"""

from __future__ import annotations

import statistics
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from corruptions import CORRUPTIONS, corrupted
from digitreader.card import ModelCard
from digitreader.classifier import Classifier, shipped_model
from digitreader.glyphs import to_glyph
from digitreader.ink import inked
from digitreader.main_digit import main_digit
from digitreader.training import networks, plots
from digitreader.training.cascade import join
from digitreader.training.datasets import Split, load
from digitreader.training.metrics import score
from digitreader.training.model_files import Failure, export, open_original
from nothing import letter_photos
from seeds import over_seeds

IMAGES = Path(__file__).parent.parent / "docs" / "images"
PARTS = {"quick": "quick", "thorough": "robust", "plain": "clean"}  # networks, and their recipes
FORMAT = "onnx-int8"
OTHER_SEEDS = (1, 2)
DISPUTED = (1901, 2130, 2293, 6576, 9729)  # test images hardly ever read as they are labelled
ALPHABETS, LETTERS = "glyphs of alphabets", "letter photos"
SIGNS = (6, 24)  # rows and columns of those drawn

Glyphs = NDArray[np.uint8]


def shipped(data: Path) -> dict[str, Any]:
    """What is measured of the file that ships, and its pictures drawn."""
    path = shipped_model("digits")
    classifier, test = Classifier.open(path), test_images(data)
    probabilities = classifier.probabilities(test.images)
    plots.reliability(
        score(probabilities, test.targets, classifier.card.labels), IMAGES / "reliability.png"
    )
    plots.risk(probabilities, test.targets, IMAGES / "risk.png")
    plots.errors(test, probabilities, DISPUTED, IMAGES / "errors.png")
    draw_surest(classifier, others(data)[ALPHABETS], IMAGES / "signs.png")
    return {
        **measured(path, data),
        "disputed": {
            "indices": DISPUTED,
            "read_as_labelled": int((probabilities[list(DISPUTED)].argmax(axis=1)
                                     == test.targets[list(DISPUTED)]).sum()),
        },
    }  # fmt: skip


@cache
def measured(path: Path, data: Path) -> dict[str, Any]:
    """Calibration, what is no digit, and harm, of a file of ours that knows what is no digit."""
    classifier, test = Classifier.open(path), test_images(data)
    probabilities = classifier.probabilities(test.images)
    scores = score(probabilities, test.targets, classifier.card.labels)
    print(f"{path.stem}: {scores.summary()}, calibration error {scores.reliability.error:.4f}")
    return {
        "bytes": path.stat().st_size,
        "work": work(path, classifier.card, test.images),
        "test": scores.as_dict(),
        "not_a_digit": against_others(classifier, probabilities, others(data)),
        "harmed": harmed(classifier, test),
    }


def other_seeds(runs: Path, data: Path) -> dict[str, Any]:
    """The same figures of the file that ships and of those that the runs of other seeds make."""
    rows = [row_of(0, measured(shipped_model("digits"), data))]
    for seed in OTHER_SEEDS:
        quick, thorough, plain = (in_8_bits(runs / f"{name}-{seed}") for name in PARTS.values())
        out = runs / f"shipped-{seed}.onnx"
        join(quick, thorough, out, plain=plain, data_dir=data / "mnist")
        rows.append(row_of(seed, measured(out, data)))
    means = ("loss", "ece", "multiply_adds", "bytes", "harmed", ALPHABETS, LETTERS)
    return {"rows": rows, **over_seeds(rows, *means)}


def in_8_bits(run: Path) -> Path:
    """Export a run's model as `digitreader export --format onnx-int8` does; the file's path."""
    folder = run / "exports"
    (written,) = export(open_original(run), [FORMAT], folder)
    if isinstance(written, Failure):
        raise SystemExit(f"{run}: {written.error}")
    return folder / written.files[0]


def row_of(seed: int, told: dict[str, Any]) -> dict[str, Any]:
    """One row of what is measured of a file."""
    test = told["test"]
    return {
        "seed": seed,
        **{name: test[name] for name in ("errors", "n", "accuracy", "loss")},
        "ece": test["reliability"]["ece"],
        "bytes": told["bytes"],
        "multiply_adds": told["work"]["mean"],
        "harmed": told["harmed"]["mean"],
        **{name: against["auroc_sum"] for name, against in told["not_a_digit"].items()},
    }


@cache
def test_images(data: Path) -> Split:
    """MNIST's."""
    test = load("mnist", data / "mnist").test
    assert test is not None
    return test


def work(path: Path, card: ModelCard, images: Glyphs) -> dict[str, Any]:
    """Multiply-adds of one image: of each network, and on average, as often as others are asked."""
    built = {name: networks.build(card.trained[name]["recipe"]["network"], len(card.labels))
             for name in PARTS}  # fmt: skip
    each = {name: networks.multiply_adds(network) for name, network in built.items()}
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    asked = float(session.run(["asked"], {"glyphs": images})[0].mean())
    others = each["thorough"] + each["plain"]
    return {**each, "asked": asked, "mean": each["quick"] + asked * others,
            "most": each["quick"] + others}  # fmt: skip


def against_others(
    classifier: Classifier, digits: NDArray[np.float32], glyphs: dict[str, Glyphs]
) -> dict[str, Any]:
    """Area under the ROC curve of digits, by their probabilities, against what is none."""
    result = {}
    for name, own in glyphs.items():
        said = classifier.probabilities(own)
        result[name] = {
            "n": len(said),
            "auroc_sum": area(digits.sum(axis=1), said.sum(axis=1)),
            "auroc_greatest": area(digits.max(axis=1), said.max(axis=1)),
        }
        print(f"digits against {name}: {result[name]}", flush=True)
    return result


def area(digits: NDArray[np.float32], others: NDArray[np.float32]) -> float:
    """Area under the ROC curve: the chance that a digit has more than another has."""
    truth = np.repeat([1, 0], [len(digits), len(others)])
    return float(roc_auc_score(truth, np.concatenate([digits, others])))


@cache
def others(data: Path) -> dict[str, Glyphs]:
    """What is no digit, as glyphs, uint8 [N, 28, 28]."""
    with np.load(data / "dev" / "omniglot_glyphs.npz") as file:
        foreign = file["X"][file["alphabet"] != "Latin"]
    return {
        ALPHABETS: np.stack([to_glyph(np.float32(1 / 255) * x) for x in foreign]),
        LETTERS: np.stack([_main_glyph(x) for x in letter_photos(data)]),
    }


def _main_glyph(pixels: Glyphs) -> Glyphs:
    """The glyph of a picture's main mark, as the reader makes it; blank where there is none."""
    ink = inked(pixels).ink
    main = main_digit(ink)
    return to_glyph(main.ink if main is not None else np.zeros_like(ink))


def draw_surest(classifier: Classifier, glyphs: Glyphs, path: Path) -> None:
    """Draw those of uint8 [N, 28, 28] that are digits to it most surely, the surest first."""
    rows, columns = SIGNS
    surest = np.argsort(-classifier.probabilities(glyphs).sum(axis=1), kind="stable")
    picked = 255 - glyphs[surest[: rows * columns]].reshape(rows, columns, 28, 28)
    sheet = picked.transpose(0, 2, 1, 3).reshape(28 * rows, 28 * columns)
    cv2.imwrite(str(path), sheet)


def harmed(classifier: Classifier, test: Split) -> dict[str, Any]:
    """Accuracy on test images harmed in each way, of all ways their mean."""
    rows = {}
    for name in CORRUPTIONS:
        said = classifier.probabilities(corrupted(name, test.images)).argmax(axis=1)
        rows[name] = float((said == test.targets).mean())
        print(f"{name:16} {100 * rows[name]:.2f}%", flush=True)
    mean = statistics.mean(rows.values())
    print(f"{'mean':16} {100 * mean:.2f}%")
    return {"n": len(test), "mean": mean, "accuracy": rows}
