"""`digitreader networks`: what there is to train, how large it is, and what to expect of it."""

from __future__ import annotations

import click

from digitreader.doors.tables import print_table


@click.command()
def networks() -> None:
    """List the networks: their size, and how they do under the default recipe.

    Accuracy is that on MNIST's test images, the mean of several seeds and its standard
    deviation; seconds are those of training. A network of your own is module:function, a function
    that takes the images (a Keras tensor, [N, 28, 28, 1]) and gives features ([N, F]):

    \b
    digitreader train --network my_networks:wide
    """
    from rich.table import Table

    from digitreader.training.networks import NETWORKS, accuracy_of, measured

    table = Table(box=None)
    table.add_column("network", no_wrap=True)
    for heading in ("parameters", "multiply-adds", "accuracy", "seconds"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    told = measured()
    for name, network in NETWORKS.items():
        row = told["networks"].get(name)
        cells = ("–",) * 4
        if row:
            cells = (
                f"{row['parameters']:,}",
                f"{row['multiply_adds'] / 1e6:.1f} M",
                accuracy_of(row),
                f"{row['seconds_mean']:.0f}",
            )
        table.add_row(name, *cells, network.about)
    print_table(table)
    machine = told["machine"]
    click.echo(f"Measured on: {machine['processor']}, {machine['cores']} cores.")
