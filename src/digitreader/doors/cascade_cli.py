"""`digitreader cascade`: a quick model and a thorough one made one file."""

from __future__ import annotations

from pathlib import Path

import click

from digitreader.doors.data_cli import DATA_DIR
from digitreader.errors import needs_extra

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("quick", type=FILE)
@click.argument("thorough", type=FILE)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The .onnx file to write.",
)
@click.option(
    "--sure",
    type=click.FloatRange(0, 1),
    default=0.98,
    show_default=True,
    help="QUICK's confidence, from which it is believed.",
)
@DATA_DIR
def cascade(quick: Path, thorough: Path, output: Path, sure: float, data_dir: Path | None) -> None:
    """Make one model of two: QUICK reads all, THOROUGH what QUICK is in doubt about.

    Both are .onnx files for the same labels, in float32 or 8 bits, trained with the same images
    held out. By these it is told how often THOROUGH is asked, and from what confidence a digit
    is called sure. Most digits are easy: the file is nearly as fast as QUICK, and about as
    accurate as THOROUGH.

    \b
    digitreader cascade runs/small/model.onnx runs/large/model.onnx -o digits.onnx
    """
    with needs_extra("making a cascade", "train"):
        from digitreader.training.cascade import join
    made = join(quick, thorough, output, sure=sure, data_dir=data_dir)
    click.echo(f"{output}: held out {made.validation.summary()}")
    click.echo(f"THOROUGH was asked about {100 * made.asked:.1f}% of them")
    click.echo(f"Read with it: digitreader read PICTURE --model {output}")
