"""A batch in its folder: what is to be read, what is done, and where a killed one goes on.

part-000000.parquet …    a file of rows for each part, there when it is whole
_manifest.json           inputs and settings; the same command goes on
_parts.jsonl             the parts, one a line, listed once
_done.jsonl              what came of each that is done, one a line
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from typing import Any

from digitreader import __version__
from digitreader.arrow import schema
from digitreader.batch.engines import ENGINES, Crew
from digitreader.batch.items import Part
from digitreader.batch.plan import plan
from digitreader.batch.work import DRAFTS, Done, Settings, file_of
from digitreader.classifier import SHIPPED, Classifier, shipped_model
from digitreader.errors import UsageError, WriteError, first_line
from digitreader.outputs import write_json_file
from digitreader.writing import make_folder, only_one, whole, writing

MANIFEST, PARTS, DONE, UNPACKED = "_manifest.json", "_parts.jsonl", "_done.jsonl", "_unpacked"


@dataclass(frozen=True)
class Progress:
    """How far a batch is: items of how many, and rows written, with those of what failed."""

    items: int
    done: int
    rows: int
    failed: int
    digits: int


def run(  # noqa: PLR0913 (what a batch is)
    inputs: Sequence[str],
    out: Path,
    settings: Settings,
    crew: Crew,
    *,
    engine: str = "local",
    items: int = 5000,
    report: Callable[[Progress], None] = lambda _: None,
) -> Progress:
    """Read inputs into files of rows in `out`; where that was begun before, go on.

    Inputs are pictures, folders, patterns, @list.txt, and files of many pictures, `plan.KINDS`;
    a part has so many `items`, pictures or rows of a table, at most. The progress is reported at
    the start and after each part.

    Raises:
        UsageError: the folder holds something else, or a batch of other inputs or settings, or
            another process reads into it.
        ModelError: the model is missing or is not one of ours.
        MissingExtraError: rows are to be Parquet, or inputs are, and its library is not installed.
        WriteError: the folder cannot be written to; what is done is kept.
    """
    Classifier.open(settings.model)  # what is wrong with it is told before anything is written,
    if settings.form == "parquet":
        schema()  # and that its library is missing
    manifest = _manifest(inputs, settings, items)
    with writing(out):  # whose name may be too long to look for
        _check(manifest, out)
    make_folder(out)
    with only_one(out, "batch"):
        if not _check(manifest, out):
            _list(manifest, inputs, out, items)
        return _read(out, settings, crew, engine, report)


def _read(
    out: Path,
    settings: Settings,
    crew: Crew,
    engine: str,
    report: Callable[[Progress], None],
) -> Progress:
    """Read the parts that are not done."""
    sizes = {part.number: part.size for part in _parts(out)}
    rows = {row.number: row for row in _done(out, settings)}
    report(_progress(sizes, rows))
    waiting = (part for part in _parts(out) if part.number not in rows)
    with whole(out / DONE) as draft:  # without what a kill cut off
        draft.write_text("".join(map(_noted, rows.values())), encoding="utf-8")
    with writing(out / DONE), (out / DONE).open("a", encoding="utf-8") as file:
        for row in ENGINES[engine](waiting, out, settings, crew):
            file.write(_noted(row))
            file.flush()
            rows[row.number] = row
            report(_progress(sizes, rows))
    _check_all_there(out, settings, sizes)
    for folder in (DRAFTS, UNPACKED):
        rmtree(out / folder, ignore_errors=True)
    return _progress(sizes, rows)


def _manifest(inputs: Sequence[str], settings: Settings, items: int) -> dict[str, Any]:
    """Return all that the rows depend on."""
    model = Path(settings.model) if settings.model else shipped_model(SHIPPED)
    return {
        "digitreader": __version__,
        "folder": str(Path.cwd()),
        "inputs": list(inputs),
        "items": items,
        "settings": asdict(settings),
        "model_sha256": sha256(model.read_bytes()).hexdigest(),
    }


def _check(manifest: dict[str, Any], out: Path) -> bool:
    """Tell whether a batch was begun there; refuse one of another command, and other files."""
    path = out / MANIFEST
    if path.exists():
        with _ours(path):
            known = dict(json.loads(path.read_text(encoding="utf-8")))
        changed = [key for key, value in manifest.items() if known.get(key) != value]
        if changed:
            key = changed[0]
            raise UsageError(
                f"{out} holds another batch: its {key} is {known.get(key)!r}, not "
                f"{manifest[key]!r}; go on with that, or choose another folder"
            )
        return True
    if out.is_dir() and any(not one.name.startswith(("_", ".")) for one in out.iterdir()):
        raise UsageError(f"{out} holds other files: choose a new folder, or an empty one")
    return False


def _list(manifest: dict[str, Any], inputs: Sequence[str], out: Path, items: int) -> None:
    """Write down the parts, and that they are."""
    with whole(out / PARTS) as draft, draft.open("w", encoding="utf-8") as file:
        for part in plan(inputs, items, out / UNPACKED):
            file.write(json.dumps(part.as_dict()) + "\n")
        file.flush()
        os.fsync(file.fileno())  # or a power cut may leave a manifest beside no parts: all done
    write_json_file(manifest, out / MANIFEST)


def _parts(out: Path) -> Iterator[Part]:
    with (out / PARTS).open(encoding="utf-8") as file:
        for line in file:
            with _ours(out / PARTS):
                part = Part.from_dict(dict(json.loads(line)))
            yield part


@contextmanager
def _ours(path: Path) -> Iterator[None]:
    """Say of a file that we wrote that it is another now.

    Raises:
        UsageError: what is in it makes no sense.
    """
    try:
        yield
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(
            f"{path} is broken ({first_line(error)}): choose another folder, or remove this one "
            "to begin anew"
        ) from error


def _done(out: Path, settings: Settings) -> Iterator[Done]:
    """Yield what is noted as done and still there; a kill may have cut the last line."""
    if not (out / DONE).exists():
        return
    for line in (out / DONE).read_text(encoding="utf-8").splitlines():
        try:
            row = Done(**json.loads(line))
        except (ValueError, TypeError):
            continue
        if (out / file_of(row.number, settings)).exists():
            yield row


def _noted(row: Done) -> str:
    return json.dumps(asdict(row)) + "\n"


def _check_all_there(out: Path, settings: Settings, parts: Iterable[int]) -> None:
    """See that each part has its file: somebody may have taken some away while others were made.

    Raises:
        WriteError: some are gone.
    """
    with writing(out):
        there = {path.name for path in out.iterdir()}
    gone = {file_of(number, settings) for number in parts} - there
    if gone or MANIFEST not in there:
        raise WriteError(
            f"{out}: {len(gone):,} files of rows were taken away while others were made; the same "
            "command makes them again"
        )


def _progress(sizes: dict[int, int], rows: dict[int, Done]) -> Progress:
    return Progress(
        items=sum(sizes.values()),
        done=sum(sizes[number] for number in rows),
        rows=sum(row.rows for row in rows.values()),
        failed=sum(row.failed for row in rows.values()),
        digits=sum(row.digits for row in rows.values()),
    )
