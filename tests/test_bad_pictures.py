"""Whatever a file is, there come readings or errors of one line; in little time and memory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

import bad_reader
from bad_pictures import FAMILIES, Bad

MOST_MEGABYTES = 1000
# One in so many of a family's files is tried each time: at least one of each kind of file. What
# takes a processor for seconds each is left to the whole corpus.
ONE_IN = {
    "cut": 17,
    "bits flipped": 19,
    "another suffix, empty": 7,
    "sizes and noise": 5,
    "names": 1,
    "headers that lie": 3,
    "PDFs that lie": 5,
    "archives": 3,
}


class Reads:
    """A process that reads bad files, and another where one has ended it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def __call__(self, path: Path) -> dict[str, Any]:
        """Say what came of a file."""
        process = self._process = self._process or self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(str(path)) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if line:
            told: dict[str, Any] = json.loads(line)
        else:
            told = {"fault": f"ended with exit code {process.wait()}"}  # -27: too long
        if not line or told["megabytes"] > MOST_MEGABYTES:  # is the most that it ever had
            self.end()
        return told

    @staticmethod
    def _started() -> subprocess.Popen[str]:
        command = [sys.executable, bad_reader.__file__]
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            stderr=subprocess.DEVNULL,  # where libtiff complains
        )  # fmt: skip

    def end(self) -> None:
        if self._process is not None:
            with self._process as process:
                process.kill()
            self._process = None


@contextmanager
def reading() -> Iterator[Reads]:
    reads = Reads()
    try:
        yield reads
    finally:
        reads.end()


def faults(told: dict[str, Any], says: str) -> list[str]:
    """What is wrong about what came of a file, in which no more may be read than it says."""
    if "fault" in told:
        return [told["fault"]]
    wrong = [fault for row in told["rows"] if (fault := fault_of_row(row, says))]
    if told["seconds"] > bad_reader.SECONDS:
        wrong.append(f"{told['seconds']:.1f} s")
    if told["megabytes"] > MOST_MEGABYTES:
        wrong.append(f"{told['megabytes']:.0f} MB")
    return wrong


def fault_of_row(row: dict[str, Any], says: str) -> str | None:
    if row["status"] == "error":
        return None if row["error"] and row["error"].isprintable() else f"it says {row['error']!r}"
    sure = [digit["label"] for digit in row["digits"] if digit["status"] == "ok"]
    made_up = Counter(sure) - Counter(says)
    return f"made up {''.join(made_up.elements())} in {''.join(sure)}" if made_up else None


def tried(files: Iterator[Bad], folder: Path) -> tuple[dict[str, list[str]], str]:
    """Read bad files: what is wrong, by the name of each, and totals."""
    wrong: dict[str, list[str]] = {}
    counts: Counter[str] = Counter()
    seconds = megabytes = 0.0
    with reading() as reads:
        for bad in files:
            path = folder / bad.name
            path.write_bytes(bad.content)
            told = reads(path)
            path.unlink()
            if found := faults(told, bad.says):
                wrong[bad.name] = found
            counts.update(row["status"] for row in told.get("rows", []))
            counts["files"] += 1
            seconds = max(seconds, told.get("seconds", 0))
            megabytes = max(megabytes, told.get("megabytes", 0))
    return wrong, (
        f"{counts['files']} files, {counts['error']} errors, {counts['ok']} sure, "
        f"{counts['unsure']} unsure and {counts['empty']} empty readings, "
        f"{len(wrong)} faults, at most {seconds:.1f} s and {megabytes:.0f} MB"
    )


@pytest.mark.parametrize("family", ONE_IN)
def test_a_sample_of_bad_pictures_breaks_nothing(family: str, tmp_path: Path) -> None:
    wrong, _ = tried(islice(FAMILIES[family](), 0, None, ONE_IN[family]), tmp_path)
    assert wrong == {}


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_no_bad_picture_breaks_anything(family: str, tmp_path: Path) -> None:
    """All of them, which takes a processor ten minutes; -rP shows the totals.

    python -m pytest -m slow -rP tests/test_bad_pictures.py
    """
    wrong, totals = tried(FAMILIES[family](), tmp_path)
    print(f"{family}: {totals}")
    assert wrong == {}
