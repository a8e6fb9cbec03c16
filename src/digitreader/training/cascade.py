"""Models as one file: a quick one reads every glyph, and others those that it is in doubt about.

Most digits are easy, so the file is nearly as quick as the one and as accurate as all together
(Viola & Jones 2001; Teerapittayanon et al. 2016, "BranchyNet", for networks). Of the doubtful, a
thorough model's log-probabilities and the quick one's are averaged; a plain one that knows digits
alone, if there is one, has a say in which of them it is. What the file gives is what any model
gives, logits and activation maps, calibrated; besides, `asked`, bool [N], says which glyphs were
doubtful.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, compose, helper
from onnx.utils import Extractor
from scipy.special import log_softmax

from digitreader.card import ModelCard
from digitreader.classifier import Classifier, softmax
from digitreader.errors import ModelError, UsageError
from digitreader.training.calibrate import fit_threshold
from digitreader.training.datasets import Split, keep_and_hold, load
from digitreader.training.metrics import Scores, score
from digitreader.training.recipes import Recipe
from digitreader.writing import make_folder, whole

SURE = 0.95  # the quick model's confidence, from which it is believed
# The plain model's share in which digit it is. It reads clean digits best, and is as sure of harmed
# ones that it reads wrong: with a quarter, 14 of 5,000 held-out digits were wrong (21 without it)
# and 97.2% of the harmed ones right (97.2%); with a third 14 and 96.9%.
PLAIN_SHARE = 0.25
TOLERANCE = 1e-3  # logits; float32 sums in another order differ by some 1e-5
GIVEN = ("logits", "maps")
QUICK, THOROUGH, PLAIN = "quick/", "thorough/", "plain/"
ALONE, TOGETHER = "alone/", "together/"  # where the quick model is sure of all glyphs, and not


@dataclass(frozen=True, eq=False)
class Cascade:
    """A file that was written, what it read of the images held out, and how often it asked."""

    path: Path
    validation: Scores
    asked: float  # share of them


def join(  # noqa: PLR0913 (all but the first three by name)
    quick: Path,
    thorough: Path,
    out: Path,
    *,
    plain: Path | None = None,
    sure: float = SURE,
    data_dir: Path | None = None,
) -> Cascade:
    """Write a file in which `quick` is asked first, and the others where it is less sure than that.

    All are .onnx files of ours for the same classes, of which each held out the same images:
    these choose below what confidence a digit is called unsure. `plain` has learnt nothing of
    what is no digit. The file appears under its name only when whole, and after it gave for these
    images what the models give.

    Raises:
        ModelError: a file is missing, broken or not one of ours.
        UsageError: the models do not go together.
        DataError: the dataset they were trained on is missing.
        WriteError: the file cannot be written.
    """
    paths = {QUICK: quick, THOROUGH: thorough} | ({PLAIN: plain} if plain else {})
    models = {name: Classifier.open(path, threads=0) for name, path in paths.items()}
    held, recipe = _held_out([model.card for model in models.values()], data_dir)
    _check_knowledge({paths[name]: model.knows_none for name, model in models.items()}, plain)
    said, asked = _together(models, held.images, sure)
    labels = models[QUICK].card.labels
    probabilities = softmax(said)[:, : len(labels)]
    validation = score(probabilities, held.targets, labels)
    share = float(asked.mean())
    card = ModelCard(
        out.stem,
        labels,
        temperature=1.0,
        unsure_below=fit_threshold(probabilities, held.targets, recipe.risk)
        or max(model.card.unsure_below for model in models.values()),
        trained={
            **models[THOROUGH].card.trained,
            **{name.strip("/"): model.card.trained for name, model in models.items()},
            "cascade": {"sure": sure, "asked": share},
            "validation": {"n": validation.n, "accuracy": validation.accuracy},
        },
    )
    joined = _joined({name: onnx.load(path) for name, path in paths.items()}, sure, card)
    make_folder(out.parent)
    with whole(out) as draft:
        onnx.save(joined, draft)
        _check(draft, out, held.images, said)
    return Cascade(out, validation, share)


def _held_out(cards: list[ModelCard], data_dir: Path | None) -> tuple[Split, Recipe]:
    """The images that no model was trained on, and the recipe that held them out."""
    if len({card.labels for card in cards}) > 1:
        raise UsageError("the models tell other classes apart: expected the same labels")
    recipes = [Recipe.from_dict(card.trained.get("recipe", {})) for card in cards]
    parts = {(recipe.known, recipe.validation, recipe.fold) for recipe in recipes}
    if len(parts) > 1 or not recipes[0].validation:
        raise UsageError(
            "the models held out other images, or none: train all with the same dataset, "
            "validation and fold"
        )
    dataset = load(recipes[0].known, data_dir)
    if dataset.labels != cards[0].labels:
        raise UsageError(
            f"the models tell {' '.join(cards[0].labels)} apart, {dataset.name} has "
            f"{' '.join(dataset.labels)}: expected what they were trained on"
        )
    return keep_and_hold(dataset, recipes[0].validation, recipes[0].fold)[1], recipes[0]


def _check_knowledge(knows_none: dict[Path, bool], plain: Path | None) -> None:
    """Refuse models that differ in whether they know what is no digit; the plain one must not."""
    others = {knows for path, knows in knows_none.items() if path != plain}
    if len(others) > 1:
        names = " and ".join(str(path) for path in knows_none if path != plain)
        raise UsageError(f"{names} differ in whether they know what is no digit")
    if plain is not None and (knows_none[plain], others) != (False, {True}):
        raise UsageError(
            f"{plain} is to know digits alone, and the others what is no digit, too: train it "
            "without outliers, and them with some"
        )


def _together(
    models: dict[str, Classifier], images: NDArray[np.uint8], sure: float
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """What the models give by the rule, without the file: logits, [N, C], and the doubtful, [N]."""
    said = _scaled(models[QUICK], images)
    asked = softmax(said).max(axis=1) < sure
    doubtful = images[asked]
    both = (log_softmax(said[asked], axis=1)
            + log_softmax(_scaled(models[THOROUGH], doubtful), axis=1)) / 2  # fmt: skip
    if PLAIN in models:
        n = len(models[PLAIN].card.labels)
        which = log_softmax(both[:, :n], axis=1)
        told = log_softmax(_scaled(models[PLAIN], doubtful), axis=1)
        mixed = log_softmax((1 - PLAIN_SHARE) * which + PLAIN_SHARE * told, axis=1)
        both[:, :n] += mixed - which
    said[asked] = both
    return said, asked


def _scaled(model: Classifier, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return model.logits(images) / np.float32(model.card.temperature)


def _joined(models: dict[str, onnx.ModelProto], sure: float, card: ModelCard) -> onnx.ModelProto:
    """One graph: quick, and where it is in doubt, the others, and their word in its places."""
    outputs = _outputs(models[QUICK])
    names = [name for name in GIVEN if name in outputs and name in _outputs(models[THOROUGH])]
    quick, *others = (
        _part(model, name, ["logits"] if name == PLAIN else names) for name, model in models.items()
    )
    numbers = {name + "temperature": _card(model).temperature for name, model in models.items()}
    numbers |= {"sure": sure, "half": 0.5, "share": PLAIN_SHARE, "rest": 1 - PLAIN_SHARE}
    places = {"one": [1], "first": [0], "labels": [len(card.labels)], "end": [len(card.labels) + 1]}
    alone = _branch(ALONE, [_node("Identity", [f"scaled_{n}"], ALONE + n) for n in names], outputs)
    together = _branch(
        TOGETHER,
        [
            *_ask(),
            *(node for other in others for node in other.node),
            *_answer(PLAIN in models),
            *(_maps() if "maps" in names else []),
        ],
        outputs,
        [tensor for other in others for tensor in other.initializer],
    )
    graph = helper.make_graph(
        [
            _node("Identity", ["glyphs"], QUICK + "glyphs"),
            *quick.node,
            *(_node("Div", [QUICK + n, QUICK + "temperature"], f"scaled_{n}") for n in names),
            *_doubt(),
            helper.make_node("If", ["any"], names, then_branch=together, else_branch=alone),
        ],
        card.name,
        [helper.make_tensor_value_info("glyphs", TensorProto.UINT8, ["N", 28, 28])],
        [
            *(_each(outputs[name], name) for name in names),
            helper.make_tensor_value_info("asked", TensorProto.BOOL, ["N"]),
        ],
        [
            helper.make_tensor("nobody", TensorProto.INT64, [], [0]),
            *(helper.make_tensor(k, TensorProto.INT64, [1], v) for k, v in places.items()),
            *(helper.make_tensor(k, TensorProto.FLOAT, [], [v]) for k, v in numbers.items()),
            *quick.initializer,
        ],
    )
    opsets: dict[str, int] = {}
    for one in (one for model in models.values() for one in model.opset_import):
        opsets[one.domain] = max(one.version, opsets.get(one.domain, 1))
    joined = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid(domain, version) for domain, version in opsets.items()],
        ir_version=max(model.ir_version for model in models.values()),
    )
    helper.set_model_props(joined, {"digitreader": json.dumps(card.as_dict())})
    onnx.checker.check_model(joined)
    return joined


def _node(kind: str, given: list[str], made: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, given, [made], **attributes)


def _part(model: onnx.ModelProto, name: str, outputs: list[str]) -> onnx.GraphProto:
    """What makes these outputs of a model, under names that begin with its own."""
    needed = Extractor(model).extract_model(["glyphs"], outputs)
    return compose.add_prefix(needed, name).graph


def _branch(
    prefix: str,
    nodes: list[onnx.NodeProto],
    outputs: dict[str, onnx.ValueInfoProto],
    tensors: Sequence[onnx.TensorProto] = (),
) -> onnx.GraphProto:
    """What is done in one of two cases: nodes that make the outputs, under names of their own."""
    made = {name for node in nodes for name in node.output}
    given = [_each(outputs[name], prefix + name) for name in GIVEN if prefix + name in made]
    return helper.make_graph(nodes, prefix.strip("/"), [], given, tensors)


def _doubt() -> list[onnx.NodeProto]:
    """Which glyphs the quick model is in doubt about."""
    return [
        _node("Softmax", ["scaled_logits"], "shares", axis=1),  # [N, C]
        helper.make_node("TopK", ["shares", "one"], ["confidence", "label"], axis=1),  # [N, 1]
        _node("Less", ["confidence", "sure"], "doubtful"),
        _node("Squeeze", ["doubtful", "one"], "asked"),  # [N]
        _node("NonZero", ["asked"], "row_of_places"),  # [1, M]
        _node("Size", ["row_of_places"], "count"),
        _node("Greater", ["count", "nobody"], "any"),
    ]


def _ask() -> list[onnx.NodeProto]:
    """These alone, for the others."""
    return [
        _node("Transpose", ["row_of_places"], "places"),  # [M, 1]
        _node("GatherND", ["glyphs", "places"], THOROUGH + "glyphs"),  # [M, 28, 28]
        _node("Identity", [THOROUGH + "glyphs"], PLAIN + "glyphs"),
    ]


def _answer(plain: bool) -> list[onnx.NodeProto]:
    """The logits: the quick model's, and in the doubtful places what all together say, [M, C]."""
    told = "all" if plain else "both"
    return [
        _node("GatherND", ["scaled_logits", "places"], "quick_doubtful"),
        _node("LogSoftmax", ["quick_doubtful"], QUICK + "said", axis=1),
        _node("Div", [THOROUGH + "logits", THOROUGH + "temperature"], THOROUGH + "scaled"),
        _node("LogSoftmax", [THOROUGH + "scaled"], THOROUGH + "said", axis=1),
        _node("Add", [QUICK + "said", THOROUGH + "said"], "sum_of_both"),
        _node("Mul", ["sum_of_both", "half"], "both"),
        *(_which() if plain else []),
        _node("ScatterND", ["scaled_logits", "places", told], TOGETHER + "logits"),
    ]


def _which() -> list[onnx.NodeProto]:
    """What `both` say, with the plain model's say in which digit it is, as in `_together`."""
    return [
        _node("Slice", ["both", "first", "labels", "one"], "digits"),  # [M, K]
        _node("Slice", ["both", "labels", "end", "one"], "none"),  # [M, 1]
        _node("LogSoftmax", ["digits"], "which", axis=1),
        _node("Div", [PLAIN + "logits", PLAIN + "temperature"], PLAIN + "scaled"),
        _node("LogSoftmax", [PLAIN + "scaled"], PLAIN + "said", axis=1),
        _node("Mul", ["which", "rest"], "which_of_both"),
        _node("Mul", [PLAIN + "said", "share"], "which_by_plain"),
        _node("Add", ["which_of_both", "which_by_plain"], "mixed"),
        _node("LogSoftmax", ["mixed"], "which_by_all", axis=1),
        _node("Sub", ["which_by_all", "which"], "change"),
        _node("Add", ["digits", "change"], "digits_by_all"),
        _node("Concat", ["digits_by_all", "none"], "all", axis=1),
    ]


def _maps() -> list[onnx.NodeProto]:
    """The activation maps: the quick model's; of the doubtful, the mean with the thorough one's."""
    return [
        _node("Div", [THOROUGH + "maps", THOROUGH + "temperature"], "thorough_maps"),
        _node("GatherND", ["scaled_maps", "places"], "doubtful_maps"),
        _node("Add", ["doubtful_maps", "thorough_maps"], "sum_of_maps"),
        _node("Mul", ["sum_of_maps", "half"], "mean_maps"),
        _node("ScatterND", ["scaled_maps", "places", "mean_maps"], TOGETHER + "maps"),
    ]


def _check(path: Path, out: Path, images: NDArray[np.uint8], said: NDArray[np.float32]) -> None:
    """See that the file gives what its two models do.

    Raises:
        ModelError: it does not.
    """
    got = Classifier.open(path, threads=0).logits(images)
    difference = float(np.abs(got - said).max())
    if difference > TOLERANCE:
        raise ModelError(f"{out} does not do what its models do: {difference:.1e} apart")


def _card(model: onnx.ModelProto) -> ModelCard:
    notes = {note.key: note.value for note in model.metadata_props}
    return ModelCard.from_json(notes["digitreader"])


def _outputs(model: onnx.ModelProto) -> dict[str, onnx.ValueInfoProto]:
    return {value.name: value for value in model.graph.output}


def _each(value: onnx.ValueInfoProto, name: str) -> onnx.ValueInfoProto:
    copy = onnx.ValueInfoProto()
    copy.CopyFrom(value)
    copy.name = name
    copy.type.tensor_type.shape.dim[0].dim_param = "N"
    return copy
