"""`digitreader evaluate`: a model measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from digitreader.doors.data_cli import DATA_DIR
from digitreader.doors.tables import print_table
from digitreader.errors import UsageError, needs_extra
from digitreader.training.evaluate import MODEL_SUFFIXES, predict

if TYPE_CHECKING:
    from digitreader.training.metrics import Scores


@click.command()
@click.option(
    "--model",
    type=click.Path(dir_okay=False, path_type=Path),
    help=f"A file of one of the forms {MODEL_SUFFIXES}; the default comes with the package.",
)
@click.option(
    "--dataset",
    default="mnist",
    show_default=True,
    help="A name, or one's own: what `digitreader data list` shows.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write all numbers to this .json file too.",
)
@click.option(
    "--report",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write a page, report.html, with plots and all errors to this folder, and its pieces.",
)
@DATA_DIR
def evaluate(
    model: Path | None,
    dataset: str,
    output: Path | None,
    report: Path | None,
    data_dir: Path | None,
) -> None:
    """Measure a model on all test images.

    A dataset without test images (one's own) is scored whole.

    \b
    digitreader evaluate
    digitreader evaluate --model runs/mnist-default-0/model.onnx --report report/
    """
    from digitreader.outputs import write_json_file

    if output and output.suffix != ".json":
        raise UsageError(f"{output}: the numbers are written as JSON; name a .json file")
    told = predict(model, dataset, data_dir)
    scores = told.scores
    click.echo(f"Test {scores.summary()}")
    _print_classes(scores)
    if output:
        write_json_file(scores.as_dict(), output)
    if report:
        with needs_extra("a report", "train"):
            from digitreader.training.report import write_report
        click.echo(write_report(told, model, dataset, report))


def _print_classes(scores: Scores) -> None:
    """Print precision, recall and F1 of each class, and the confusion matrix."""
    from rich.table import Table

    table = Table("", "precision", "recall", "F1", "n", *scores.labels, box=None)
    for column in table.columns:
        column.justify = "right"
    for i, row in enumerate(scores.per_class):
        shares = (f"{100 * row[key]:.2f}%" for key in ("precision", "recall", "f1"))
        counts = (str(count) if count else "·" for count in scores.confusion[i])
        table.add_row(row["label"], *shares, str(row["n"]), *counts)
    click.echo("Each class, and as what its images were read (a row is what they are):")
    print_table(table)
