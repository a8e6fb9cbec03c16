"""One training run, from a recipe to a folder with a model in it.

A run folder holds `recipe.json` (every knob, resolved), `history.csv` (a row per epoch),
`last.npz` (where a killed run goes on), `best.keras` (the best epoch by validation, or the last
where nothing is held out; float32), `model.onnx` (that epoch, calibrated), `metrics.json`,
`curves.png` and `confusion.png`.
Every file appears under its name only when it is whole.
"""

from __future__ import annotations

import csv
import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from scipy.special import log_softmax

import digitreader
from digitreader.classifier import Classifier, ModelCard, softmax
from digitreader.errors import DataError, UsageError, needs_extra
from digitreader.outputs import whole, write_json_file
from digitreader.training import export, networks, plots, warps
from digitreader.training.batches import Batches, on_varied, steps_of
from digitreader.training.calibrate import fit_temperature
from digitreader.training.datasets import Dataset, Split, hold_out, load
from digitreader.training.metrics import Scores, score
from digitreader.training.recipes import Recipe
from digitreader.training.synthetic.cut import cut_glyphs
from digitreader.training.synthetic.outliers import outliers
from digitreader.training.synthetic.writers import writers_with

PARITY_IMAGES = 1000
NO_CLASS = ""  # the label of what is no digit
UNSURE_BELOW = 0.7  # calibrated confidence; on held-out MNIST one digit in 400 has less

Row = dict[str, float]
Reporter = Callable[[float, Row], None]  # epochs done so far, and what Keras measured in this one


@dataclass(frozen=True, eq=False)
class Run:
    """What a training run leaves behind."""

    folder: Path
    history: list[Row]
    validation: Scores | None
    test: Scores | None
    parity: export.Parity
    seconds: float  # of training, without start-up and evaluation
    interrupted: bool


def train(  # noqa: PLR0913 (all but the first two by name)
    recipe: Recipe,
    out: Path,
    *,
    resume: bool = False,
    data_dir: Path | None = None,
    fonts: Path | None = None,
    report: Reporter | None = None,
    tensorboard: bool = False,
    test: bool = True,
) -> Run:
    """Train by a recipe into a folder, or go on with the run that lies there.

    Interrupting it (Ctrl-C) finishes the run with the best epoch so far. `tensorboard` writes
    logs for TensorBoard to the folder's `tensorboard/`, too. `fonts` is a folder of fonts for the
    letters among what a recipe makes up; those that matplotlib ships by default. Without `test`
    the dataset's test images are not looked at, as is right where recipes are compared.

    Raises:
        UsageError: the folder holds a run already and `resume` is not set, or holds none and
            it is; or it was made by another recipe.
        DataError: the dataset is missing or too small, or no epoch was finished.
    """
    recipe = recipe.resolved()
    _check_folder(out, recipe, resume)
    dataset = load(recipe.dataset, data_dir)
    if not test:
        dataset = replace(dataset, test=None)
    kept, held = _split(dataset, recipe)
    labels = dataset.labels + (NO_CLASS,) * bool(recipe.outliers)
    kept += _made_up(kept, len(dataset.labels), recipe, fonts)
    out.mkdir(parents=True, exist_ok=True)
    write_json_file(recipe.as_dict(), out / "recipe.json")
    keras.utils.set_random_seed(recipe.seed)
    keras.config.set_dtype_policy("mixed_bfloat16" if recipe.precision == "bfloat16" else "float32")
    network = networks.build(recipe.network, len(labels))
    batches = Batches(kept, labels, recipe)
    trainer = on_varied(network, batches.images, warps.named(recipe.augment))
    compile_network(trainer, recipe, steps_of(kept, recipe))
    rows = _restored(out, network, trainer.optimizer, steps_of(kept, recipe)) if resume else []
    batches.first_epoch = len(rows)
    log = EpochLog(out, rows, recipe, network, held, report)
    callbacks = [log, *_tensorboard(out)] if tensorboard else [log]
    interrupted = False
    try:
        if not log.finished:
            trainer.fit(
                batches,
                steps_per_epoch=steps_of(kept, recipe),
                initial_epoch=len(rows),
                epochs=recipe.epochs,
                shuffle=False,  # the batches come shuffled
                callbacks=callbacks,
                verbose=0,
            )
    except KeyboardInterrupt:
        interrupted = True
    finally:
        keras.config.set_dtype_policy("float32")
    if not log.rows:
        raise DataError(f"no epoch was finished: there is nothing to save in {out}")
    return _finish(recipe, dataset, (kept, held), log, interrupted)


class EpochLog(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Keeps the history, the best epoch and the place to go on from, and stops in time."""

    def __init__(  # noqa: PLR0913, PLR0917 (all that an epoch's end needs)
        self,
        folder: Path,
        rows: list[Row],
        recipe: Recipe,
        network: keras.Model,
        held: Split | None,
        report: Reporter | None,
    ) -> None:
        super().__init__()
        self.folder = folder
        self.rows = list(rows)
        self._recipe = recipe
        self._network = network
        self._held = held
        self._report = report
        self._started = 0.0

    @property
    def stale(self) -> bool:
        """Whether the validation accuracy has not risen for as long as patience lasts."""
        if self._held is None:
            return False
        accuracies = [row["val_accuracy"] for row in self.rows]
        return len(accuracies) - 1 - accuracies.index(max(accuracies)) >= self._recipe.patience

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to train."""
        return bool(self.rows) and (len(self.rows) >= self._recipe.epochs or self.stale)

    def on_epoch_begin(self, epoch: int, logs: Row | None = None) -> None:
        """Start the epoch's clock, and let its dropout depend on the seed and the epoch alone.

        Keras saves no state of its random generators, so a resumed run would drop out others.
        """
        for i, layer in enumerate(self._network.layers):
            if hasattr(layer, "seed_generator"):
                rng = np.random.default_rng((self._recipe.seed, 2, epoch, i))
                layer.seed_generator.state.assign(rng.integers(0, 2**32, 2, dtype=np.uint32))
        self._started = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Row | None = None) -> None:
        """Report progress."""
        if self._report is not None and logs is not None:
            self._report(len(self.rows) + (batch + 1) / self.params["steps"], logs)

    def on_epoch_end(self, epoch: int, logs: Row | None = None) -> None:
        """Write everything down; `last.npz` comes last, for the rest follows from it."""
        row = {"epoch": float(epoch + 1)}
        row |= {name: float(value) for name, value in (logs or {}).items()}
        rate = self.model.optimizer.learning_rate
        row["learning_rate"] = float(keras.ops.convert_to_numpy(rate))
        row["seconds"] = time.perf_counter() - self._started
        with averaged(self._network, self.model.optimizer):
            if self._held is not None:
                row |= _validated(self._network, self._held)
            rows = [*self.rows, row]  # ours when everything is written: Ctrl-C may come before
            if best_of(rows) == epoch:
                _save(export.in_float32(self._network), self.folder / "best.keras")
        _write_history(rows, self.folder)
        _write_state(self.folder / "last.npz", self._network, self.model.optimizer)
        self.rows = rows
        if self._report is not None:
            self._report(len(rows), row)
        self.model.stop_training = self.stale


def best_of(rows: list[Row]) -> int:
    """Return the epoch (from 0) with the highest validation accuracy; of equals, the least loss.

    Where nothing was held out it is the last.
    """
    if "val_accuracy" not in rows[-1]:
        return len(rows) - 1
    return max(range(len(rows)), key=lambda i: (rows[i]["val_accuracy"], -rows[i]["val_loss"]))


@contextmanager
def averaged(network: keras.Model, optimizer: keras.optimizers.Optimizer) -> Iterator[None]:
    """Give the network its weights' moving average for a while, where the optimiser keeps one."""
    if not optimizer.use_ema:
        yield
        return
    own = network.get_weights()
    optimizer.finalize_variable_values(network.trainable_variables)
    try:
        yield
    finally:
        network.set_weights(own)


def _validated(network: keras.Model, held: Split) -> Row:
    """Negative log-likelihood and accuracy on the images held out."""
    log_p = log_softmax(export.logits_of(network, held.images), axis=1)  # [V, K]
    right = log_p.argmax(axis=1) == held.targets
    likely = log_p[np.arange(len(held)), held.targets]
    return {"val_loss": -float(likely.mean()), "val_accuracy": float(right.mean())}


def _tensorboard(out: Path) -> list[keras.callbacks.Callback]:
    """Return the callback that writes TensorBoard's logs beside the run's."""
    with needs_extra("TensorBoard", "tensorboard"):
        import tensorboard  # noqa: F401 (Keras needs it, and says so less clearly)
    return [keras.callbacks.TensorBoard(str(out / "tensorboard"), write_graph=False)]


def _check_folder(out: Path, recipe: Recipe, resume: bool) -> None:
    """Refuse a folder that holds another run, or none where one is to be gone on with."""
    written = out / "recipe.json"
    if not resume:
        if written.exists():
            raise UsageError(f"{out} holds a run already: add --resume, or choose another --out")
        return
    if not written.exists():
        raise UsageError(f"there is no run to resume in {out}: recipe.json is missing")
    before = Recipe.from_dict(json.loads(written.read_text(encoding="utf-8"))).as_dict()
    changed = [knob for knob, value in recipe.as_dict().items() if before[knob] != value]
    if changed:
        raise UsageError(
            f"the run in {out} was started with another {', '.join(changed)}: "
            "resume it with the same options"
        )


def _split(dataset: Dataset, recipe: Recipe) -> tuple[Split, Split | None]:
    """Part the training images in those trained on and those held out."""
    n = len(dataset.train)
    kept, held = dataset.train, None
    if recipe.validation:
        kept, held = hold_out(dataset.train, min(recipe.validation, n // 10), recipe.fold)
    if len(kept) < recipe.batch_size:
        raise DataError(
            f"{dataset.name} has {n} training images; expected at least {recipe.batch_size} "
            "(one batch) beside the validation images: lower --batch-size"
        )
    return kept, held


def _made_up(kept: Split, classes: int, recipe: Recipe, fonts: Path | None) -> Split:
    """Digits cut from pages that the images wrote, and what is no digit, as the recipe says."""
    made = kept.take(np.arange(0))
    if not (recipe.page_glyphs or recipe.outliers):
        return made
    hands = writers_with(kept, fonts)
    if recipe.page_glyphs:
        made += cut_glyphs(hands, recipe.page_glyphs, recipe.seed)
    if recipe.outliers:
        images = outliers(hands, kept, recipe.outliers, recipe.seed)
        made += Split(images, np.full(len(images), classes, np.int64))
    return made


def compile_network(network: keras.Model, recipe: Recipe, steps: int) -> None:
    """Give a network the recipe's loss and optimiser; `steps` are those of an epoch."""
    network.compile(
        _optimizer(recipe, steps),
        keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=recipe.label_smoothing
        ),
        metrics=["accuracy"],
    )


def _optimizer(recipe: Recipe, steps: int) -> keras.optimizers.Optimizer:
    total = steps * recipe.epochs
    warm = round(recipe.warm_up * total)
    rate: Any = recipe.learning_rate
    if recipe.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(
            0.0 if warm else rate, max(1, total - warm), warmup_target=rate, warmup_steps=warm
        )
    average: dict[str, Any] = {}
    if recipe.averaged:
        average = {"use_ema": True, "ema_momentum": recipe.averaged}
    if recipe.optimizer == "adam":
        return keras.optimizers.Adam(rate, **average)
    return keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay, **average)


def _finish(
    recipe: Recipe,
    dataset: Dataset,
    parts: tuple[Split, Split | None],
    log: EpochLog,
    interrupted: bool,
) -> Run:
    """Turn the best epoch into a calibrated, checked model, and write the results."""
    out = log.folder
    network = keras.saving.load_model(out / "best.keras")
    kept, held = parts
    validation, temperature = None, recipe.temperature
    if held is not None:
        logits = export.logits_of(network, held.images)  # [V, K]
        temperature = temperature or fit_temperature(logits, held.targets)
        probabilities = softmax(logits / np.float32(temperature))[:, : len(dataset.labels)]
        validation = score(probabilities, held.targets, dataset.labels)
    seconds = sum(row["seconds"] for row in log.rows)
    trained = {
        "recipe": recipe.as_dict(),
        "epochs_run": len(log.rows),
        "best_epoch": best_of(log.rows) + 1,
        "seconds": round(seconds, 1),
        "validation": {"n": validation.n, "accuracy": validation.accuracy} if validation else None,
        "digitreader": digitreader.__version__,
    }
    card = ModelCard(out.name, dataset.labels, temperature, UNSURE_BELOW, trained=trained)
    export.write_onnx(network, out / "model.onnx", card)
    measured = dataset.test or held or kept
    parity = export.check_parity(network, out / "model.onnx", measured.images[:PARITY_IMAGES])
    test = None
    if dataset.test:
        probabilities = Classifier.open(out / "model.onnx").probabilities(dataset.test.images)
        test = score(probabilities, dataset.test.targets, dataset.labels)
    metrics = {
        **trained,
        "parameters": network.count_params(),
        "temperature": temperature,
        "parity": {
            "n": parity.n,
            "max_difference": parity.max_difference,
            "agreement": parity.agreement,
        },
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "keras": f"{keras.__version__} on {keras.backend.backend()}",
        "interrupted": interrupted,
        "validation": validation.as_dict() if validation else None,
        "test": test.as_dict() if test else None,
    }
    write_json_file(metrics, out / "metrics.json")
    plots.curves(log.rows, out / "curves.png")
    if measure := test or validation:
        plots.confusion(measure, out / "confusion.png")
    return Run(out, log.rows, validation, test, parity, seconds, interrupted)


def _restored(
    folder: Path, network: keras.Model, optimizer: keras.optimizers.Optimizer, steps: int
) -> list[Row]:
    """Set a network and its optimiser to the last whole epoch; return the history up to it.

    The optimiser's own count of steps says which epoch that was: a history that is an epoch
    ahead (killed between the two files) is cut back to it.
    """
    if not (folder / "last.npz").exists():
        return []
    optimizer.build(network.trainable_variables)
    with np.load(folder / "last.npz") as state:
        for i, variable in enumerate([*network.variables, *optimizer.variables]):
            variable.assign(state[str(i)])
    with (folder / "history.csv").open(newline="", encoding="utf-8") as file:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    return rows[: int(optimizer.iterations) // steps]


def _write_state(path: Path, network: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
    variables = enumerate([*network.variables, *optimizer.variables])
    arrays = {str(i): keras.ops.convert_to_numpy(variable) for i, variable in variables}
    with whole(path) as draft, draft.open("wb") as file:
        np.savez(file, **arrays)


def _write_history(rows: list[Row], folder: Path) -> None:
    with (
        whole(folder / "history.csv") as draft,
        draft.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def _save(network: keras.Model, path: Path) -> None:
    draft = path.with_name("draft." + path.name)  # Keras insists on the suffix
    network.save(draft)
    draft.replace(path)
