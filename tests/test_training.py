"""Networks learn, runs can be killed and gone on with, and what is exported is what was trained."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")
pytest.importorskip("tensorflow")

from digitreader.card import ModelCard  # noqa: E402
from digitreader.classifier import Classifier, shipped_model, softmax  # noqa: E402
from digitreader.doors.train_cli import _training_progress  # noqa: E402
from digitreader.errors import DataError, DivergedError, ModelError, StoppedError, UsageError  # noqa: E402
from digitreader.training import export, networks, recipes  # noqa: E402
from digitreader.training.datasets import Split, load  # noqa: E402
from digitreader.training.epochs import mean_history  # noqa: E402
from digitreader.training.evaluate import evaluate  # noqa: E402
from digitreader.training.images import images_of  # noqa: E402
from digitreader.training.metrics import score  # noqa: E402
from digitreader.training.recipes import Recipe  # noqa: E402
from digitreader.training.teacher import softened  # noqa: E402
from digitreader.training.train import train  # noqa: E402

# Small and with dropout: its random state has to survive being killed, too.
QUICK = Recipe(
    dataset="optdigits", network="dense-64-dropout", epochs=4, batch_size=64, learning_rate=3e-3
)


# --- recipes -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("knob", "value"),
    [
        ("epochs", 0),
        ("batch_size", 0),
        ("learning_rate", 0.0),
        ("learning_rate", float("inf")),
        ("seed", -1),
        ("seed", 2**32),
        ("optimizer", "sgdx"),
        ("averaged", 1.0),
        ("fold", -1),
        ("label_smoothing", 1.0),
        ("weight_decay", float("nan")),
        ("temperature", 1e4),  # no card takes it
    ],
)
def test_a_knob_that_makes_no_sense_is_named(knob: str, value: Any) -> None:
    with pytest.raises(UsageError, match=knob):
        Recipe(**{knob: value})


def test_unknown_knobs_are_refused_and_known_ones_survive_being_written() -> None:
    with pytest.raises(UsageError, match="lerning_rate"):
        Recipe.from_dict({"lerning_rate": 1})
    for recipe in recipes.RECIPES.values():
        assert Recipe.from_dict(json.loads(json.dumps(recipe.as_dict()))) == recipe


def test_a_file_of_some_knobs_is_a_recipe(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text('{"epochs": 7, "weight_decay": 1, "network": "tiny"}')
    assert recipes.named(str(file)) == Recipe(epochs=7, weight_decay=1.0, network="tiny")
    file.write_text(json.dumps(recipes.RECIPES["best"].as_dict()))
    assert recipes.named(str(file)) == recipes.named("best")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"epohcs": 7}', "epohcs"),
        ('{"epochs": 2.5}', r"epochs is 2\.5; expected a whole number"),
        ('{"epochs": Infinity}', "epochs is inf"),
        ('{"epochs": "many"}', "epochs is 'many'"),
        ('{"network": 5}', "network is 5; expected text"),
        ('{"validation": 0}', "temperature"),
        ('{"start_from": "runs/x"}', "replay"),
        ("[1]", "expected an object"),
        ("{", "not a recipe that can be read"),
    ],
)
def test_a_file_that_is_no_recipe_is_named_with_what_is_wrong(
    content: str, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "mine.json"
    file.write_text(content)
    with pytest.raises(UsageError, match=said) as caught:
        recipes.named(str(file))
    assert str(file) in str(caught.value)


def test_an_unknown_recipe_or_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there are default, fast"):
        recipes.named("defualt")
    with pytest.raises(UsageError, match="No such file"):
        recipes.named(str(tmp_path / "none.json"))


def test_knobs_are_turned_by_their_text() -> None:
    turned = Recipe().with_changes(epochs="3", averaged="0.9", network="tiny", seed=None)
    assert turned == Recipe(epochs=3, averaged=0.9, network="tiny")
    with pytest.raises(UsageError, match=r"epochs is '3\.5'"):
        Recipe().with_changes(epochs="3.5")


@pytest.mark.parametrize("knob", ["network", "augment"])
def test_a_misspelt_name_leaves_no_folder(knob: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no .* is called 'misspelt'"):
        train(QUICK.with_changes(**{knob: "misspelt"}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_too_few_to_harm_in_each_way_leave_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"harmed is 0\.25 of batches of 32 .* 10 ways"):
        train(QUICK.with_changes(batch_size=32, harmed=0.25), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("knob", ["outliers", "page_glyphs"])
def test_nothing_is_made_up_beside_letters(knob: str) -> None:
    """Fonts' letters would be no letter, and the first ten classes digits."""
    digits = load("optdigits")
    letters = replace(digits, name="letters", labels=tuple("ABCDEFGHIJ"))
    with pytest.raises(DataError, match="letters has other labels than 0–9"):
        images_of(letters, QUICK.with_changes(**{knob: 100}), None)


# --- runs -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "unbroken"
    train(QUICK, folder)
    return folder


def rows_of(folder: Path) -> list[dict[str, float]]:
    with (folder / "history.csv").open() as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def history(folder: Path) -> list[dict[str, float]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows_of(folder)]


def test_a_run_leaves_everything_behind(unbroken: Path) -> None:
    names = {path.name for path in unbroken.iterdir()}
    assert names == {
        "recipe.json", "history.csv", "last.npz", "best.keras", "model.onnx", "metrics.json",
        "curves.png", "confusion.png", "reliability.png",
    }  # fmt: skip
    metrics = json.loads((unbroken / "metrics.json").read_text())
    assert metrics["test"]["n"] == 359
    assert metrics["test"]["accuracy"] > 0.85
    assert metrics["recipe"]["precision"] in ("bfloat16", "float32")
    assert metrics["parity"]["agreement"] == 1
    assert [row["epoch"] for row in history(unbroken)] == [1, 2, 3, 4]


def test_the_model_file_and_the_network_score_the_same(unbroken: Path) -> None:
    onnx = evaluate(unbroken / "model.onnx", "optdigits")
    kept = evaluate(unbroken / "best.keras", "optdigits")
    assert onnx.n == kept.n == 359
    np.testing.assert_array_equal(onnx.confusion, kept.confusion)
    metrics = json.loads((unbroken / "metrics.json").read_text())
    assert metrics["test"]["accuracy"] == onnx.accuracy


def test_a_converter_that_fails_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where Keras runs on another backend, TensorFlow converts in a process of its own."""
    failed = subprocess.CompletedProcess(
        [], 1, stderr="Traceback\nModuleNotFoundError: No module named 'x'\n"
    )
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    card = ModelCard("run", tuple("0123456789"), temperature=1.0, unsure_below=0.7)
    with pytest.raises(ModelError, match=r"ended with 1: ModuleNotFoundError: No module named 'x'"):
        export.write_onnx(networks.build("mlp", 10), tmp_path / "model.onnx", card)


def test_the_temperature_makes_held_out_digits_likelier(unbroken: Path) -> None:
    classifier = Classifier.open(unbroken / "model.onnx")
    card = classifier.card
    held = images_of(load("optdigits"), QUICK, None).held
    assert held is not None
    logits = classifier.logits(held.images)
    fitted, plain = (
        score(softmax(logits / np.float32(temperature)), held.targets, card.labels).loss
        for temperature in (card.temperature, 1)
    )
    assert fitted < plain
    assert 0.05 < card.temperature < 20
    assert card.trained["recipe"]["network"] == "dense-64-dropout"


def test_the_same_seed_gives_the_same_run(unbroken: Path, tmp_path: Path) -> None:
    train(QUICK, tmp_path / "again")
    assert history(tmp_path / "again") == history(unbroken)


def test_ctrl_c_keeps_the_best_so_far(tmp_path: Path) -> None:
    def interrupt(epochs: float, logs: dict[str, float]) -> None:
        if epochs > 2:
            os.kill(os.getpid(), signal.SIGINT)

    run = train(QUICK, tmp_path / "run", report=interrupt)
    assert run.interrupted
    assert len(run.history) == 2
    assert evaluate(tmp_path / "run" / "model.onnx", "optdigits").n == 359


def test_ctrl_c_before_the_first_epoch_says_so(tmp_path: Path) -> None:
    def interrupt(epochs: float, logs: dict[str, float]) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(StoppedError, match="no epoch was finished"):
        train(QUICK, tmp_path / "run", report=interrupt)


def test_a_run_stops_when_it_no_longer_improves(tmp_path: Path) -> None:
    recipe = QUICK.with_changes(epochs=50, learning_rate=1e-9, schedule="constant", patience=2)
    run = train(recipe, tmp_path / "run")
    accuracies = [row["val_accuracy"] for row in run.history]
    assert len(accuracies) < 50
    assert max(accuracies[-2:]) <= max(accuracies[:-2])
    assert max(accuracies[:-2]) == accuracies[-3]


def test_a_folder_is_not_overwritten_nor_resumed_with_another_recipe(unbroken: Path) -> None:
    with pytest.raises(UsageError, match="--resume"):
        train(QUICK, unbroken)
    with pytest.raises(UsageError, match="batch_size"):
        train(QUICK.with_changes(batch_size=32), unbroken, resume=True)
    with pytest.raises(UsageError, match="no run to resume"):
        train(QUICK, unbroken / "elsewhere", resume=True)


def test_nothing_held_out_ends_with_the_last_epoch(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="temperature"):
        QUICK.with_changes(validation=0)
    run = train(QUICK.with_changes(validation=0, temperature=0.8, epochs=2), tmp_path / "run")
    assert run.validation is None
    assert "val_loss" not in run.history[-1]
    assert Classifier.open(tmp_path / "run" / "model.onnx").card.temperature == 0.8
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["best_epoch"] == 2


def test_averaged_weights_are_the_result_and_training_goes_on_with_its_own(tmp_path: Path) -> None:
    recipe = QUICK.with_changes(averaged=0.9, epochs=2)
    train(recipe, tmp_path / "run")
    result = keras.saving.load_model(tmp_path / "run" / "best.keras")
    with np.load(tmp_path / "run" / "last.npz") as state:
        pairs = [(v.numpy(), state[str(i)]) for i, v in enumerate(result.variables)]
    assert max(np.abs(kept - own).max() for kept, own in pairs if kept.ndim == 4) > 1e-4

    def interrupt(epochs: float, logs: dict[str, float]) -> None:
        if epochs > 1:
            os.kill(os.getpid(), signal.SIGINT)

    assert len(train(recipe, tmp_path / "broken", report=interrupt).history) == 1
    train(recipe, tmp_path / "broken", resume=True)
    assert history(tmp_path / "broken") == history(tmp_path / "run")


def test_a_network_that_saw_what_is_no_digit_says_so(tmp_path: Path, optdigits: Any) -> None:
    recipe = QUICK.with_changes(outliers=800, augment="shift", epochs=10)
    train(recipe, tmp_path / "run")
    classifier = Classifier.open(tmp_path / "run" / "model.onnx")
    stripes = np.zeros((4, 28, 28), np.uint8)
    for i, image in enumerate(stripes):
        image[4:24, 4:24][:: i + 2] = 255
    assert classifier.logits(stripes).shape == (4, 11)
    assert classifier.probabilities(stripes).shape == (4, 10)
    assert classifier.probabilities(stripes).sum(axis=1).max() < 0.3
    assert np.median(classifier.probabilities(optdigits[0]).sum(axis=1)) > 0.9
    scores = [
        evaluate(tmp_path / "run" / name, "optdigits") for name in ("model.onnx", "best.keras")
    ]
    np.testing.assert_array_equal(scores[0].confusion, scores[1].confusion)


def test_an_ensemble_is_the_mean_of_its_members_and_goes_on_after_a_kill(tmp_path: Path) -> None:
    recipe = QUICK.with_changes(members=2, epochs=2)
    run = train(recipe, tmp_path / "run")
    images = load("optdigits").train.images[:100]
    members = [keras.saving.load_model(tmp_path / "run" / f"member-{i}" / "best.keras")
               for i in (0, 1)]  # fmt: skip
    said = [export.logits_of(member, images) for member in members]
    assert np.abs(said[0] - said[1]).max() > 0.1
    logits = Classifier.open(tmp_path / "run" / "model.onnx").logits(images)
    np.testing.assert_allclose(logits, (said[0] + said[1]) / 2, atol=1e-4)
    assert [row["epoch"] for row in run.history] == [1, 2]
    spent = [row["seconds"] for i in (0, 1) for row in rows_of(tmp_path / "run" / f"member-{i}")]
    assert run.seconds == pytest.approx(sum(spent))
    shutil.rmtree(tmp_path / "run" / "member-1")
    again = train(recipe, tmp_path / "run", resume=True)
    assert again.validation is not None
    assert run.validation is not None
    assert again.validation.loss == run.validation.loss


def test_members_may_be_trained_side_by_side_each_as_a_run(tmp_path: Path) -> None:
    """What is made of them is what one command makes; a run by another recipe is refused."""
    recipe = QUICK.with_changes(members=2, epochs=1)
    alone = train(recipe, tmp_path / "alone")
    for i in (1, 0):
        member = recipe.with_changes(members=1, seed=i)
        train(member, tmp_path / "apart" / f"member-{i}")
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "apart").rglob("best.keras")}
    apart = train(recipe, tmp_path / "apart")
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert alone.test is not None
    assert apart.test is not None
    assert apart.test.loss == alone.test.loss
    shutil.copytree(tmp_path / "apart" / "member-0", tmp_path / "other" / "member-1")
    with pytest.raises(UsageError, match=r"member-1 was started with another seed"):
        train(recipe, tmp_path / "other")


def test_a_run_may_end_in_views_of_its_network(unbroken: Path, tmp_path: Path) -> None:
    run = train(QUICK.with_changes(shifts=1), tmp_path / "run")
    assert run.parity.agreement == 1
    plain, ours = (keras.saving.load_model(f / "best.keras") for f in (unbroken, run.folder))
    images = load("optdigits").train.images[:100]
    np.testing.assert_array_equal(export.logits_of(ours, images), export.logits_of(plain, images))
    expected = export.logits_of(networks.shifted(plain, 1), images)
    logits = Classifier.open(run.folder / "model.onnx").logits(images)
    np.testing.assert_allclose(logits, expected, atol=1e-4)


def test_ctrl_c_before_a_later_member_s_first_epoch_keeps_the_earlier_ones(tmp_path: Path) -> None:
    def interrupt(epochs: float, logs: dict[str, float]) -> None:
        if 1 < epochs < 1.5:
            os.kill(os.getpid(), signal.SIGINT)

    run = train(QUICK.with_changes(members=2, epochs=1), tmp_path / "run", report=interrupt)
    assert run.interrupted
    assert len(run.history) == 1
    assert evaluate(tmp_path / "run" / "model.onnx", "optdigits").n == 359


def test_an_ensemble_took_the_seconds_of_all_epochs_of_its_members() -> None:
    histories = [[{"loss": 1.0, "seconds": 2.0}] * epochs for epochs in (3, 1, 2)]
    assert mean_history(histories) == [{"loss": 1.0, "seconds": 12.0}]
    assert mean_history([]) == []


def test_an_epoch_is_a_line_whether_images_are_held_out_or_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    row = {"loss": 0.5, "accuracy": 0.9, "seconds": 3.0}
    with _training_progress(2) as report:
        report(0.5, {"loss": 0.6, "accuracy": 0.8})
        report(1.0, row)
        report(2.0, row | {"val_accuracy": 0.95})
    assert capsys.readouterr().err.splitlines() == [
        "epoch 1/2: loss 0.5000, accuracy 90.00%, 3 s",
        "epoch 2/2: loss 0.5000, accuracy 90.00%, held out 95.00%, 3 s",
    ]


def test_a_student_learns_from_its_teacher_alone(unbroken: Path, tmp_path: Path) -> None:
    """A teacher that calls every digit by the next one's name is believed."""
    wrong = keras.saving.load_model(unbroken / "best.keras")
    last = wrong.layers[-1]
    last.set_weights([np.roll(weights, 1, axis=-1) for weights in last.get_weights()])
    teacher = tmp_path / "teacher.onnx"
    export.write_onnx(wrong, teacher, ModelCard("t", tuple("0123456789"), 1.0, 0.5))
    recipe = QUICK.with_changes(
        views=2, taught=1.0, label_smoothing=0.0, network="default", validation=0, temperature=1.0
    )  # nothing held out: by its labels, the epoch that learnt least would be the best
    with pytest.raises(UsageError, match="only a recipe with views"):
        train(QUICK, tmp_path / "run", teacher=teacher)
    kept: set[str] = set()

    def see(done: float, row: dict[str, float]) -> None:
        del done, row
        kept.update(path.name for path in (tmp_path / "run" / "views").rglob("*.npy"))

    train(recipe, tmp_path / "run", teacher=teacher, report=see)
    assert kept == {"000.npy", "001.npy"}
    assert not (tmp_path / "run" / "views").exists()
    digits = load("optdigits").train
    said = Classifier.open(tmp_path / "run" / "model.onnx").logits(digits.images).argmax(axis=1)
    assert ((said - digits.targets) % 10 == 1).mean() > 0.85


def test_a_student_goes_on_with_the_teacher_it_began_with(unbroken: Path, tmp_path: Path) -> None:
    def interrupt(epochs: float, logs: dict[str, float]) -> None:
        if epochs > 1:
            os.kill(os.getpid(), signal.SIGINT)

    teacher, other = unbroken / "model.onnx", tmp_path / "other.onnx"
    network = networks.build("tiny", 10)
    export.write_onnx(network, other, ModelCard("t", tuple("0123456789"), 1.0, 0.5))
    recipe, out = QUICK.with_changes(views=1, epochs=2), tmp_path / "run"
    assert train(recipe, out, teacher=teacher, report=interrupt).interrupted
    with pytest.raises(UsageError, match="another teacher"):
        train(recipe, out, teacher=other, resume=True)
    run = train(recipe, out, teacher=teacher, resume=True)
    assert len(run.history) == 2
    noted = Classifier.open(out / "model.onnx").card.trained["teacher"]
    assert noted == {"file": "model.onnx", "sha256": sha256(teacher.read_bytes()).hexdigest()}


def test_the_shipped_model_teaches_where_no_other_is_named(tmp_path: Path) -> None:
    """A student of its word alone reads digits, though it was told no label of one."""
    recipe = QUICK.with_changes(views=1, taught=1.0, outliers=100, network="default")
    run = train(recipe, tmp_path / "run")
    assert run.test is not None
    assert run.test.accuracy > 0.9
    assert not list(shipped_model("digits").parent.glob("*views*"))


def test_a_teacher_of_other_classes_is_refused(unbroken: Path, tmp_path: Path) -> None:
    network = keras.saving.load_model(unbroken / "best.keras")
    teacher = tmp_path / "teacher.onnx"
    export.write_onnx(network, teacher, ModelCard("t", tuple("abcdefghij"), 1.0, 0.5))
    with pytest.raises(UsageError, match="a b c d e f g h i j apart"):
        train(QUICK.with_changes(views=1), tmp_path / "run", teacher=teacher)
    assert not (tmp_path / "run").exists()  # so that the next try finds the folder free


def test_a_teacher_that_knows_more_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"knows what is no digit.*outliers"):
        train(QUICK.with_changes(views=1), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_teacher_that_knows_less_is_not_asked() -> None:
    hard = np.eye(3, dtype=np.float32)
    soft = np.array([[0.6, 0.4], [0.1, 0.9], [0.5, 0.5]], np.float32)
    mixed = softened(hard, soft, np.full(3, 0.5))
    np.testing.assert_allclose(mixed, [[0.8, 0.2, 0.0], [0.05, 0.95, 0.0], [0.0, 0.0, 1.0]])


def test_another_fold_holds_out_other_images(unbroken: Path, tmp_path: Path) -> None:
    run = train(QUICK.with_changes(fold=1), tmp_path / "run")
    before = json.loads((unbroken / "metrics.json").read_text())["validation"]
    assert run.validation is not None
    assert run.validation.n == before["n"]
    assert run.validation.loss != before["loss"]


def test_too_few_images_for_a_batch(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="lower --batch-size"):
        train(QUICK.with_changes(batch_size=5000), tmp_path / "run")
    assert not (tmp_path / "run").exists()  # so that the next try finds the folder free


def test_too_few_images_to_hold_some_out(tmp_path: Path, optdigits: Any) -> None:
    np.savez(tmp_path / "own.npz", X=optdigits[0][:8], y=optdigits[1][:8])
    recipe = QUICK.with_changes(dataset=f"npz:{tmp_path / 'own.npz'}", batch_size=4)
    with pytest.raises(DataError, match=r"has 8 training images; .* hold out none"):
        train(recipe, tmp_path / "run")
    without = recipe.with_changes(validation=0, temperature=1)
    assert len(images_of(load(without.dataset), without, None).kept) == 8


@pytest.mark.parametrize("content", [b"", b"not a zip"])
def test_a_broken_keras_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.keras").write_bytes(content)
    with pytest.raises(ModelError, match=r"broken\.keras"):
        evaluate(tmp_path / "broken.keras", "optdigits")


def test_a_training_that_diverges_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match="loss of epoch 1 is nan; try a learning_rate below 1e"):
        train(QUICK.with_changes(learning_rate=1e30), tmp_path / "run")
    assert not list((tmp_path / "run").glob("model*"))


@pytest.mark.slow
def test_the_default_recipe_learns_mnist_in_an_epoch(mnist: Any, tmp_path: Path) -> None:
    """Run by `python -m pytest -m slow tests/test_training.py`."""
    run = train(Recipe(epochs=1), tmp_path / "run")
    assert run.validation is not None
    assert run.validation.accuracy > 0.98


def test_curves_of_a_run_without_errors_are_drawn(tmp_path: Path) -> None:
    from digitreader.training import plots

    row = {"loss": 0.1, "val_loss": 0.1, "accuracy": 1.0, "val_accuracy": 1.0}
    plots.curves([{"epoch": 1.0, **row}, {"epoch": 2.0, **row}], tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 5000


def test_tensorboard_logs_are_written_on_request(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    train(QUICK.with_changes(epochs=2), tmp_path / "run", tensorboard=True)
    logs = accumulator.EventAccumulator(str(tmp_path / "run" / "tensorboard" / "validation"))
    logs.Reload()
    tensors = [tag for tag in logs.Tags()["tensors"] if "accuracy" in tag]
    assert tensors
    assert len(logs.Tensors(tensors[0])) == 2


def test_risk_and_errors_are_drawn(optdigits: Any, tmp_path: Path) -> None:
    from PIL import Image

    from digitreader.training import plots

    split = Split(optdigits[0][:300], optdigits[1][:300])
    probabilities = np.eye(10, dtype=np.float32)[split.targets]
    probabilities[:25] = np.roll(probabilities[:25], 1, axis=1)
    plots.risk(probabilities, split.targets, tmp_path / "risk.png")
    plots.errors(split, probabilities, (3,), tmp_path / "errors.png")
    with Image.open(tmp_path / "risk.png") as risk, Image.open(tmp_path / "errors.png") as errors:
        assert risk.size == (660, 440)
        assert errors.height > 2.5 * 110  # three rows of ten
