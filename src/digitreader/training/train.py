"""One training run, from a recipe to a folder with a model in it.

A run folder holds `recipe.json` (every knob, resolved), `history.csv` (a row per epoch),
`last.npz` (where a killed run goes on), `best.keras` (the best epoch by validation, or the last
where nothing is held out; float32), `model.onnx` (that epoch, with the recipe's views,
calibrated), `metrics.json`, `curves.png`, `confusion.png` and `reliability.png`.
Every file appears under its name only when it is whole.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import keras

from digitreader.classifier import SHIPPED, Classifier, shipped_model
from digitreader.errors import StoppedError, UsageError, needs_extra
from digitreader.training import harms, networks, warps
from digitreader.training.batches import Batches, fed, harmed_images, steps_of, varied_images
from digitreader.training.datasets import load
from digitreader.training.epochs import (
    EpochLog,
    Reporter,
    Row,
    Settle,
    mean_history,
    restored,
    save,
)
from digitreader.training.finish import Run, finish
from digitreader.training.images import Images, images_of
from digitreader.training.optimizers import optimizer
from digitreader.training.recipes import Recipe
from digitreader.training.run_folder import begun, check_folder
from digitreader.training.runtimes import load_network
from digitreader.training.teacher import Teacher
from digitreader.training.team import Team, together

VIEWS = "views"  # where a teacher's answers are kept for later epochs


def train(  # noqa: PLR0913 (all but the first two by name)
    recipe: Recipe,
    out: Path,
    *,
    resume: bool = False,
    data_dir: Path | None = None,
    fonts: Path | None = None,
    teacher: Path | None = None,
    report: Reporter | None = None,
    tensorboard: bool = False,
    test: bool = True,
    team: Team | None = None,
) -> Run:
    """Train by a recipe into a folder, or go on with the run that lies there.

    Interrupting it (Ctrl-C) finishes the run with the best epoch so far. `tensorboard` writes
    logs for TensorBoard to the folder's `tensorboard/`, too. `fonts` is a folder of fonts for the
    letters among what a recipe makes up; those that matplotlib ships by default. `teacher` is
    the model, an `.onnx` file, that a recipe with views learns from; the one that ships by
    default. Without `test` the dataset's test images are not looked at, as is right where recipes
    are compared. The other processes of a `team` run `help_train`.

    Raises:
        UsageError: the folder holds a run already and `resume` is not set, or holds none and
            it is; or it was made by another recipe or teacher, or another process trains there.
        DataError: the dataset is missing or too small.
        DivergedError: the loss is no number any more.
        WriteError: the folder cannot be written to; what an earlier epoch wrote is kept.
        StoppedError: Ctrl-C came before the end of the first epoch.
    """
    recipe = recipe.resolved()
    _check(recipe, teacher, team or Team())
    check_folder(out, recipe, resume)
    images = _images(recipe, data_dir, fonts, test)
    teacher = _teacher(recipe, teacher, images.dataset.labels)
    with begun(out, recipe, resume):
        learn = partial(fit, images, teacher=teacher, tensorboard=tensorboard, team=team)
        if recipe.members > 1:
            rows, interrupted = _fit_members(learn, recipe, out, report)
        else:
            rows, interrupted = learn(recipe, out, report=report)
        if not rows:
            raise StoppedError(f"no epoch was finished: there is nothing to save in {out}")
        return finish(recipe, images, out, rows, interrupted=interrupted, teacher=teacher)


def help_train(  # noqa: PLR0913 (all but the first three by name)
    recipe: Recipe,
    out: Path,
    team: Team,
    *,
    resume: bool = False,
    data_dir: Path | None = None,
    fonts: Path | None = None,
    teacher: Path | None = None,
    report: Reporter | None = None,
) -> None:
    """Take a share of the training that a team's first process runs, which writes the folder.

    Raises:
        UsageError: it is one that a team cannot share, or is not shared out evenly; or the
            folder holds another run, or none where one is to be gone on with.
        DataError: the dataset is missing or too small.
    """
    recipe = recipe.resolved()
    _check(recipe, teacher, team)
    if resume:
        check_folder(out, recipe, resume)
    elif (out / "last.npz").exists():  # the first process may have written recipe.json by now
        raise UsageError(f"{out} holds a run already: add --resume, or choose another --out")
    images = _images(recipe, data_dir, fonts, test=False)
    for i in range(recipe.members):
        member = recipe.with_changes(members=1, seed=recipe.seed + i)
        folder = out / f"member-{i}" if recipe.members > 1 else out
        fit(images, member, folder, team=team, report=after_epochs(report, i * recipe.epochs))


def _check(recipe: Recipe, teacher: Path | None, team: Team) -> None:
    """Say what is misspelt or missing before a download, and before there is a folder."""
    if recipe.start_from:
        raise UsageError("a recipe that starts from a network is finetune()'s, not train()'s")
    if teacher and not recipe.views:
        raise UsageError("only a recipe with views takes a --teacher, as --recipe distilled")
    if recipe.views and team.size > 1:
        raise UsageError("several processes train no student of a teacher: train it in one")
    check_batches(recipe, team)
    networks.build(recipe.network, classes=1)


def check_batches(recipe: Recipe, team: Team) -> None:
    """Say what keeps batches from being varied, harmed in each way or shared out evenly."""
    warps.named(recipe.augment)
    if recipe.harmed and not harms.of_each_kind(recipe.batch_size, recipe.harmed):
        raise UsageError(
            f"harmed is {recipe.harmed:g} of batches of {recipe.batch_size} images, less than one "
            f"in each of {len(harms.HARMS)} ways: expected more, or 0"
        )
    team.share(recipe.batch_size)


def _teacher(recipe: Recipe, given: Path | None, labels: tuple[str, ...]) -> Path | None:
    """The model that a recipe with views learns from; one that knows other classes is refused."""
    if not recipe.views:
        return None
    teacher = given or shipped_model(SHIPPED)
    model = Classifier.open(teacher)
    if model.card.labels != labels:
        raise UsageError(
            f"the teacher tells {' '.join(model.card.labels)} apart, its student is to tell "
            f"{' '.join(labels)}: name another --teacher, or train without one (--set views=0)"
        )
    if model.knows_none and not recipe.outliers:
        raise UsageError(
            "the teacher knows what is no digit, and its student is shown nothing of the kind: "
            "add some (--set outliers=20000), or name another --teacher"
        )
    return teacher


def _images(recipe: Recipe, data_dir: Path | None, fonts: Path | None, test: bool) -> Images:
    dataset = load(recipe.dataset, data_dir)
    return images_of(dataset if test else replace(dataset, test=None), recipe, fonts)


@together()
def fit(  # noqa: PLR0913 (what a network's training follows from)
    images: Images,
    recipe: Recipe,
    out: Path,
    *,
    start: Path | None = None,
    settle: Settle | None = None,
    teacher: Path | None = None,
    tensorboard: bool = False,
    report: Reporter | None = None,
    team: Team | None = None,
) -> tuple[list[Row], bool]:
    """Train one network, from where it was left; return its history, and whether Ctrl-C came.

    `start` is a `.keras` file whose weights it begins with, and `settle` changes what is kept of
    each epoch. Of a `team` the first process writes.
    """
    team = team or Team()
    keras.utils.set_random_seed(recipe.seed)
    keras.config.set_dtype_policy("mixed_bfloat16" if recipe.precision == "bfloat16" else "float32")
    network = load_network(start) if start else networks.build(recipe.network, len(images.labels))
    batches = Batches(images.kept, images.labels, recipe, team)
    warp = warps.named(recipe.augment)
    seen = varied_images(batches.images, warp)
    harmed = harmed_images(seen, recipe.harmed)
    steps = steps_of(images.kept, recipe)
    trainer = fed(network, harmed, steps)
    if teacher is not None:
        batches.teacher = Teacher(teacher, seen, harmed, recipe, out / VIEWS)
    compile_network(trainer, recipe, steps)
    rows = restored(out, network, trainer.optimizer, steps)
    batches.first_epoch = len(rows)
    log = EpochLog(
        out, rows, recipe, network, images.held, report, settle=settle, writes=team.leads
    )
    callbacks = [log, *_tensorboard(out)] if tensorboard else [log]
    interrupted = False
    try:
        if not log.finished:
            trainer.fit(
                batches,
                steps_per_epoch=steps,
                initial_epoch=len(rows),
                epochs=recipe.epochs,
                shuffle=False,  # the batches come shuffled
                callbacks=callbacks,
                verbose=0,
            )
        shutil.rmtree(out / VIEWS, ignore_errors=True)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        keras.config.set_dtype_policy("float32")
    return log.rows, interrupted


def _fit_members(
    learn: Callable[..., tuple[list[Row], bool]],
    recipe: Recipe,
    out: Path,
    report: Reporter | None,
) -> tuple[list[Row], bool]:
    """Train the members of an ensemble one after the other; return the mean of their histories.

    Those that were trained before, each as a run of its own, are taken as they are.
    """
    folders: list[Path] = []
    histories: list[list[Row]] = []
    interrupted = False
    for i in range(recipe.members):
        folder = out / f"member-{i}"
        member = recipe.with_changes(members=1, seed=recipe.seed + i)
        tell = after_epochs(report, i * recipe.epochs)
        with begun(folder, member, resume=(folder / "recipe.json").exists()):
            rows, interrupted = learn(member, folder, report=tell)
        if rows:
            folders.append(folder)
            histories.append(rows)
        if interrupted:
            break
    if folders:
        members = [load_network(folder / "best.keras") for folder in folders]
        save(networks.averaged(members), out / "best.keras")
    return mean_history(histories), interrupted


def after_epochs(report: Reporter | None, before: int) -> Reporter | None:
    """Report the epochs of a network that is trained after so many epochs of others."""
    if report is None:
        return None
    return lambda done, row: report(before + done, row)


def _tensorboard(out: Path) -> list[keras.callbacks.Callback]:
    """Return the callback that writes TensorBoard's logs beside the run's."""
    with needs_extra("TensorBoard", "tensorboard"):
        import tensorboard  # noqa: F401 (Keras needs it, and says so less clearly)
    return [keras.callbacks.TensorBoard(str(out / "tensorboard"), write_graph=False)]


def compile_network(network: keras.Model, recipe: Recipe, steps: int) -> None:
    """Give a network the recipe's loss and optimiser; `steps` are those of an epoch.

    All their variables are there before the first step: TensorFlow traces a step that makes
    some of them twice.
    """
    chosen = optimizer(recipe, steps)
    chosen.build(network.trainable_variables)
    network.compile(
        chosen,
        keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=recipe.label_smoothing
        ),
        metrics=[keras.metrics.CategoricalAccuracy("accuracy")],
    )
