"""Commands that are killed at random moments and run again, until they are done.

Importing TensorFlow takes seconds, so commands run in forks of a process that has imported it and
done nothing with it: `python killing.py CODE` executes the code, and then runs the command of each
line of its input.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LONGEST = 0.05  # s at most from a change in the folder to the kill
LOOK = 0.001  # s between two looks at it

State = dict[str, tuple[int, int]]


@dataclass(frozen=True)
class Forks:
    """A process that runs commands in forks of itself, one at a time; they write to a log."""

    process: subprocess.Popen[str]
    log: Path

    def start(self, command: Sequence[str]) -> int:
        """Start a command; return its process's number."""
        assert self.process.stdin is not None
        print(json.dumps([list(command), str(self.log)]), file=self.process.stdin, flush=True)
        process = int(self._said())
        assert process > 1, "0 would be all of ours"
        return process

    def end(self) -> int:
        """Wait for the command's end; return its exit code, that of a signal as -9."""
        return int(self._said())

    def run(self, command: Sequence[str]) -> int:
        """Run a command to its end."""
        self.start(command)
        return self.end()

    def _said(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the process that forks has ended; {self.log} may say why"
        return line


@contextmanager
def forks(folder: Path, code: str) -> Iterator[Forks]:
    """Start a process that has executed this code, and forks."""
    command = [sys.executable, __file__, code]
    environment = os.environ | {"no_proxy": "*"}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Forks(process, folder / "log.txt")


@dataclass(frozen=True)
class Case:
    """A command to kill."""

    command: Callable[[Path], Sequence[str]]  # that works in a folder
    check: Callable[[Path], None]  # of the folder, after a kill
    compare: Callable[[Path], None]  # of the folder with an unbroken run's, at the end
    most: int  # changes of the folder before a kill


@dataclass
class Tally:
    """What came of killing a command."""

    kills: int = 0
    ends: int = 0  # runs that came to their end, after some kills or none


def killed(forks: Forks, case: Case, folders: Iterator[Path], kills: int) -> Tally:
    """Kill a command so often, each time after some changes of its folder, and check that.

    What is killed is run again on the same folder until it is done, which is compared; then
    another is begun.
    """
    tally, rng = Tally(), random.Random(kills)
    folder = next(folders)
    while tally.kills < kills:
        code = _killed(forks, case, folder, rng)
        if code == -signal.SIGKILL:
            tally.kills += 1
            files = sum(path.is_file() for path in folder.rglob("*"))
            print(f"kill {tally.kills} of {kills}, in {folder.name}, {files} files", flush=True)
            case.check(folder)
        else:
            _compare(forks, case, folder, code, tally)
            folder = next(folders)
    _compare(forks, case, folder, forks.run(case.command(folder)), tally)
    return tally


def _compare(forks: Forks, case: Case, folder: Path, code: int, tally: Tally) -> None:
    assert code == 0, forks.log.read_text()
    case.compare(folder)
    tally.ends += 1


def _killed(forks: Forks, case: Case, folder: Path, rng: random.Random) -> int:
    """Kill a command some time after some changes of its folder; return how it ended."""
    changes, late = rng.randint(1, case.most), rng.random() * LONGEST
    before = _state(folder)
    process = forks.start(case.command(folder))
    while changes and _lives(process):
        time.sleep(LOOK)
        now = _state(folder)
        changes -= now != before
        before = now
    time.sleep(late)
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
    code = forks.end()
    await_end(process)
    return code


def await_end(session: int) -> None:
    """Wait until no process of a session is left: they find that the first is gone."""
    for _ in range(6000):
        try:
            os.killpg(session, 0)
        except ProcessLookupError:
            return
        time.sleep(0.01)
    raise AssertionError("processes outlive the one that was killed")


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def _state(folder: Path) -> State:
    """What lies below a folder: names, sizes, times of the last change."""
    found: State = {}
    for place, _, names in os.walk(folder):
        for path in (Path(place), *(Path(place) / name for name in names)):
            with suppress(OSError):  # it has gone meanwhile
                told = path.lstat()
                found[str(path)] = (told.st_size, told.st_mtime_ns)
    return found


def _fork(command: Sequence[str], log: str) -> Any:
    """Run a command in a fork; yield its number, and then its exit code."""
    from digitreader.doors.cli import run

    process = os.fork()
    if process == 0:
        code = 70
        try:
            os.setsid()
            out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(out, 1)
            os.dup2(out, 2)
            code = run(list(command))
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    yield process
    yield os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


if __name__ == "__main__":
    exec(sys.argv[1], {})
    for line in sys.stdin:
        for number in _fork(*json.loads(line)):
            print(number, flush=True)
