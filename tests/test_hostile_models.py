"""Model files that are broken, or made to do harm: each is refused by name before it runs."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import EXAMPLES
from digitreader.classifier import SHIPPED, Classifier, shipped_model
from digitreader.doors.cli import run
from digitreader.doors.page.corrections import Corrections
from digitreader.errors import ModelError, UsageError
from digitreader.finder import Finder
from digitreader.onnx_file import notes_of, read_whole

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

PICTURE = str(EXAMPLES / "felt_pen.png")
SECRET = "/etc/passwd"


class Touches:
    """Leaves a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return open, (str(self.path), "w")


@contextmanager
def refused(path: Path, message: str) -> Iterator[None]:
    """Expect one line that names the file, and no exception but ours."""
    with pytest.raises(ModelError, match=message) as caught:
        yield
    told = str(caught.value)
    assert path.name in told
    assert told.isprintable()


@pytest.fixture
def never_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ONNX Runtime open nothing."""
    import onnxruntime

    def opened(*_: Any, **__: Any) -> None:
        pytest.fail("ONNX Runtime was given the file")

    monkeypatch.setattr(onnxruntime, "InferenceSession", opened)


# --- cards --------------------------------------------------------------------------------------


def with_card(text: str | bytes, path: Path) -> Path:
    """The shipped model with another card."""
    model = onnx.load(shipped_model(SHIPPED))
    del model.metadata_props[:]
    content = text.encode() if isinstance(text, str) else text
    entry = b"\x0a\x0bdigitreader" + b"\x12" + varint(len(content)) + content
    path.write_bytes(model.SerializeToString() + b"\x72" + varint(len(entry)) + entry)
    return path


def varint(number: int) -> bytes:
    """A number as protocol buffers write it."""
    more, low = number >> 7, number & 127
    return bytes([low | 128]) + varint(more) if more else bytes([low])


ENTRIES: dict[str, dict[str, Any]] = {
    "temperature": {
        "zero": 0, "negative": -1, "NaN": float("nan"), "infinite": float("inf"),
        "tiny": 1e-300, "text": "1", "list": [1], "null": None, "true": True, "huge": 10**400,
    },
    "unsure_below": {"NaN": float("nan"), "above one": 1.1, "text": "0.5"},
    "labels": {
        "numbers": list(range(10)), "one text": "0123456789", "null": None, "none": [],
        "nested": [["0"]] * 10, "doubled": ["0"] * 10, "empty name": ["", *"123456789"],
        "terminal's commands": ["\x1b[31m", *"123456789"], "overlong": ["x" * 10**6, *"123456789"],
    },
    "name": {"number": 5, "overlong": "x" * 10**6},
    "glyph_form": {"text": "1", "null": None},
    "trained": {
        "text": "x", "recipe": {"recipe": 5}, "knobs": {"recipe": {"augment": ["bent"]}},
        "scores": {"validation": {"n": "many", "accuracy": 1}},
    },
}  # fmt: skip
CHANGES = {f"{name}, {how}": (name, v) for name, hows in ENTRIES.items() for how, v in hows.items()}


@pytest.mark.parametrize("case", CHANGES)
@pytest.mark.usefixtures("never_loaded")
def test_a_card_that_makes_no_sense_is_refused(case: str, tmp_path: Path) -> None:
    entry, value = CHANGES[case]
    card = notes_of(shipped_model(SHIPPED).read_bytes())["digitreader"]
    path = with_card(json.dumps(json.loads(card) | {entry: value}), tmp_path / "odd.onnx")
    with refused(path, f"its {entry} is .*; expected"):
        Classifier.open(path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "5",
        "[" * 100_000,
        '{"name":' + "1" * 5000 + "}",
        b"\xff\xfe",
        '{"name": "x"}',
    ],
    ids=["empty", "cut", "list", "number", "deep", "long number", "no text", "other entries"],
)
@pytest.mark.usefixtures("never_loaded")
def test_a_card_that_is_none_is_refused(text: str | bytes, tmp_path: Path) -> None:
    path = with_card(text, tmp_path / "odd.onnx")
    with refused(path, "carries a card that cannot be read"):
        Classifier.open(path)


# --- networks -----------------------------------------------------------------------------------


def network(
    weights: Any = None,
    given: tuple[Any, ...] = ("glyphs", TensorProto.UINT8, [None, 28, 28]),
    got: tuple[Any, ...] = ("logits", TensorProto.FLOAT, [None, 10]),
    before: list[Any] | None = None,
    last: str = "MatMul",
) -> Any:
    """A network of one dense layer with the shipped model's card."""
    if weights is None:
        weights = numpy_helper.from_array(np.zeros((784, 10), np.float32), "weights")
    nodes = [
        *(before or []),
        helper.make_node("Flatten", [given[0]], ["flat"]),
        helper.make_node("Cast", ["flat"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node(last, ["floats", "weights"], [got[0]], domain="evil" * (last == "Evil")),
    ]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info(*given)],
        [helper.make_tensor_value_info(*got)], [weights] if weights else [],
    )  # fmt: skip
    sets = [helper.make_opsetid("", 17), helper.make_opsetid("evil", 1)]
    model = helper.make_model(graph, opset_imports=sets, ir_version=9)
    helper.set_model_props(model, notes_of(shipped_model(SHIPPED).read_bytes()))
    return model


def claims(*dims: int) -> Any:
    """A tensor that says it has that shape, and holds nothing."""
    return TensorProto(name="weights", data_type=TensorProto.FLOAT, dims=dims)


def dense(*shape: int, value: float = 0) -> Any:
    return numpy_helper.from_array(np.full(shape, value, np.float32), "weights")


def makes_a_huge_one() -> Any:
    sides = numpy_helper.from_array(np.array([1 << 40, 1 << 20], np.int64))
    before = [
        helper.make_node("Constant", [], ["sides"], value=sides),
        helper.make_node("ConstantOfShape", ["sides"], ["weights"]),
    ]
    return network(weights=False, before=before)


LOGITS = ("logits", TensorProto.FLOAT, [None, None])
NETWORKS: dict[str, tuple[Callable[[], Any], str]] = {
    "another width": (lambda: network(dense(784, 7), got=LOGITS), r"gives \[2, 7\] for two glyphs"),
    "numbers that are none": (lambda: network(dense(784, 10, value=np.nan)), "no numbers"),
    "another input": (
        lambda: network(given=("x", TensorProto.UINT8, [None, 28, 28])), "cannot be run"
    ),
    "another size": (
        lambda: network(dense(1024, 10), given=("glyphs", TensorProto.UINT8, [None, 32, 32])),
        "cannot be run",
    ),
    "another type": (
        lambda: network(given=("glyphs", TensorProto.FLOAT, [None, 28, 28])), "cannot be run"
    ),
    "another output": (
        lambda: network(got=("scores", TensorProto.FLOAT, [None, 10])), "cannot be run"
    ),
    "one glyph only": (
        lambda: network(given=("glyphs", TensorProto.UINT8, [1, 28, 28])), "cannot be run"
    ),
    "an operation of its own": (lambda: network(last="Evil"), "Evil"),
    "a huge claim": (lambda: network(claims(1 << 40, 10)), "not a readable ONNX model"),
    "a claim that overflows": (lambda: network(claims(1 << 33, 1 << 33)), "not a readable"),
    "a negative size": (lambda: network(claims(-784, 10)), "not a readable ONNX model"),
    "a huge tensor made": (makes_a_huge_one, "cannot be run|not a readable"),
}  # fmt: skip


@pytest.mark.parametrize("case", NETWORKS)
def test_a_network_that_is_not_what_its_card_says_is_refused(case: str, tmp_path: Path) -> None:
    make, message = NETWORKS[case]
    path = tmp_path / "other.onnx"
    path.write_bytes(make().SerializeToString())
    with refused(path, message):
        Classifier.open(path)


def test_such_a_network_without_a_fault_is_taken(tmp_path: Path) -> None:
    """Or the tests above would prove nothing."""
    (tmp_path / "good.onnx").write_bytes(network().SerializeToString())
    glyphs = np.zeros((3, 28, 28), np.uint8)
    assert Classifier.open(tmp_path / "good.onnx").logits(glyphs).shape == (3, 10)


@pytest.mark.parametrize("field", ["opset", "ir_version"])
def test_models_of_a_version_to_come_are_refused(field: str, tmp_path: Path) -> None:
    model = network()
    if field == "opset":
        model.opset_import[0].version = 99
    else:
        model.ir_version = 99
    path = tmp_path / "later.onnx"
    path.write_bytes(model.SerializeToString())
    with refused(path, "not a readable ONNX model"):
        Classifier.open(path)


def test_the_two_shipped_models_do_not_pass_for_each_other(tmp_path: Path) -> None:
    with refused(shipped_model("finder"), "not the expected ones"):
        Classifier.open(shipped_model("finder"))
    with refused(shipped_model(SHIPPED), "no finder"):
        Finder.open(shipped_model(SHIPPED))


# --- numbers in other files ---------------------------------------------------------------------


def elsewhere(location: str) -> Any:
    """Weights that lie in another file."""
    weights = claims(784, 10)
    weights.data_location = TensorProto.EXTERNAL
    entry = weights.external_data.add()
    entry.key, entry.value = "location", location
    return weights


def in_a_constant(weights: Any) -> Any:
    node = helper.make_node("Constant", [], ["weights"], value=weights)
    return network(weights=False, before=[node])


def in_a_branch(weights: Any) -> Any:
    branch = helper.make_graph(
        [helper.make_node("Constant", [], ["inner"], value=weights)], "b", [],
        [helper.make_tensor_value_info("inner", TensorProto.FLOAT, [784, 10])],
    )  # fmt: skip
    true = numpy_helper.from_array(np.array(True))
    before = [
        helper.make_node("Constant", [], ["which"], value=true),
        helper.make_node("If", ["which"], ["weights"], then_branch=branch, else_branch=branch),
    ]
    return network(weights=False, before=before)


def in_a_function(weights: Any) -> Any:
    model = network(weights=False, before=[helper.make_node("F", [], ["weights"], domain="evil")])
    node = helper.make_node("Constant", [], ["w"], value=weights)
    function = helper.make_function("evil", "F", [], ["w"], [node], [helper.make_opsetid("", 17)])
    model.functions.append(function)
    return model


def in_a_sparse_one(weights: Any) -> Any:
    model = network()
    weights.name = "sparse"
    index = numpy_helper.from_array(np.zeros(1, np.int64))
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(weights, index, [784, 10]))
    return model


@pytest.mark.parametrize("location", ["../../../../../../.." + SECRET, SECRET, "beside.bin", ""])
@pytest.mark.parametrize(
    "hidden", [network, in_a_constant, in_a_branch, in_a_function, in_a_sparse_one]
)
@pytest.mark.usefixtures("never_loaded")
def test_numbers_in_another_file_are_never_fetched(
    hidden: Callable[[Any], Any], location: str, tmp_path: Path
) -> None:
    (tmp_path / "beside.bin").write_bytes(bytes(784 * 10 * 4))
    path = tmp_path / "reaching.onnx"
    path.write_bytes(hidden(elsewhere(location)).SerializeToString())
    with refused(path, "keeps numbers in another file"):
        Classifier.open(path)
    with refused(path, "keeps numbers in another file"):
        Finder.open(path)


# --- broken files -------------------------------------------------------------------------------

WHOLE = shipped_model(SHIPPED).read_bytes()


@settings(max_examples=30)
@given(st.integers(0, len(WHOLE) - 1))
def test_a_file_cut_anywhere_is_refused(tmp_path_factory: Any, place: int) -> None:
    path = tmp_path_factory.getbasetemp() / "cut.onnx"
    path.write_bytes(WHOLE[:place])
    with refused(path, "not a readable ONNX model|not made by digitreader"):
        Classifier.open(path)


@settings(max_examples=30)
@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_a_file_with_a_byte_changed_is_read_or_refused(
    tmp_path_factory: Any, place: int, change: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "changed.onnx"
    path.write_bytes(WHOLE[:place] + bytes([WHOLE[place] ^ change]) + WHOLE[place + 1 :])
    try:
        classifier = Classifier.open(path)
    except ModelError:
        return
    assert np.isfinite(classifier.probabilities(np.zeros((2, 28, 28), np.uint8))).all()


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=200), max_size=4))
def test_notes_are_those_that_onnx_reads(notes: dict[str, str]) -> None:
    model = onnx.ModelProto(ir_version=9, producer_name="x" * 200)
    helper.set_model_props(model, notes)
    assert notes_of(model.SerializeToString()) == notes


@given(st.binary(max_size=40))
def test_notes_of_anything_are_read_or_refused(tmp_path_factory: Any, note: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "noted.onnx"
    path.write_bytes(WHOLE + b"\x72" + varint(len(note)) + note)
    with suppress(ModelError):
        Classifier.open(path)


def test_an_overlong_name_is_a_clear_error() -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        read_whole(Path("x" * 5000 + ".onnx"))


def test_a_file_larger_than_any_model_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    with path.open("wb") as file:
        file.truncate(10**12)  # it holds nothing
    with refused(path, "larger than 100 MB"):
        read_whole(path)


# --- every door ---------------------------------------------------------------------------------

OTHERS = Path(__file__).parent / "data" / "keras_2.h5"
DOORS = {
    "read": ["read", PICTURE, "--model", "{model}"],
    "batch": ["batch", PICTURE, "-o", "{folder}/rows", "--model", "{model}"],
    "serve": ["serve", "--model", "{model}"],
    "evaluate": ["evaluate", "--dataset", "optdigits", "--model", "{model}"],
    "export": ["export", "{folder}"],
    "train --from": ["train", "--from", "{folder}", "--dataset", "optdigits"],
}


def knock(door: str, model: Path) -> int:
    """Run a command on a model in a run's folder."""
    pytest.importorskip(
        {"serve": "fastapi", "export": "keras", "train --from": "keras"}.get(door, "onnx")
    )
    return run([part.format(model=model, folder=model.parent) for part in DOORS[door]])


@pytest.mark.parametrize("door", DOORS)
def test_no_door_opens_a_file_that_reaches_out(
    door: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(network(elsewhere(SECRET)).SerializeToString())
    shutil.copy(OTHERS, tmp_path / "best.keras")
    assert knock(door, path) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Error: ")
    assert "model.onnx keeps numbers in another file" in line


@pytest.mark.parametrize("name", ["model.pkl", "model.onnx", "model.keras", "model.h5"])
@pytest.mark.parametrize("door", ["read", "batch", "serve", "evaluate"])
def test_no_door_opens_a_pickle_whatever_it_is_called(
    door: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if name in {"model.keras", "model.h5"}:
        pytest.importorskip("keras")
    path = tmp_path / name
    path.write_bytes(pickle.dumps(Touches(tmp_path / "ran")))
    assert knock(door, path) in {2, 3}
    (line,) = capsys.readouterr().err.splitlines()
    assert name in line
    assert not (tmp_path / "ran").exists()


def test_labels_that_look_like_paths_stay_names(tmp_path: Path) -> None:
    card = json.loads(notes_of(WHOLE)["digitreader"])
    labels = ["../../0", "/1", "a/2", *"3456789"]
    path = with_card(json.dumps(card | {"labels": labels}), tmp_path / "paths.onnx")
    seen = tmp_path / "deep" / "er" / "seen"
    picture = str(EXAMPLES / "postcode.png")  # 90210
    assert run(["read", picture, "--model", str(path), "--show-input", str(seen), "-q"]) == 0
    assert len(list(seen.iterdir())) == 5
    assert {file.parent for file in tmp_path.rglob("*.png")} == {seen}


@pytest.mark.parametrize("label", ["../../0", "/1", "a/2", "..", "."])
def test_corrections_stay_in_their_folder(label: str, tmp_path: Path) -> None:
    corrections = Corrections(tmp_path / "deep" / "er")
    with pytest.raises(UsageError, match="cannot name a folder"):
        corrections.keep(np.ones((28, 28), np.uint8), label)
    assert list(tmp_path.rglob("*")) == []
