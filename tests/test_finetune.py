"""A trained network learns a few dozen corrections, and forgets nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

keras = pytest.importorskip("keras")
pytest.importorskip("tensorflow")

from digitreader.classifier import Classifier  # noqa: E402
from digitreader.doors.cli import run as digitreader  # noqa: E402
from digitreader.errors import DataError, ModelError, UsageError  # noqa: E402
from digitreader.training.datasets import load  # noqa: E402
from digitreader.training.finetune import finetune, recipe_for  # noqa: E402
from digitreader.training.finish import Run  # noqa: E402
from digitreader.training.images import images_of  # noqa: E402
from digitreader.training.recipes import RECIPES, Recipe  # noqa: E402
from digitreader.training.train import train  # noqa: E402

CORRECTIONS = 30


@pytest.fixture(scope="module")
def knowing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that reads optdigits, but no sevens that look to the other side."""
    folder = tmp_path_factory.mktemp("finetune") / "knowing"
    recipe = Recipe(
        dataset="optdigits", network="dense-64-dropout", epochs=6, batch_size=32,
        learning_rate=3e-3, fold=1,
    )  # fmt: skip
    train(recipe, folder)
    return folder


def mirrored_sevens() -> np.ndarray:
    train = load("optdigits").train
    return np.ascontiguousarray(train.images[train.targets == 7][:, :, ::-1])  # [N, 28, 28]


@pytest.fixture(scope="module")
def corrections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finetune") / "corrections"
    (folder / "7").mkdir(parents=True)
    for i, image in enumerate(mirrored_sevens()[:CORRECTIONS]):
        Image.fromarray(image).save(folder / "7" / f"{i:02}.png")
    return folder


def recipe_of(knowing: Path, corrections: Path) -> Recipe:
    recipe = recipe_for(RECIPES["corrections"], str(knowing))
    return recipe.with_changes(dataset=f"folder:{corrections}", epochs=2, replayed=10_000)


@pytest.fixture(scope="module")
def taught(knowing: Path, corrections: Path) -> Run:
    return finetune(recipe_of(knowing, corrections), knowing.with_name("taught"))


def test_what_was_corrected_is_read_and_what_was_known_is_not_forgotten(
    knowing: Path, taught: Run
) -> None:
    others = mirrored_sevens()[CORRECTIONS:]
    before, after = (
        (Classifier.open(folder / "model.onnx").probabilities(others).argmax(axis=1) == 7).mean()
        for folder in (knowing, taught.folder)
    )
    assert before < 0.5
    assert after > 0.9
    whole = load("optdigits")
    assert whole.test is not None
    images = np.concatenate([whole.train.images, whole.test.images])  # [1797, 28, 28]
    targets = np.concatenate([whole.train.targets, whole.test.targets])
    known, kept = (
        (Classifier.open(folder / "model.onnx").probabilities(images).argmax(axis=1) == targets)
        for folder in (knowing, taught.folder)
    )
    assert kept.mean() >= known.mean() - 0.01


def test_a_run_tells_what_it_learnt_and_what_it_knew(
    knowing: Path, corrections: Path, taught: Run
) -> None:
    learnt = taught.learnt
    assert learnt is not None
    start = Classifier.open(knowing / "model.onnx")
    seen = load(f"folder:{corrections}").train.images  # as pictures are read, centred anew
    assert (learnt.n, learnt.before) == (30, (start.logits(seen).argmax(axis=1) == 7).sum())
    assert learnt.after is not None
    assert 20 < learnt.after <= 30
    trained = json.loads((knowing / "metrics.json").read_text())
    assert learnt.known == trained["validation"]["accuracy"]  # the very images it held out
    told = json.loads((taught.folder / "metrics.json").read_text())
    assert told["learnt"]["after"] == learnt.after
    assert told["validation"]["n"] == trained["validation"]["n"]
    names = {path.name for path in taught.folder.iterdir()}
    assert names == {path.name for path in knowing.iterdir()}


def test_what_is_known_bounds_what_is_learnt(
    knowing: Path, corrections: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("digitreader.training.finetune._crossed", lambda *_: 0)  # takes long
    recipe = recipe_of(knowing, corrections).with_changes(
        epochs=1, replayed=500, learning_rate=0.01
    )
    bound, free = (
        finetune(recipe.with_changes(forgotten=lost), tmp_path / str(lost)) for lost in (0.05, 1)
    )
    assert bound.learnt is not None
    assert free.learnt is not None
    share, known = bound.learnt.start_share, bound.learnt.known
    assert free.learnt.start_share == 0
    assert 0 < share < 1
    assert known is not None
    assert bound.validation is not None
    assert free.validation is not None
    assert free.validation.accuracy < known - 0.05 <= bound.validation.accuracy
    files = (knowing / "best.keras", free.folder / "best.keras", bound.folder / "best.keras")
    for old, new, kept in zip(
        *(keras.saving.load_model(file).get_weights() for file in files), strict=True
    ):
        np.testing.assert_allclose(kept, share * old + (1 - share) * new, rtol=1e-5, atol=1e-6)


def test_few_known_images_are_shown_several_times(knowing: Path, corrections: Path) -> None:
    recipe = recipe_of(knowing, corrections)
    known = load("optdigits")
    few, many = (
        images_of(known, recipe.with_changes(replayed=n), None).kept for n in (300, 10_000)
    )
    assert len(few) == 300
    assert len(np.unique(few.images, axis=0)) == 300
    assert len(many) == 10_000
    rows, times = np.unique(many.images, axis=0, return_counts=True)
    kept = len(known.train) - len(known.train) // 10  # the rest is held out
    assert len(rows) == kept
    assert set(times) <= {10_000 // kept, 10_000 // kept + 1}


@pytest.mark.slow
def test_a_run_that_died_goes_on_to_the_same_end(
    knowing: Path, corrections: Path, taught: Run, tmp_path: Path
) -> None:
    """Run by `python -m pytest -m slow tests/test_finetune.py`."""
    recipe = recipe_of(knowing, corrections)

    def die(done: float, row: dict[str, float]) -> None:
        if done > 1:
            raise MemoryError

    with pytest.raises(MemoryError):
        finetune(recipe, tmp_path / "run", report=die)
    with pytest.raises(UsageError, match="--resume"):
        finetune(recipe, tmp_path / "run")
    run = finetune(recipe, tmp_path / "run", resume=True)
    assert run.learnt == taught.learnt
    for ours, theirs in zip(
        *(keras.saving.load_model(r.folder / "best.keras").get_weights() for r in (run, taught)),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_a_recipe_is_made_to_fit_the_network(knowing: Path, taught: Run) -> None:
    recipe = recipe_for(RECIPES["corrections"], str(knowing))
    assert (recipe.replay, recipe.fold, recipe.augment) == ("optdigits", 1, "shift")
    assert recipe.resolved().precision == "float32"
    again = recipe_for(RECIPES["corrections"], str(taught.folder / "best.keras"))
    assert again.replay == "optdigits"  # what was known first, not the corrections


def test_a_killed_run_tells_its_recipe_and_a_file_alone_that_it_has_none(
    knowing: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("best.keras", "recipe.json"):
        shutil.copy(knowing / name, tmp_path)
    killed = recipe_for(RECIPES["corrections"], str(tmp_path))
    assert (killed.replay, killed.fold, killed.network) == ("optdigits", 1, "dense-64-dropout")
    assert caplog.text == ""
    shutil.copy(knowing / "best.keras", tmp_path / "mine.keras")
    alone = recipe_for(RECIPES["corrections"], str(tmp_path / "mine.keras"))
    assert (alone.fold, alone.network) == (0, "default")
    assert "mine.keras: nothing beside it tells how it was trained" in caplog.text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"network": "mlp"}, r"expected 'dense-64-dropout', which .*best\.keras is"),
        ({"augment": "strongg"}, "no augmentation is called 'strongg'"),
    ],
)
def test_what_the_network_is_not_leaves_no_folder(
    changes: dict[str, str], said: str, knowing: Path, corrections: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=said):
        finetune(recipe_of(knowing, corrections).with_changes(**changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_corrections_that_do_not_fit_are_refused(knowing: Path, tmp_path: Path) -> None:
    for name, count in (("x", 3), ("7", 2)):
        (tmp_path / name / name).mkdir(parents=True)
        for i, image in enumerate(mirrored_sevens()[:count]):
            Image.fromarray(image).save(tmp_path / name / name / f"{i}.png")
    with pytest.raises(UsageError, match="has a class x; the network reads 0/1/2"):
        finetune(recipe_of(knowing, tmp_path / "x"), tmp_path / "run")
    with pytest.raises(DataError, match="2 images; expected at least 3"):
        finetune(recipe_of(knowing, tmp_path / "7"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_networks_that_do_not_fit_are_refused(
    knowing: Path, corrections: Path, tmp_path: Path
) -> None:
    recipe = recipe_of(knowing, corrections)
    with pytest.raises(ModelError, match="expected a run's folder"):
        recipe_for(RECIPES["corrections"], str(tmp_path))
    with pytest.raises(ModelError, match="outliers are a class more"):
        finetune(recipe.with_changes(outliers=50), tmp_path / "run")
    sure = keras.Sequential([keras.saving.load_model(knowing / "best.keras"),
                             keras.layers.Softmax()])  # fmt: skip
    sure.save(tmp_path / "sure.keras")
    with pytest.raises(ModelError, match="from 'logits'"):
        finetune(recipe.with_changes(start_from=str(tmp_path / "sure.keras")), tmp_path / "run")
    with pytest.raises(UsageError, match="finetune"):
        train(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_command_prints_before_and_after(
    knowing: Path, corrections: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "--from", str(knowing), "--dataset", f"folder:{corrections}"]
    assert digitreader([*command, "--network", "tiny"]) == 2
    assert "--network" in capsys.readouterr().err
    assert digitreader([*command, "--set", "replayed=500", "--out", str(tmp_path / "run")]) == 0
    printed = capsys.readouterr().out
    assert " of 30 read right before, " in printed
    assert "optdigits, held out: " in printed
