"""A run's folder: whose it is, and that one training at a time works there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from digitreader.errors import UsageError
from digitreader.outputs import write_json_file
from digitreader.training.recipes import Recipe, named
from digitreader.writing import make_folder, only_one

if TYPE_CHECKING:
    from digitreader.training.train_finder import FinderRecipe

    AnyRecipe: TypeAlias = Recipe | FinderRecipe


@contextmanager
def begun(
    out: Path, recipe: AnyRecipe, resume: bool, read: Callable[[str], AnyRecipe] = named
) -> Iterator[None]:
    """Keep a run's folder to this training, with its recipe in it."""
    make_folder(out)
    with only_one(out, "training"):
        check_folder(out, recipe, resume, read)  # another may have come and gone since
        write_json_file(asdict(recipe), out / "recipe.json")
        yield


def check_folder(
    out: Path, recipe: AnyRecipe, resume: bool, read: Callable[[str], AnyRecipe] = named
) -> None:
    """Refuse a folder that holds another run, or none where one is to be gone on with.

    `read` opens the recipe that was written there.
    """
    written = out / "recipe.json"
    if not resume:
        if written.exists():
            raise UsageError(f"{out} holds a run already: add --resume, or choose another --out")
        return
    if not written.exists():
        raise UsageError(f"there is no run to resume in {out}: recipe.json is missing")
    before = asdict(read(str(written)))
    changed = [knob for knob, value in asdict(recipe).items() if before[knob] != value]
    if changed:
        raise UsageError(
            f"the run in {out} was started with another {', '.join(changed)}: go on with the same "
            "options"
        )
