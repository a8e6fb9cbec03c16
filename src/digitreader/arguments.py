"""What a user types, as single sources: files, folders, patterns, lists, addresses."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path

from digitreader.camera import is_webcam
from digitreader.errors import SourceError, printable
from digitreader.sources import SUFFIXES, Failed, is_url, missing, suffix_of

LONGEST_NAME = 10_000  # characters of a line in a list


def expand(
    arguments: Iterable[str], besides: AbstractSet[str] = frozenset()
) -> Iterator[str | Failed]:
    """Turn what a user typed into single sources, in order; what leads to none is a `Failed` one.

    A folder gives the pictures in it and below, and files with the suffixes `besides`; a pattern
    gives what matches it, `@list.txt` the lines of that file. Anything else stays as it is, and
    is not opened.
    """
    for argument in arguments:
        try:
            if argument.startswith("@"):
                yield from _listed(argument, besides)
            else:
                yield from map(_checked, _named(argument, besides))
        except SourceError as error:
            yield Failed(argument, 1, str(error))


def _named(argument: str, besides: AbstractSet[str]) -> Iterable[str]:
    """Give the sources that an argument names, which is no list."""
    if is_url(argument) or is_webcam(argument) or argument == "-":
        return [argument]
    if os.path.isdir(argument):  # noqa: PTH112 (which may be no path at all)
        return _files_in(Path(argument), SUFFIXES | besides)
    if glob.has_magic(argument) and not os.path.exists(argument):  # noqa: PTH110
        return _matching(argument)
    return [argument]


def _checked(source: str) -> str | Failed:
    why = missing(source)
    return source if why is None else Failed(source, 1, printable(why))


def _listed(argument: str, besides: AbstractSet[str]) -> Iterator[str | Failed]:
    """Yield what a list names, which may not be lists: one could name itself."""
    try:
        # As Windows' editors begin a text, and with names that are none in UTF-8.
        with open(argument[1:], encoding="utf-8-sig", errors="surrogateescape") as file:  # noqa: PTH123
            while line := file.readline(LONGEST_NAME):
                name = line.strip()
                if len(line) == LONGEST_NAME or "\0" in line:
                    raise SourceError(f"{argument}: expected a picture a line, got {name[:50]!a}")
                if name.startswith("@"):
                    yield Failed(name, 1, printable(f"{name}: a list in a list, {argument}"))
                elif name and not name.startswith("#"):
                    yield from expand([name], besides)
    except OSError as error:
        raise SourceError(f"{argument}: the list cannot be read: {error.strerror}") from error


def _files_in(folder: Path, suffixes: AbstractSet[str]) -> Iterator[str]:
    """Yield a folder's files and those below, folder by folder, each by name."""
    found = False
    unread: list[OSError] = []
    for below, folders, names in os.walk(folder, onerror=unread.append):
        folders.sort()
        for name in sorted(names):
            if suffix_of(name) in suffixes:
                found = True
                yield os.path.join(below, name)  # noqa: PTH118
    if unread:
        more = f", nor {len(unread) - 1} more folders" if len(unread) > 1 else ""
        raise SourceError(f"{unread[0].filename}: cannot be read ({unread[0].strerror}){more}")
    if not found:
        known = " ".join(sorted(suffixes))
        raise SourceError(f"{folder}: no picture in this folder; looked for {known}")


def _matching(pattern: str) -> list[str]:
    found = sorted({path for path in _glob(pattern) if os.path.isfile(path)})  # noqa: PTH113
    if not found:
        raise SourceError(f"{pattern}: nothing matches this pattern")
    return found


def _glob(pattern: str) -> Iterator[str]:
    """As `glob.glob`, but `**` follows no links to folders, which may lead in circles."""
    parts = Path(pattern).parts
    if "**" not in parts:
        yield from glob.iglob(pattern)  # noqa: PTH207 (absolute patterns)
        return
    deep = parts.index("**")
    above, below = Path(*parts[:deep]), parts[deep + 1 :] or ("*",)
    for root in glob.iglob(str(above)):  # noqa: PTH207
        for folder, folders, _ in os.walk(root):
            folders[:] = [name for name in folders if not name.startswith(".")]
            yield from _glob(str(Path(glob.escape(folder), *below)))
