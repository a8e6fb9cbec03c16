"""`digitreader train`: networks made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from digitreader.doors.bars import progress_bar
from digitreader.doors.data_cli import DATA_DIR, FONTS
from digitreader.errors import ExitCode, UsageError, needs_extra
from digitreader.training.backend import greetings_silenced
from digitreader.training.networks import NETWORKS
from digitreader.training.recipes import RECIPES, named
from digitreader.training.warps import WARPS

if TYPE_CHECKING:
    from digitreader.training.epochs import Reporter, Row
    from digitreader.training.finish import Run
    from digitreader.training.recipes import Recipe


def _pairs(
    context: click.Context, parameter: click.Parameter, settings: tuple[str, ...]
) -> dict[str, str]:
    """Take each knob=value apart; of one knob the last counts."""
    pairs = [setting.partition("=") for setting in settings]
    if wrong := [knob for knob, equals, _ in pairs if not equals]:
        raise click.BadParameter(f"{wrong[0]!r}; expected knob=value")
    return {knob: value for knob, _, value in pairs}


RECIPE_HELP = f"{', '.join(RECIPES)}, or a .json file of knobs, as a run's recipe.json."
DATASET = click.option(
    "--dataset", help="A name, or one's own: what `digitreader data list` shows."
)
SETTINGS = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KNOB=VALUE",
    callback=_pairs,
    help="Turn any other knob of the recipe, as --set weight_decay=0.1; may be repeated.",
)


@click.command()
@click.option(
    "--recipe",
    show_default="default; corrections with --from",
    help=f"Where the other options start from: {RECIPE_HELP}",
)
@DATASET
@click.option(
    "--network",
    help="; ".join(f"{name}: {network.about}" for name, network in NETWORKS.items())
    + "; module:function: your own.",
)
@click.option("--augment", type=click.Choice(list(WARPS)), help="How digits are varied.")
@click.option("--epochs", type=int, help="Times through the training images.")
@click.option("--batch-size", type=int, help="Images a step.")
@click.option("--learning-rate", type=float, help="At its peak.")
@click.option("--seed", type=int, help="The same seed gives the same run.")
@SETTINGS
@click.option(
    "--from",
    "start_from",
    metavar="MODEL",
    help="Teach this network the dataset beside what it knows: a run's folder or its best.keras.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="The run's folder; runs/DATASET-NETWORK-SEED by default.",
)
@click.option("--resume", is_flag=True, help="Go on with the killed run that lies there.")
@click.option("--tensorboard", is_flag=True, help="Write logs for TensorBoard too.")
@FONTS
@click.option(
    "--teacher",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The .onnx model that a recipe with views learns from; the shipped one by default.",
)
@DATA_DIR
def train(  # noqa: PLR0913 (one parameter per option)
    *,
    recipe: str | None,
    settings: dict[str, str],
    start_from: str | None,
    out: Path | None,
    teacher: Path | None,
    data_dir: Path | None,
    resume: bool,
    tensorboard: bool,
    fonts: Path | None,
    **knobs: str | float | None,
) -> int:
    """Train a network, measure it and save it.

    Without options: MNIST, about a minute on two cores. The run's folder holds the model, its
    numbers and plots. Ctrl-C ends the run with its best epoch.

    \b
    digitreader train
    digitreader train --dataset optdigits --epochs 20      no download needed
    digitreader train --network lenet-5 --augment classic --out runs/lenet
    digitreader train --recipe runs/lenet/recipe.json --set weight_decay=0.1 --out runs/again
    digitreader train --from runs/lenet --dataset folder:corrections
    """
    with needs_extra("training", "train"), greetings_silenced():
        from digitreader.training import finetune
        from digitreader.training import team as teams
        from digitreader.training import train as training
    base = named(recipe or ("corrections" if start_from else "default"))
    if start_from:
        base = finetune.recipe_for(base, start_from, data_dir)
    chosen = base.with_changes(**knobs).with_changes(**settings)
    if chosen.start_from and (teacher or knobs["network"]):
        raise UsageError("a run --from a network takes neither --teacher nor --network")
    out = out or Path("runs") / f"{chosen.dataset}-{chosen.network}-{chosen.seed}".replace("/", "_")
    places: dict[str, Any] = {
        "resume": resume,
        "data_dir": data_dir,
        "fonts": fonts,
        "tensorboard": tensorboard,
    }
    team = teams.join()
    if chosen.start_from and team.size > 1:
        raise UsageError("several processes train nothing --from a network: train it in one")
    trainings = 1 + finetune.FOLDS if chosen.start_from else chosen.members
    with _training_progress(chosen.epochs * trainings) as report:
        if chosen.start_from:
            run = finetune.finetune(chosen, out, report=report, **places)
        elif team.leads:
            run = training.train(chosen, out, report=report, teacher=teacher, team=team, **places)
        else:
            training.help_train(
                chosen, out, team, resume=resume, data_dir=data_dir, fonts=fonts, teacher=teacher,
                report=report,
            )  # fmt: skip
            return ExitCode.OK
    _print_run(run, chosen)
    return ExitCode.INTERRUPTED if run.interrupted else ExitCode.OK


def _print_run(run: Run, recipe: Recipe) -> None:
    """Print what a run came to, and how to read with it."""
    held = f"; validation {run.validation.summary()}" if run.validation else ""
    click.echo(f"Trained for {run.seconds:.0f} s{held}")
    if run.learnt:
        click.echo(f"{recipe.dataset}: {run.learnt.summary()}")
    if run.learnt and run.learnt.known is not None and run.validation:
        before, after = 100 * run.learnt.known, 100 * run.validation.accuracy
        click.echo(f"{recipe.replay}, held out: {before:.2f}% before, {after:.2f}% after")
    if run.test:
        click.echo(f"Test {run.test.summary()}")
    click.echo(str(run.parity))
    click.echo(f"Read with it: digitreader read PICTURE --model {run.folder / 'model.onnx'}")


@contextmanager
def _training_progress(epochs: int) -> Iterator[Reporter]:
    """Show a bar with loss, accuracy and time left on a terminal; a line an epoch anywhere."""
    from rich.progress import TaskProgressColumn, TimeRemainingColumn

    with progress_bar(TaskProgressColumn(), TimeRemainingColumn()) as bar:
        task = bar.add_task("preparing", total=None)

        def report(done: float, logs: Row) -> None:
            epoch = min(int(done) + 1, epochs)
            bar.update(
                task,
                total=epochs,
                completed=done,
                description=f"epoch {epoch}/{epochs}  loss {logs['loss']:.4f}  "
                f"accuracy {100 * logs['accuracy']:.2f}%",
            )
            if "seconds" in logs:  # an epoch has ended
                told = f"loss {logs['loss']:.4f}, accuracy {100 * logs['accuracy']:.2f}%"
                if "val_accuracy" in logs:
                    told += f", held out {100 * logs['val_accuracy']:.2f}%"
                bar.console.print(
                    f"epoch {done:.0f}/{epochs}: {told}, {logs['seconds']:.0f} s", highlight=False
                )

        yield report
