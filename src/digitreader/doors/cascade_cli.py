"""`digitreader cascade`: a quick model and thorough ones made one file."""

from __future__ import annotations

from pathlib import Path

import click

from digitreader.doors.data_cli import DATA_DIR
from digitreader.errors import needs_extra

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
OUTPUT = click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The .onnx file to write.",
)


@click.command()
@click.argument("quick", type=FILE)
@click.argument("thorough", type=FILE)
@OUTPUT
@click.option(
    "--plain",
    type=FILE,
    help="A third model, which knows digits alone: it has a say in which digit a doubtful one is.",
)
@click.option(
    "--sure",
    type=click.FloatRange(0, 1),
    default=0.95,
    show_default=True,
    help="QUICK's confidence, from which it is believed.",
)
@DATA_DIR
def cascade(  # noqa: PLR0913 (one parameter per option)
    *,
    quick: Path,
    thorough: Path,
    output: Path,
    plain: Path | None,
    sure: float,
    data_dir: Path | None,
) -> None:
    """Make one model of two or three: QUICK reads all, the others what QUICK is in doubt about.

    All are .onnx files for the same labels, in float32 or 8 bits, trained with the same images
    held out. By these it is told how often the others are asked, and from what confidence a digit
    is called sure. Most digits are easy: the file is nearly as fast as QUICK, and about as
    accurate as all together.

    \b
    digitreader cascade runs/small/model.onnx runs/large/model.onnx -o digits.onnx
    """
    with needs_extra("making a cascade", "train"):
        from digitreader.training.cascade import join
    made = join(quick, thorough, output, plain=plain, sure=sure, data_dir=data_dir)
    click.echo(f"{output}: held out {made.validation.summary()}")
    click.echo(f"QUICK was in doubt about {100 * made.asked:.1f}% of them")
    click.echo(f"Read with it: digitreader read PICTURE --model {output}")
