"""`digitreader export`: a trained model as files for other programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from digitreader.doors.data_cli import DATA_DIR
from digitreader.doors.tables import print_table
from digitreader.errors import ExitCode, needs_extra
from digitreader.training.backend import greetings_silenced
from digitreader.training.formats import FORMATS, PRESETS

if TYPE_CHECKING:
    from digitreader.training.model_files import Export

ALL = "all"


@click.command()
@click.argument("model", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--format",
    "formats",
    type=click.Choice([*FORMATS, ALL]),
    multiple=True,
    default=(ALL,),
    show_default=True,
    help="; ".join(f"{name}: {form.about}" for name, form in FORMATS.items())
    + ". May be given several times.",
)
@click.option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    help="Call the files as others do: "
    + "; ".join(f"{name}: {', '.join(sorted(set(p.values())))}" for name, p in PRESETS.items())
    + ". By default they have the model's name.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder for the files; exports, in the run's folder or beside the file, by default.",
)
@DATA_DIR
def export(
    model: Path,
    formats: tuple[str, ...],
    preset: str | None,
    output: Path | None,
    data_dir: Path | None,
) -> int:
    """Write a trained model as files that other programs read.

    MODEL is the folder of a run, or a .keras or .h5 file that tells digits apart. Every file is
    read back by its own program, in a process of its own, and compared with the model on 1,000
    images before it gets its name; what differs is not kept. All numbers are in exports.json.

    \b
    digitreader export runs/mnist-default-0
    digitreader export runs/mnist-default-0 --format tflite --format onnx-int8
    digitreader export runs/mnist-default-0 --preset kaggle -o models/
    """
    with needs_extra("exporting", "train"), greetings_silenced():
        from digitreader.training import model_files
    from digitreader.outputs import write_json_file

    names = list(FORMATS) if ALL in formats else list(dict.fromkeys(formats))
    folder = output or (model if model.is_dir() else model.parent) / "exports"
    original = model_files.open_original(model, data_dir)
    results = []
    for result in model_files.export(original, names, folder, preset):
        results.append(result)
        if isinstance(result, model_files.Failure):
            click.echo(f"Error: {result.format}: {result.error}", err=True)
        elif caution := FORMATS[result.format].caution:
            click.echo(f"Mind: {caution}.", err=True)
    write_json_file(model_files.report(original, results), folder / "exports.json")
    written = [result for result in results if isinstance(result, model_files.Export)]
    click.echo(f"{folder}, compared on {len(original.images):,} images of {original.dataset}:")
    _print_table(written)
    return ExitCode.OK if len(written) == len(results) else ExitCode.SOME_FAILED


def _print_table(written: Sequence[Export]) -> None:
    from rich.table import Table

    table = Table("format", "file", box=None, pad_edge=False)
    for heading in ("size", "largest difference", "same label", "ms per 1,000 images"):
        table.add_column(heading, justify="right")
    for each in written:
        table.add_row(
            each.format,
            " ".join(each.files),
            f"{each.bytes / 1024:,.0f} KiB",
            f"{each.max_difference:.1e}",
            f"{100 * each.agreement:.2f}%",
            f"{each.milliseconds:,.0f}",
        )
    print_table(table)
