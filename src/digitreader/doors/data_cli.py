"""`digitreader data`: list, download, describe and preview datasets, and write synthetic pages."""

from __future__ import annotations

from pathlib import Path

import click

from digitreader.doors.tables import print_table
from digitreader.errors import UsageError, needs_extra
from digitreader.training.warps import WARPS
from digitreader.writing import whole

DATA_DIR = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Look here first. Then in $DIGITREADER_DATA and in the user's cache.",
)
FONTS = click.option(
    "--fonts",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder of fonts for other writing; those that matplotlib ships by default.",
)
SEEDS = click.IntRange(0, 2**32 - 1)


@click.group()
def data() -> None:
    """List, download and look at datasets."""


@data.command("list")
@DATA_DIR
def list_(data_dir: Path | None) -> None:
    """Show every dataset by name, and whether it is on this machine."""
    from rich.table import Table

    from digitreader.training.catalogue import DATASETS
    from digitreader.training.datasets import locate
    from digitreader.training.own import OWN_KINDS

    table = Table()
    table.add_column("name", no_wrap=True)
    for heading in ("classes", "train + test", "licence", "from", "found in"):
        table.add_column(heading, overflow="fold")
    for name, known in DATASETS.items():
        sizes = " + ".join(f"{size:,}" for size in known.sizes)
        home = known.home.removeprefix("https://")
        found = locate(name, data_dir) or "not here"
        table.add_row(name, str(len(known.labels)), sizes, known.licence, home, found)
    print_table(table)
    click.echo("Your own data:")
    for prefix, kind in OWN_KINDS.items():
        click.echo(f"  {prefix}:PATH".ljust(16) + kind.what)


@data.command()
@click.argument("name")
@DATA_DIR
def download(name: str, data_dir: Path | None) -> None:
    """Fetch a dataset from a public mirror, check it, and print the folder it is in.

    With --data-dir, the files will be in that folder, whatever lies elsewhere.
    """
    from digitreader.training import datasets

    click.echo(datasets.download(name, data_dir))


@data.command()
@click.argument("name")
@DATA_DIR
def info(name: str, data_dir: Path | None) -> None:
    """Describe a dataset: shapes, images per class, pixel mean and deviation, where it lies.

    NAME is one that `digitreader data list` shows, or folder:PATH, csv:PATH, npz:PATH.
    """
    from digitreader.training.datasets import load
    from digitreader.training.show import description

    click.echo(description(load(name, data_dir)))


@data.command()
@click.argument("name")
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--rows", default=8, show_default=True, type=click.IntRange(1, 100))
@click.option("--columns", default=12, show_default=True, type=click.IntRange(1, 100))
@click.option("--seed", default=0, show_default=True, type=SEEDS, help="Chooses the samples.")
@click.option(
    "--augment",
    type=click.Choice(list(WARPS)),
    help="Draw a sample a row, as it is and then as training varies it.",
)
@DATA_DIR
def preview(  # noqa: PLR0913 (one parameter per option)
    *,
    name: str,
    output: Path,
    rows: int,
    columns: int,
    seed: int,
    augment: str | None,
    data_dir: Path | None,
) -> None:
    """Draw a grid of training images with their labels into a picture file.

    \b
    digitreader data preview mnist -o digits.png
    digitreader data preview mnist -o varied.png --augment strong
    """
    from digitreader.training.datasets import load
    from digitreader.training.show import sample_grid, varied_grid

    dataset = load(name, data_dir)
    samples = (dataset.train, dataset.labels, rows, columns, seed)
    grid = varied_grid(*samples, WARPS[augment]) if augment else sample_grid(*samples)
    try:
        with whole(output) as draft:
            grid.save(draft)
    except ValueError as error:  # no such kind of picture
        raise UsageError(f"{output}: the picture cannot be written ({error})") from error
    click.echo(output)


@data.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--pages", default=100, show_default=True, type=click.IntRange(1))
@click.option("--kind", help="One kind of page only, as form, table or numbers; all by default.")
@click.option(
    "--seed", default=0, show_default=True, type=SEEDS, help="The same seed gives the same pages."
)
@click.option("--dataset", default="mnist", show_default=True, help="Whose digits write.")
@click.option(
    "--part",
    default="train",
    show_default=True,
    type=click.Choice(["train", "held-out", "test"]),
    help="Which of them.",
)
@FONTS
@click.option(
    "--side", nargs=2, default=(400, 1000), show_default=True, help="Sides of a page, px."
)
@click.option("--digit", nargs=2, default=(24.0, 72.0), show_default=True, help="Heights, px.")
@DATA_DIR
def synthesize(  # noqa: PLR0913 (one parameter per option)
    *,
    folder: Path,
    pages: int,
    kind: str | None,
    seed: int,
    dataset: str,
    part: str,
    fonts: Path | None,
    side: tuple[int, int],
    digit: tuple[float, float],
    data_dir: Path | None,
) -> None:
    """Write pages of handwritten numbers, with the truth about every digit.

    FOLDER gets PNG files and truth.jsonl: each page's lines, and each digit's label and box.
    Numbers, dates, amounts, forms and tables are written with digits of MNIST, in many pens, on
    many papers, among other writing, and photographed.

    \b
    digitreader data synthesize pages/
    digitreader data synthesize forms/ --kind form --pages 1000 --seed 1
    """
    with needs_extra("writing pages", "train"):
        from digitreader.training.synthetic.folder import TRUTH, write_pages
        from digitreader.training.synthetic.pages import Range
        from digitreader.training.synthetic.writers import writers
    from rich.console import Console
    from rich.progress import track

    written = write_pages(
        writers(fonts, part, data_dir, dataset), folder, pages, seed=seed, kind=kind,
        bounds=Range(side, digit),
    )  # fmt: skip
    console = Console(stderr=True)
    for _ in track(written, "writing pages", pages, console=console, transient=True,
                   disable=not console.is_terminal):  # fmt: skip
        pass
    click.echo(folder / TRUTH)
