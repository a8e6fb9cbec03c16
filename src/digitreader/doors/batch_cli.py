"""`digitreader batch`: thousands to millions of pictures in, files of rows out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from digitreader.doors.bars import progress_bar
from digitreader.doors.read_cli import LAYOUT, MIN_CONFIDENCE, MODEL
from digitreader.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from digitreader.batch.job import Progress
    from digitreader.detection import Layout

ENGINES = ("local", "ray")


@click.command(no_args_is_help=True)
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="A new folder for the files of rows; or that of a batch that was stopped, to go on.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["parquet", "csv", "jsonl"]),
    default="parquet",
    show_default=True,
    help="Of the files of rows.",
)
@click.option(
    "--items", default=5000, show_default=True, type=click.IntRange(1), help="Of a part, at most."
)
@LAYOUT
@MIN_CONFIDENCE
@MODEL
@click.option("--workers", type=click.IntRange(1), help="The default is one for each core.")
@click.option(
    "--engine", type=click.Choice(ENGINES), default="local", show_default=True, help="Who reads."
)
@click.option("--address", help="Of a Ray cluster; by default one is started here.")
def batch(  # noqa: PLR0913 (one parameter per option)
    inputs: tuple[str, ...],
    *,
    output: Path,
    form: str,
    items: int,
    layout: Layout,
    min_confidence: float | None,
    model: Path | None,
    workers: int | None,
    engine: str,
    address: str | None,
) -> int:
    """Read thousands to millions of pictures on all cores, or on a Ray cluster.

    An INPUT is a picture, a folder, a pattern, @list.txt, or a file of many pictures: Kaggle's
    CSV, Parquet with a column of images, .npy, .npz, .zip, .tar (.gz, .bz2, .xz). The rows are
    those of `digitreader read`; what cannot be read is a row that says why. The same command goes
    on with a batch that was stopped, and repeats and loses nothing.

    \b
    digitreader batch scans/ -o readings
    digitreader batch 'shards/*.parquet' -o readings --workers 8
    digitreader batch scans.tar -o readings --engine ray --address HOST:6379
    """
    from digitreader.batch.engines import Crew
    from digitreader.batch.job import run
    from digitreader.batch.work import Settings

    if address is not None and engine != "ray":
        raise UsageError("--address is that of a Ray cluster: add --engine ray")
    settings = Settings(str(model) if model else None, layout, min_confidence, form)
    crew = Crew(workers or _cores(), address)
    try:
        with _progress() as report:
            done = run(inputs, output, settings, crew, engine=engine, items=items, report=report)
    except KeyboardInterrupt:
        click.echo("Stopped. The same command goes on.", err=True)
        return ExitCode.INTERRUPTED
    failed = f", {done.failed:,} of them failed" if done.failed else ""
    click.echo(f"{output}: {done.rows:,} rows, {done.digits:,} digits{failed}")
    return ExitCode.SOME_FAILED if done.failed else ExitCode.OK


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def _progress() -> Iterator[Callable[[Progress], None]]:
    """Show pictures done, their rate and the time left, on a terminal."""
    from rich.progress import MofNCompleteColumn, TimeRemainingColumn

    with progress_bar(MofNCompleteColumn(), TimeRemainingColumn()) as bar:
        task = bar.add_task("listing", total=None)

        def report(done: Progress) -> None:
            speed = bar.tasks[task].finished_speed or bar.tasks[task].speed
            rate = f"reading, {speed:,.0f}/s" if speed else "reading"
            bar.update(task, total=done.items, completed=done.done, description=rate)

        yield report
