"""Inputs cut into parts of so many items: the same ones every time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from digitreader.arguments import expand
from digitreader.batch import archives, tables
from digitreader.batch.items import Glyphs, Item, Part
from digitreader.errors import SourceError
from digitreader.sources import Failed, pages_of


@dataclass(frozen=True)
class Kind:
    """A file of many pictures: how it is cut, how a part is opened, what it is called."""

    cut: Callable[[Path, int, Path], archives.Cuts]
    open: Callable[[Part], Iterator[Item]]
    suffixes: tuple[str, ...]


KINDS: dict[str, Kind] = {
    "csv": Kind(tables.cut_csv, tables.open_csv, (".csv",)),
    "parquet": Kind(tables.cut_parquet, tables.open_parquet, (".parquet",)),
    "array": Kind(tables.cut_array, tables.open_array, (".npy", ".npz")),
    "zip": Kind(archives.cut_zip, archives.open_zip, (".zip",)),
    "tar": Kind(archives.cut_tar, archives.open_tar,
                (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")),
}  # fmt: skip
IN_FOLDERS = frozenset({".parquet", ".zip", ".tar"})  # looked for beside pictures


def plan(inputs: Iterable[str], items: int, scratch: Path) -> Iterator[Part]:
    """Cut inputs into parts of at most so many items, in order.

    An input is a picture, a folder, a pattern, @list.txt, or a file of many pictures, one of
    KINDS. One that cannot be read is a part of its own, whose row says why. `scratch` is a folder
    for what has to be unpacked.
    """
    numbers = count()
    files: list[str] = []
    for source in expand(inputs, IN_FOLDERS):
        kind = None if isinstance(source, Failed) else _kind(source)
        if files and (len(files) == items or kind is not None or isinstance(source, Failed)):
            yield Part(next(numbers), "files", names=tuple(files))
            files = []
        if isinstance(source, Failed):
            yield Part(next(numbers), "broken", source.source, why=source.why)
        elif kind is None:
            files.append(source)
        else:
            yield from _cut(source, kind, items, scratch, numbers)
    if files:
        yield Part(next(numbers), "files", names=tuple(files))


def items_of(part: Part) -> Iterator[Item]:
    """Open a part's items, in order; one that cannot be read is a `Failed` one."""
    if part.kind == "broken":
        yield Failed(part.path, 1, part.why)
        return
    if part.kind == "files":
        for name in part.names:
            yield from pages_of(name)
        return
    number = part.start
    try:
        for item in KINDS[part.kind].open(part):
            number += len(item.images) if isinstance(item, Glyphs) else 1
            yield item
    except SourceError as error:
        yield Failed(part.path, number + 1, str(error))


def _kind(source: str) -> str | None:
    name = source.lower()
    return next((kind for kind, known in KINDS.items() if name.endswith(known.suffixes)), None)


def _cut(
    source: str, kind: str, items: int, scratch: Path, numbers: Iterator[int]
) -> Iterator[Part]:
    """Cut a file of many pictures; where it is broken, the rest of it is a row that says so."""
    try:
        for cut in KINDS[kind].cut(Path(source), items, scratch):
            told: dict[str, Any] = {"path": source} | cut
            yield Part(next(numbers), kind, **told)
    except SourceError as error:
        yield Part(next(numbers), "broken", source, why=str(error))
