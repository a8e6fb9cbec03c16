"""`digitreader train-finder` and `digitreader quantize-finder`: what finds digits on pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from digitreader.doors.bars import progress_bar
from digitreader.doors.cascade_cli import FILE, OUTPUT
from digitreader.doors.data_cli import DATA_DIR, FONTS, SEEDS
from digitreader.errors import needs_extra
from digitreader.training.backend import greetings_silenced

STEPS = click.option("--steps", type=int, help="Batches of windows to train on.")
SEED = click.option("--seed", type=SEEDS, help="The same seed gives the same pages.")
WORKERS = click.option(
    "--workers",
    default=1,
    show_default=True,
    type=click.IntRange(1),
    help="Processes that write pages.",
)


@click.command("train-finder")
@FONTS
@STEPS
@click.option("--batch-size", type=int, help="Windows a step, 192×192 px each.")
@click.option("--learning-rate", type=float, help="At its peak.")
@SEED
@WORKERS
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs/finder"),
    show_default=True,
    help="The run's folder.",
)
@click.option("--resume", is_flag=True, help="Go on with the killed run that lies there.")
@DATA_DIR
def train_finder(
    *,
    fonts: Path | None,
    workers: int,
    out: Path,
    resume: bool,
    data_dir: Path | None,
    **knobs: float | None,
) -> None:
    """Train the network that finds digits on pages, on pages it makes up.

    The pages are those of `digitreader data synthesize`, written while the network trains. The
    default takes some two hours on two cores. `digitreader quantize-finder` makes it faster.
    """
    with needs_extra("training", "train"), greetings_silenced():
        from digitreader.training import train_finder as training
    chosen = {name: value for name, value in knobs.items() if value is not None}
    recipe = training.FinderRecipe(**chosen)  # type: ignore[arg-type]
    with _progress(recipe.steps) as report:
        path = training.train_finder(
            recipe, out, fonts=fonts, resume=resume, data_dir=data_dir, workers=workers,
            report=report,
        )  # fmt: skip
    click.echo(path)


@click.command("quantize-finder")
@click.argument("finder", type=FILE)
@OUTPUT
@FONTS
@STEPS
@SEED
@WORKERS
@DATA_DIR
def quantize_finder(  # noqa: PLR0913 (one parameter per option)
    *,
    finder: Path,
    output: Path,
    fonts: Path | None,
    steps: int | None,
    seed: int | None,
    workers: int,
    data_dir: Path | None,
) -> None:
    """Make FINDER, a run's finder.keras, compute in 8 bits: twice as fast on one core.

    It learns to find so what it finds in float32, on pages made up as in its training. The
    default takes some ten minutes on two cores.

    \b
    digitreader quantize-finder runs/finder/finder.keras -o finder.onnx
    """
    with needs_extra("quantizing", "train"), greetings_silenced():
        from digitreader.training import quantize_finder as quantizing
    steps = quantizing.STEPS if steps is None else steps
    seed = quantizing.SEED if seed is None else seed
    with _progress(steps) as report:
        made = quantizing.quantize_finder(
            finder, output, steps=steps, seed=seed, fonts=fonts, data_dir=data_dir,
            workers=workers, report=report,
        )  # fmt: skip
    click.echo(f"{made.path}: {made.summary()}")


@contextmanager
def _progress(steps: int) -> Iterator[Callable[[int, float], None]]:
    """Show a bar with loss and time left on a terminal; a line every thousand steps anywhere."""
    from rich.progress import TimeRemainingColumn

    with progress_bar(TimeRemainingColumn()) as bar:
        task = bar.add_task("preparing", total=steps)

        def report(step: int, loss: float) -> None:
            bar.update(task, completed=step, description=f"step {step}/{steps}  loss {loss:.4f}")
            if step % 1000 == 0 or step == steps:
                bar.console.print(f"step {step}/{steps}: loss {loss:.4f}", highlight=False)

        yield report
