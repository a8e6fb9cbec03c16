"""`digitreader tune`: a recipe's knobs turned, on one machine or on many."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from digitreader.doors.bars import progress_bar
from digitreader.doors.data_cli import DATA_DIR
from digitreader.doors.train_cli import DATASET, RECIPE_HELP, SETTINGS
from digitreader.errors import ExitCode, needs_extra
from digitreader.training.backend import greetings_silenced
from digitreader.training.recipes import named

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from digitreader.training.epochs import Reporter, Row

    Teller = Callable[[FrozenTrial, FrozenTrial | None], None]


@click.command()
@click.option(
    "--trials", type=click.IntRange(1), default=30, show_default=True, help="Of the study, in all."
)
@click.option(
    "--recipe",
    default="default",
    show_default=True,
    help=f"The first trial, and what the others start from: {RECIPE_HELP}",
)
@DATASET
@click.option("--epochs", type=int, help="Of each trial.")
@SETTINGS
@click.option(
    "--knob",
    "knobs",
    multiple=True,
    metavar="KNOB",
    help="Turn this one only; may be repeated. By default all that have a range.",
)
@click.option(
    "--storage",
    metavar="URL",
    help="The study's database, which many machines may share, as "
    "postgresql+psycopg://USER:PASSWORD@HOST/NAME; study.db in the folder by default.",
)
@click.option("--study", "name", help="Its name in the database; tune-DATASET by default.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder of what is found; runs/STUDY by default.",
)
@DATA_DIR
def tune(  # noqa: PLR0913 (one parameter per option)
    *,
    trials: int,
    recipe: str,
    dataset: str | None,
    epochs: int | None,
    settings: dict[str, str],
    knobs: tuple[str, ...],
    storage: str | None,
    name: str | None,
    out: Path | None,
    data_dir: Path | None,
) -> int:
    """Search for the recipe that reads held-out images best.

    Each trial trains by the recipe with some knobs turned, and is stopped early where it falls
    behind. The same command goes on with a study that was stopped, and takes part in one that
    runs elsewhere. Test images are not looked at.

    \b
    digitreader tune --trials 30 --epochs 3
    digitreader tune --dataset optdigits --knob learning_rate --knob batch_size
    digitreader tune --storage postgresql+psycopg://me:secret@host/studies
    """
    with needs_extra("tuning", "tune"), greetings_silenced():
        from digitreader.training import tune as tuning
    chosen = named(recipe).with_changes(dataset=dataset, epochs=epochs).with_changes(**settings)
    name = name or f"tune-{chosen.dataset}".replace("/", "_")
    out = out or Path("runs") / name
    with _progress(chosen.epochs * chosen.members) as (report, tell):
        tuned = tuning.tune(
            chosen, out, trials=trials, name=name, storage=storage, knobs=knobs,
            data_dir=data_dir, report=report, tell=tell,
        )  # fmt: skip
    click.echo(f"Best of {name}: {_told(tuned.best)}")
    if tuned.run:
        click.echo(f"Its run: {tuned.run}")
    click.echo(f"Train with it: digitreader train --recipe {out / 'best-recipe.json'}")
    return ExitCode.INTERRUPTED if tuned.interrupted else ExitCode.OK


def _told(trial: FrozenTrial) -> str:
    """A trial in one line: how much of the images held out it read right, and its knobs."""
    knobs = ", ".join(
        f"{knob} {value:.3g}" if isinstance(value, float) else f"{knob} {value}"
        for knob, value in trial.params.items()
    )
    held = "nothing" if trial.value is None else f"{100 * trial.value:.2f}%"
    early = ", stopped early" if trial.state.name == "PRUNED" else ""
    return f"trial {trial.number}, held out {held}{early}: {knobs}"


@contextmanager
def _progress(epochs: int) -> Iterator[tuple[Reporter, Teller]]:
    """Show a trial's epochs as a bar on a terminal; a line a trial anywhere."""
    from rich.progress import TimeElapsedColumn

    with progress_bar(TimeElapsedColumn()) as bar:
        task = bar.add_task("preparing", total=epochs)

        def report(done: float, row: Row) -> None:
            told = f"epoch {min(int(done) + 1, epochs)}/{epochs}  loss {row['loss']:.4f}"
            bar.update(task, completed=done, description=told)

        def tell(trial: FrozenTrial, best: FrozenTrial | None) -> None:
            bar.reset(task, description="preparing", total=epochs)
            ahead = " (the best so far)" if best and trial.number == best.number else ""
            bar.console.print(_told(trial) + ahead, highlight=False, soft_wrap=True)

        yield report, tell
