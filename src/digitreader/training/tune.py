"""Tuning: a recipe's knobs turned by Optuna, and what reads held-out images best kept.

A trial is a training run by the recipe with some knobs turned. It is judged by the images it
holds out, never by test images, and stopped where its epochs fall behind those of other trials.
The study lies in a database: in the folder as SQLite, or in one that many machines share. What
was killed goes on; a trial whose process no longer gives a sign of life is tried once more.
(Akiba et al. 2019, "Optuna: a next-generation hyperparameter optimization framework".)

The folder holds `best-recipe.json`, `trials.csv`, `history.png`, `importances.png`, the run of the
best trial, where it was trained here, and `study.txt`, which says of which study all that is.
Every file appears under its name only when it is whole.
"""

from __future__ import annotations

import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import optuna
from optuna import Study, Trial, TrialPruned
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from digitreader.errors import DataError, DivergedError, StoppedError, UsageError
from digitreader.training.epochs import Reporter, Row
from digitreader.training.recipes import Recipe
from digitreader.training.train import train
from digitreader.training.trials import write
from digitreader.writing import make_folder, whole

STUDY = "study.txt"  # which study a folder is of
HEARTBEAT = 10  # seconds between the signs of life of a trial's process
GRACE = 60  # seconds without one, after which the trial is taken for dead
PAUSES = (0.3, 1.0, 3.0)  # seconds between tries to open the database
TRIED = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclass(frozen=True)
class Between:
    """Numbers from low to high, drawn evenly, or evenly by their logarithm."""

    low: float
    high: float
    log: bool = False

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


# All that is tried. A knob that the recipe has outside of this keeps what the recipe gives it.
SPACE: dict[str, Between | tuple[Any, ...]] = {
    "network": ("default", "compact", "residual-small"),
    "augment": ("shift", "mild", "bent", "strong"),
    "batch_size": (64, 128, 256),
    "learning_rate": Between(5e-4, 3e-2, log=True),
    "warm_up": Between(0.05, 0.5),
    "weight_decay": Between(5e-3, 0.5, log=True),
    "label_smoothing": Between(0.0, 0.15),
    "averaged": (0.0, 0.9, 0.99),
}


@dataclass(frozen=True)
class Tuned:
    """What a study has come to."""

    recipe: Recipe
    best: FrozenTrial
    run: Path | None  # of the best trial; None where another machine trained it
    interrupted: bool


def tune(  # noqa: PLR0913 (all but the first two by name)
    recipe: Recipe,
    out: Path,
    *,
    trials: int,
    name: str,
    storage: str | None = None,
    knobs: Sequence[str] = (),
    data_dir: Path | None = None,
    report: Reporter | None = None,
    tell: Callable[[FrozenTrial, FrozenTrial | None], None] | None = None,
) -> Tuned:
    """Turn knobs of a recipe until a study has so many trials; the first is the recipe itself.

    `storage` is the URL of the database, by default `out`/study.db. Several processes may work
    at one study at once, each in a folder of its own or all in one; a trial that is under way
    when the last but one ends makes it one more. `report` hears of each trial's epochs, `tell`
    of each trial when it has ended, with the best so far. Ctrl-C ends it with the best so far.

    Raises:
        UsageError: the recipe holds no images out or cannot be tuned, or the study was begun
            with another, or the folder is another study's.
        DataError: the database cannot be reached, or the dataset is missing.
        StoppedError: Ctrl-C came before the end of the first trial.
    """
    turned = _turned(recipe, knobs)
    make_folder(out)
    url = storage or f"sqlite:///{(out / 'study.db').resolve()}"

    def ended(study: Study, trial: FrozenTrial) -> None:
        _tidy(study, out)
        if tell is not None:
            tell(trial, best_of(study))

    with _reached(url):
        told = f"{name} in {_shown(storage) if storage else 'its study.db'}"
        _check_folder(out, told)
        study = _begun(url, name, recipe, turned)
        with whole(out / STUDY) as draft:
            draft.write_text(told, encoding="utf-8")
        interrupted = False
        try:
            while len(study.get_trials(deepcopy=False, states=TRIED)) < trials:
                study.optimize(
                    lambda trial: _accuracy(trial, turned, recipe, out, data_dir, report),
                    n_trials=1,
                    callbacks=[ended],
                )
        except (KeyboardInterrupt, StoppedError):
            interrupted = True
        _tidy(study, out)
        best = best_of(study)
        if best is None:
            raise StoppedError(f"no trial was finished: there is nothing to save in {out}")
        chosen = recipe.with_changes(**best.params)
        write(study, best, chosen, out)
    run = _folder(out, best)
    return Tuned(chosen, best, run if run.exists() else None, interrupted)


def best_of(study: Study) -> FrozenTrial | None:
    """The trial with the highest accuracy; of equals, the least loss. None where none is whole."""
    whole_ones = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return max(whole_ones, key=lambda t: (t.value, -t.user_attrs["loss"]), default=None)


def _turned(recipe: Recipe, knobs: Sequence[str]) -> tuple[str, ...]:
    """The knobs to turn: those that are named, or all that the recipe has within the space."""
    if recipe.start_from or recipe.views or not recipe.validation:
        raise UsageError(
            "only recipes that hold images out, learn from no teacher and start from no network "
            "are tuned; images are held out by --set validation=5000 --set temperature=0"
        )
    for knob in knobs:
        if knob not in SPACE:
            raise UsageError(f"no range is known for {knob!r}; there is one for {', '.join(SPACE)}")
        if getattr(recipe, knob) not in SPACE[knob]:
            raise UsageError(
                f"{knob} is {getattr(recipe, knob)!r}; expected it within {SPACE[knob]} to tune it"
            )
    return tuple(knobs) or tuple(k for k in SPACE if getattr(recipe, k) in SPACE[k])


def _check_folder(out: Path, told: str) -> None:
    """Refuse the folder of another study, whose runs have the names that this one's would have."""
    if not (out / STUDY).exists():
        return
    before = (out / STUDY).read_text(encoding="utf-8", errors="replace")
    if before != told:
        raise UsageError(f"{out} holds the study {before}, this is {told}: choose another --out")


def _shown(url: str) -> str:
    return make_url(url).render_as_string(hide_password=True)


@contextmanager
def _reached(url: str) -> Iterator[None]:
    """Say in one line what keeps a database from being used; its password stays out of it."""
    try:
        shown = _shown(url)
    except SQLAlchemyError as error:
        raise UsageError(
            "the storage is no database's URL; expected one as sqlite:///study.db, "
            "postgresql+psycopg://USER:PASSWORD@HOST/NAME or mysql+pymysql://..."
        ) from error
    try:
        yield
    except ImportError as error:  # Optuna's, where a driver is not installed
        raise DataError(f"{shown}: {error.__cause__ or error}; install it") from error
    except (SQLAlchemyError, StorageInternalError) as error:
        cause = str(error.__cause__ or error).splitlines()[0]
        raise DataError(f"{shown}: the study's database cannot be used ({cause})") from error


def _begun(url: str, name: str, recipe: Recipe, turned: tuple[str, ...]) -> Study:
    """Begin a study with the recipe itself as its first trial, or go on with the one there is."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = _opened(url, name)
    told: dict[str, Any] = {"recipe": recipe.as_dict(), "knobs": list(turned)}
    before: dict[str, Any] = study.user_attrs.get("of") or told
    if Recipe.from_dict(before["recipe"]) != recipe or before["knobs"] != told["knobs"]:
        raise UsageError(
            f"the study {name} was begun with another recipe or other knobs: go on with the same "
            "options, or choose another --study"
        )
    study.set_user_attr("of", told)
    study.enqueue_trial({knob: getattr(recipe, knob) for knob in turned}, skip_if_exists=True)
    return study


def _opened(url: str, name: str) -> Study:
    """Open a study, or make it; of processes that make it at once all but one fail at first.

    Its name is looked for before it is made: where a process was killed while it made the
    database, the index that keeps names apart may be missing for good.
    """
    for pause in PAUSES:
        try:
            storage = _storage(url)
            if name in optuna.get_all_study_names(storage):
                return optuna.load_study(storage=storage, study_name=name)
            return optuna.create_study(
                storage=storage, study_name=name, direction="maximize", load_if_exists=True
            )
        except SQLAlchemyError:
            time.sleep(pause)
    return optuna.load_study(storage=_storage(url), study_name=name)


def _storage(url: str) -> RDBStorage:
    """Open the database, where a trial whose process died is found out and tried once more.

    A connection is closed after each use: trials take minutes, and nobody says when a study ends.
    """
    options: dict[str, Any] = {"poolclass": NullPool}
    if url.startswith("sqlite"):
        options["connect_args"] = {"timeout": 60}  # seconds
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # signs of life are, for Optuna
        return RDBStorage(
            url,
            engine_kwargs=options,
            heartbeat_interval=HEARTBEAT,
            grace_period=GRACE,
            heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(max_retry=1),
        )


def _accuracy(  # noqa: PLR0913, PLR0917 (what a trial follows from)
    trial: Trial,
    turned: tuple[str, ...],
    recipe: Recipe,
    out: Path,
    data_dir: Path | None,
    report: Reporter | None,
) -> float:
    """Train by the recipe with its knobs turned; return the accuracy on the images held out."""
    chosen = recipe.with_changes(**{knob: _suggested(trial, knob) for knob in turned})

    def epoch(done: float, row: Row) -> None:
        if report is not None:
            report(done, row)
        if "val_accuracy" in row:  # an epoch has ended
            trial.report(row["val_accuracy"], round(done))
            if trial.should_prune():
                raise TrialPruned

    keras.utils.clear_session()  # or the graphs of all trials stay in memory
    try:
        run = train(chosen, _folder(out, trial), data_dir=data_dir, report=epoch, test=False)
        if run.interrupted:
            raise StoppedError("stopped before the end of a trial")
    except (KeyboardInterrupt, StoppedError):
        trial.study.enqueue_trial(trial.params)  # for whoever goes on
        raise
    except DivergedError as error:
        raise TrialPruned from error
    assert run.validation is not None  # every recipe here holds images out
    trial.set_user_attr("loss", run.validation.loss)
    return run.validation.accuracy


def _suggested(trial: Trial, knob: str) -> Any:
    space = SPACE[knob]
    if isinstance(space, Between):
        return trial.suggest_float(knob, space.low, space.high, log=space.log)
    return trial.suggest_categorical(knob, space)


def _folder(out: Path, trial: Trial | FrozenTrial) -> Path:
    return out / f"trial-{trial.number}"


def _tidy(study: Study, out: Path) -> None:
    """Remove the runs of all trials that have ended but the best."""
    best = best_of(study)
    for trial in study.get_trials(deepcopy=False):
        if trial.state.is_finished() and (best is None or trial.number != best.number):
            shutil.rmtree(_folder(out, trial), ignore_errors=True)
