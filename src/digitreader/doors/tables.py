"""How the commands print a table."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table


def print_table(table: Table) -> None:
    """Print it to standard output: as wide as the terminal, and on a pipe a line a row."""
    from rich.console import Console

    # A pipe has no width: there, a row is one line however long it gets.
    Console(width=None if sys.stdout.isatty() else 1000).print(table)
