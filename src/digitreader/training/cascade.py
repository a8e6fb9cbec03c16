"""Two models as one file: a quick one reads every glyph, a thorough one those it is in doubt about.

Most digits are easy, so the file is nearly as quick as the one and as accurate as the other (Viola
& Jones 2001; Teerapittayanon et al. 2016, "BranchyNet", for networks). What it gives is what any
model gives, logits and activation maps, each model's divided by its temperature; besides, `asked`,
bool [N], says which glyphs the thorough one has read.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, compose, helper

from digitreader.card import ModelCard
from digitreader.classifier import Classifier, softmax
from digitreader.errors import ModelError, UsageError
from digitreader.training.calibrate import fit_threshold
from digitreader.training.datasets import Split, hold_out, load
from digitreader.training.metrics import Scores, score
from digitreader.training.recipes import Recipe

SURE = 0.98  # the quick model's confidence, from which it is believed
TOLERANCE = 1e-3  # logits; float32 sums in another order differ by some 1e-5
GIVEN = ("logits", "maps")
QUICK, THOROUGH = "quick/", "thorough/"


@dataclass(frozen=True, eq=False)
class Cascade:
    """A file that was written, what it read of the images held out, and how often it asked."""

    path: Path
    validation: Scores
    asked: float  # share of them


def join(
    quick: Path, thorough: Path, out: Path, *, sure: float = SURE, data_dir: Path | None = None
) -> Cascade:
    """Write a file in which `quick` is asked first, and `thorough` where it is less sure than that.

    Both are .onnx files of ours for the same classes, of which each held out the same images:
    these choose below what confidence a digit is called unsure. The file appears under its name
    only when whole, and after it gave for these images what the two give.

    Raises:
        ModelError: a file is missing, broken or not one of ours.
        UsageError: the two do not go together.
        DataError: the dataset they were trained on is missing.
    """
    first, second = (Classifier.open(path, threads=0) for path in (quick, thorough))
    held, recipe = _held_out(first.card, second.card, data_dir)
    if first.logits(held.images[:1]).shape != second.logits(held.images[:1]).shape:
        raise UsageError(f"{quick} and {thorough} differ in whether they know what is no digit")
    said, asked = _together(first, second, held.images, sure)
    probabilities = softmax(said)[:, : len(first.card.labels)]
    card = ModelCard(
        out.stem,
        first.card.labels,
        temperature=1.0,
        unsure_below=fit_threshold(probabilities, held.targets, recipe.risk)
        or max(first.card.unsure_below, second.card.unsure_below),
        trained=_trained(first.card, second.card, sure, float(asked.mean())),
    )
    validation = score(probabilities, held.targets, card.labels)
    card.trained["validation"] = {"n": validation.n, "accuracy": validation.accuracy}
    joined = _joined(onnx.load(quick), onnx.load(thorough), sure, card)
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent) as folder:
        draft = Path(folder) / out.name
        onnx.save(joined, draft)
        _check(draft, out, held.images, said)
        draft.replace(out)
    return Cascade(out, validation, float(asked.mean()))


def _held_out(quick: ModelCard, thorough: ModelCard, data_dir: Path | None) -> tuple[Split, Recipe]:
    """The images that neither model was trained on, and the recipe that held them out."""
    if quick.labels != thorough.labels:
        raise UsageError("the two models tell other classes apart: expected the same labels")
    recipes = [Recipe.from_dict(card.trained.get("recipe", {})) for card in (quick, thorough)]
    parts = {(recipe.dataset, recipe.validation, recipe.fold) for recipe in recipes}
    if len(parts) > 1 or not recipes[0].validation:
        raise UsageError(
            "the two models held out other images, or none: train both with the same dataset, "
            "validation and fold"
        )
    train = load(recipes[0].dataset, data_dir).train
    count = min(recipes[0].validation, len(train) // 10)
    return hold_out(train, count, recipes[0].fold)[1], recipes[0]


def _together(
    first: Classifier, second: Classifier, images: NDArray[np.uint8], sure: float
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """What the two give by the rule, without the file: logits, [N, C], and who was asked, [N]."""
    said = first.logits(images) / np.float32(first.card.temperature)
    asked = softmax(said).max(axis=1) < sure
    said[asked] = second.logits(images[asked]) / np.float32(second.card.temperature)
    return said, asked


def _trained(quick: ModelCard, thorough: ModelCard, sure: float, asked: float) -> dict[str, Any]:
    """What a card says of both trainings; the recipe is the thorough one's."""
    return {
        **thorough.trained,
        "cascade": {"sure": sure, "asked": asked},
        "quick": quick.trained,
        "thorough": thorough.trained,
    }


def _joined(
    quick: onnx.ModelProto, thorough: onnx.ModelProto, sure: float, card: ModelCard
) -> onnx.ModelProto:
    """One graph: quick, then thorough for the doubtful, and its word in their places."""
    first, second = compose.add_prefix(quick, QUICK), compose.add_prefix(thorough, THOROUGH)
    names = [name for name in GIVEN if name in _outputs(quick) and name in _outputs(thorough)]
    numbers = {
        QUICK + "temperature": _card(quick).temperature,
        THOROUGH + "temperature": _card(thorough).temperature,
        "sure": sure,
    }
    graph = helper.make_graph(
        [
            helper.make_node("Identity", ["glyphs"], [QUICK + "glyphs"]),
            *first.graph.node,
            *_doubt(),
            *second.graph.node,
            *(node for name in names for node in _answer(name)),
        ],
        card.name,
        [helper.make_tensor_value_info("glyphs", TensorProto.UINT8, ["N", 28, 28])],
        [
            *(_each(_outputs(quick)[name]) for name in names),
            helper.make_tensor_value_info("asked", TensorProto.BOOL, ["N"]),
        ],
        [
            helper.make_tensor("one", TensorProto.INT64, [1], [1]),
            *(helper.make_tensor(k, TensorProto.FLOAT, [], [v]) for k, v in numbers.items()),
            *first.graph.initializer,
            *second.graph.initializer,
        ],
    )
    opsets: dict[str, int] = {}
    for one in (*quick.opset_import, *thorough.opset_import):
        opsets[one.domain] = max(one.version, opsets.get(one.domain, 1))
    joined = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid(domain, version) for domain, version in opsets.items()],
        ir_version=max(quick.ir_version, thorough.ir_version),
    )
    helper.set_model_props(joined, {"digitreader": json.dumps(card.as_dict())})
    onnx.checker.check_model(joined)
    return joined


def _doubt() -> list[onnx.NodeProto]:
    """Which glyphs the quick model is in doubt about, and these alone, for the thorough one."""
    node = helper.make_node
    return [
        node("Div", [QUICK + "logits", QUICK + "temperature"], [QUICK + "scaled"]),
        node("Softmax", [QUICK + "scaled"], ["shares"], axis=1),  # [N, C]
        node("TopK", ["shares", "one"], ["confidence", "label"], axis=1),  # [N, 1]
        node("Less", ["confidence", "sure"], ["doubtful"]),
        node("Squeeze", ["doubtful", "one"], ["asked"]),  # [N]
        node("NonZero", ["asked"], ["row_of_places"]),  # [1, M]
        node("Transpose", ["row_of_places"], ["places"]),  # [M, 1]
        node("GatherND", ["glyphs", "places"], [THOROUGH + "glyphs"]),  # [M, 28, 28]
    ]


def _answer(name: str) -> list[onnx.NodeProto]:
    """An output, `name`: the quick model's, and the thorough one's in the places it was asked."""
    node = helper.make_node
    ends = [f"{model}calibrated_{name}" for model in (QUICK, THOROUGH)]
    return [
        *(node("Div", [model + name, model + "temperature"], [end])
          for model, end in zip((QUICK, THOROUGH), ends, strict=True)),
        node("ScatterND", [ends[0], "places", ends[1]], [name]),
    ]  # fmt: skip


def _check(path: Path, out: Path, images: NDArray[np.uint8], said: NDArray[np.float32]) -> None:
    """See that the file gives what its two models do.

    Raises:
        ModelError: it does not.
    """
    got = Classifier.open(path, threads=0).logits(images)
    difference = float(np.abs(got - said).max())
    if difference > TOLERANCE:
        raise ModelError(f"{out} does not do what its two models do: {difference:.1e} apart")


def _card(model: onnx.ModelProto) -> ModelCard:
    notes = {note.key: note.value for note in model.metadata_props}
    return ModelCard.from_json(notes["digitreader"])


def _outputs(model: onnx.ModelProto) -> dict[str, onnx.ValueInfoProto]:
    return {value.name: value for value in model.graph.output}


def _each(value: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
    copy = onnx.ValueInfoProto()
    copy.CopyFrom(value)
    copy.type.tensor_type.shape.dim[0].dim_param = "N"
    return copy
