"""The epochs of a run: their history, their best, and the place where a killed run goes on."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
from scipy.special import log_softmax

from digitreader.errors import DivergedError, ModelError, first_line
from digitreader.outputs import write_csv_file
from digitreader.training import export
from digitreader.training.datasets import Split
from digitreader.training.recipes import Recipe
from digitreader.training.team import alone
from digitreader.writing import whole

Row = dict[str, float]
Reporter = Callable[[float, Row], None]  # epochs done so far, and what Keras measured in this one
Settle = Callable[[keras.Model], Row]  # changes what is kept of an epoch, and says how


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
        *,
        settle: Settle | None = None,
        writes: bool = True,
    ) -> None:
        super().__init__()
        self.folder = folder
        self.rows = list(rows)
        self._recipe = recipe
        self._network = network
        self._held = held
        self._report = report
        self._settle = settle
        self._writes = writes
        self._started = 0.0
        with alone():
            self._plain = export.in_float32(network)  # what is kept of an epoch, and judged

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
            done = min(1.0, (batch + 1) / self.params["steps"])  # a stretch may end beyond it
            self._report(len(self.rows) + done, logs)

    def on_epoch_end(self, epoch: int, logs: Row | None = None) -> None:
        """Write everything down; `last.npz` comes last, for the rest follows from it.

        Raises:
            DivergedError: the loss is no number; nothing of this epoch is written.
        """
        logs = {} if logs is None else logs
        if not math.isfinite(logs["loss"]):
            raise DivergedError(
                f"the training has diverged: the loss of epoch {epoch + 1} is {logs['loss']}; "
                f"try a learning_rate below {self._recipe.learning_rate:g}"
            )
        row = {"epoch": float(epoch + 1)}
        row |= {name: float(value) for name, value in logs.items()}
        rate = self.model.optimizer.learning_rate
        row["learning_rate"] = float(keras.ops.convert_to_numpy(rate))
        row["seconds"] = time.perf_counter() - self._started
        with averaged(self._network, self.model.optimizer), alone():
            self._plain.set_weights(self._network.get_weights())
            if self._settle is not None:
                row |= self._settle(self._plain)
            if self._held is not None:
                validated = _validated(self._plain, self._held)
                row |= validated
                logs |= validated  # for the callbacks after this one
        rows = [*self.rows, row]  # ours when everything is written: Ctrl-C may come before
        if self._writes:
            self._write(rows)
        self.rows = rows
        if self._report is not None:
            self._report(len(rows), row)
        self.model.stop_training = self.stale

    def _write(self, rows: list[Row]) -> None:
        if best_of(rows) == len(rows) - 1:
            save(self._plain, self.folder / "best.keras")
        write_csv_file(rows, self.folder / "history.csv")
        _write_state(self.folder / "last.npz", self._network, self.model.optimizer)


def best_of(rows: list[Row]) -> int:
    """Return the epoch (from 0) with the highest validation accuracy; of equals, the least loss.

    Where nothing was held out it is the last.
    """
    if "val_accuracy" not in rows[-1]:
        return len(rows) - 1
    return max(range(len(rows)), key=lambda i: (rows[i]["val_accuracy"], -rows[i]["val_loss"]))


def mean_history(histories: list[list[Row]]) -> list[Row]:
    """The mean of several histories, epoch by epoch, as far as the shortest goes.

    Seconds are added up, for the members are trained one after the other; those of epochs beyond
    the shortest are the last one's.
    """
    mean = [
        {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
        | {"seconds": sum(row["seconds"] for row in rows)}
        for rows in zip(*histories, strict=False)
    ]
    if mean:
        beyond = (row for rows in histories for row in rows[len(mean) :])
        mean[-1]["seconds"] += sum(row["seconds"] for row in beyond)
    return mean


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


def restored(
    folder: Path, network: keras.Model, optimizer: keras.optimizers.Optimizer, steps: int
) -> list[Row]:
    """Set a network and its built optimiser to the last whole epoch; return the history till then.

    The optimiser's own count of steps says which epoch that was: a history that is an epoch
    ahead (killed between the two files) is cut back to it.

    Raises:
        ModelError: a file is broken, or is another network's.
    """
    if not (folder / "last.npz").exists():
        return []
    try:
        with (folder / "last.npz").open("rb") as file, np.load(file, allow_pickle=False) as state:
            for i, variable in enumerate([*network.variables, *optimizer.variables]):
                variable.assign(state[str(i)])
        with (folder / "history.csv").open(newline="", encoding="utf-8") as text:
            rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(text)]
    except Exception as error:  # NumPy and Keras let out whatever a broken file leads to
        raise ModelError(
            f"the run in {folder} cannot go on, its last.npz or history.csv is broken "
            f"({first_line(error)}): train anew in another folder"
        ) from error
    return rows[: int(optimizer.iterations) // steps]


def _write_state(path: Path, network: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
    variables = enumerate([*network.variables, *optimizer.variables])
    arrays = {str(i): keras.ops.convert_to_numpy(variable) for i, variable in variables}
    with whole(path) as draft, draft.open("wb") as file:
        np.savez(file, **arrays)


def save(network: keras.Model, path: Path) -> None:
    """Write a network; the file appears under its name only when whole."""
    with whole(path) as draft:
        network.save(draft)
