"""Files that are whole or not there, whoever is killed; folders in which one works at a time."""

from __future__ import annotations

import errno
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from zlib import crc32

from digitreader.errors import UsageError, WriteError

try:
    import fcntl
except ImportError:  # Windows: two may work in one folder, as before
    fcntl = None  # type: ignore[assignment]

ROOM = "make room, and do the same again"
LEAVE = "choose another place, or get leave to write there"
GONE = "is its folder there still?"
# What keeps a system from writing, and what to do. Other faults are not of the place written to.
HINTS = {
    errno.ENOSPC: ROOM,
    errno.EDQUOT: ROOM,
    errno.EFBIG: ROOM,
    errno.EACCES: LEAVE,
    errno.EPERM: LEAVE,
    errno.EROFS: LEAVE,
    errno.EIO: "is the disk sound?",
    errno.ENOENT: GONE,
    errno.ENOTDIR: "a part of this path is a file",
    errno.ESTALE: GONE,
    errno.EISDIR: "it is a folder",
    errno.EEXIST: "a file stands where a folder should be",
    errno.ENAMETOOLONG: "choose a shorter name",
}
SHOWN = 40  # characters of a file's name in its draft's


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say in one line what keeps a file or a folder from being written.

    Raises:
        WriteError: the disk is full, nobody may write there, the folder is gone, or the like.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in HINTS or not _concerns(error, path):
            raise
        raise WriteError(
            f"{path}: cannot be written ({error.strerror}); {HINTS[error.errno]}"
        ) from error


def _concerns(error: OSError, path: Path) -> bool:
    """Whether an error is not of another file, such as one that is read meanwhile."""
    if not isinstance(error.filename, str):
        return True
    named, place = Path(error.filename).absolute(), path.absolute()
    return named.is_relative_to(place.parent) or place.is_relative_to(named)


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, unless it is there.

    Raises:
        WriteError: it cannot be made.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a draft to write to, called as the file is, which takes its place when it is whole.

    Each writer has a draft of its own, so several may write one file: the last one counts. Where
    something goes wrong the file is as it was. A link stays: the file that it leads to is written.
    A device or a pipe, whose place nothing can take, is given itself.

    Raises:
        WriteError: it cannot be written.
    """
    with writing(path):
        if path.exists() and not path.is_file():
            yield path
            return
        place = Path(os.path.realpath(path)) if path.is_symlink() else path
        with drafts(place) as folder:
            draft = folder / path.name
            yield draft
            draft.replace(place)


@contextmanager
def drafts(path: Path) -> Iterator[Path]:
    """Give an empty folder beside a path for what will lie there; it is removed at the end.

    That of a process that was killed is removed by the next on this machine that writes beside it.

    Raises:
        WriteError: nothing can be written there.
    """
    with writing(path):
        _remove_left(path.parent)
        name = f".{path.name[:SHOWN]}."
        folder = Path(tempfile.mkdtemp(f"-{_machine()}-{os.getpid()}.part", name, path.parent))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@cache
def _remove_left(parent: Path) -> None:
    """Remove the drafts of processes of this machine that are no more; once a folder is enough."""
    for folder in parent.glob(f".*-{_machine()}-*.part"):
        if not _lives(folder.name.removesuffix(".part").rpartition("-")[2]):
            shutil.rmtree(folder, ignore_errors=True)


@cache
def _machine() -> str:
    """Tell this machine from others that write to the same folder."""
    return f"{crc32(platform.node().encode()):08x}"


def _lives(process: str) -> bool:
    if os.name == "nt" or not process.isdecimal():
        return True  # where asking would end it, or what is no draft of ours
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


@contextmanager
def only_one(folder: Path, work: str) -> Iterator[None]:
    """Keep a folder to this process and its work, until that ends in whatever way.

    The system's lock on the folder itself leaves nothing behind. Windows and some network drives
    have none: there nobody is kept out.

    Raises:
        UsageError: another process works there.
    """
    if fcntl is None:
        yield
        return
    with writing(folder):
        handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(
                f"another {work} is at work in {folder}: wait for its end, or choose another folder"
            ) from error
        except OSError:  # the drive has no locks
            pass
        yield
    finally:
        os.close(handle)
