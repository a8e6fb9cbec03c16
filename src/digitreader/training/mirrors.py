"""Dataset files in MNIST's IDX form: find them here, fetch them from a mirror, check, read.

A file is trusted by what is in it: its magic number, its sizes, its length and, where the
checksum is known, its MD5. Nothing gets its final name before all of that has been checked.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import logging
import math
import os
import struct
import sys
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from digitreader.errors import DataError, first_line
from digitreader.writing import make_folder, whole

Stream = IO[bytes] | gzip.GzipFile
log = logging.getLogger(__name__)

IMAGE_SIDE = 28
DATA_VARIABLE = "DIGITREADER_DATA"
MOST_IMAGES = 10_000_000  # of a file, whatever its header promises; EMNIST has 814,255
TIMEOUT_SECONDS = 30
CHUNK_BYTES = 1 << 16
# Two zero bytes, 8 for "unsigned byte", then the number of axes.
IMAGES_MAGIC, LABELS_MAGIC = 0x0803, 0x0801
MAGIC_NAMES = {IMAGES_MAGIC: "images", LABELS_MAGIC: "labels"}
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True)
class IdxFile:
    """One file of a dataset, and what is known about it.

    `counts` are the numbers of items that releases of the dataset have held, none where any will
    do. `md5` is of the decompressed content and is checked whenever the file is read; `gz_md5` is
    of the mirror's compressed file and can be checked only on download. None: not known for
    certain, so magic number, sizes and length have to do.
    """

    name: str
    magic: int
    counts: tuple[int, ...]
    md5: str | None = None
    gz_md5: str | None = None


@dataclass(frozen=True)
class IdxSet:
    """Train images, train labels, test images, test labels; where they lie and come from.

    `folders` are tried in turn below each data folder; downloads go to the first. A set without
    `mirrors` can only be found here.
    """

    files: tuple[IdxFile, IdxFile, IdxFile, IdxFile]
    folders: tuple[str, ...]
    mirrors: tuple[str, ...] = ()


# ---------------------------------------------------------------- finding


def user_cache() -> Path:
    """The folder in which this user's programs keep what can be fetched again."""
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg) / "digitreader"
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "digitreader"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "digitreader"
    return Path.home() / ".cache" / "digitreader"


def data_folders(data_dir: Path | None = None) -> list[Path]:
    """Where data is looked for, first to last: the folder asked for, the variable's, the cache."""
    named = os.environ.get(DATA_VARIABLE)
    candidates = [data_dir, Path(named) if named else None, user_cache()]
    return list(dict.fromkeys(folder.expanduser() for folder in candidates if folder is not None))


def places(known: IdxSet, bases: list[Path]) -> list[Path]:
    """Every folder that may hold the files, in the order they are tried."""
    below = [base / folder for base in bases for folder in known.folders]
    return below + [base for base in bases if base.name == known.folders[0]]


def find(known: IdxSet, bases: list[Path]) -> Path | None:
    """The first folder that holds all four files, plain or .gz; None where none does."""
    for place in places(known, bases):
        if all(_present(place, file.name) for file in known.files):
            return place
    return None


def _present(folder: Path, name: str) -> Path | None:
    """The file, plain before compressed."""
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    return None


# ---------------------------------------------------------------- reading


def read(known: IdxSet, folder: Path) -> list[NDArray[np.uint8]]:
    """Train images [N, 28, 28], train labels [N], test images, test labels; all checked.

    Raises DataError, naming the file, where one is missing or not what its name says, and
    where images and labels differ in number.
    """
    paths = [_required(folder, file) for file in known.files]
    arrays = [read_idx(path, file) for path, file in zip(paths, known.files, strict=True)]
    for images, labels in ((0, 1), (2, 3)):
        if len(arrays[images]) != len(arrays[labels]):
            raise DataError(
                f"{paths[labels]}: expected {len(arrays[images]):,} labels, one for each image in "
                f"{paths[images].name}, got {len(arrays[labels]):,}"
            )
    return arrays


def _required(folder: Path, file: IdxFile) -> Path:
    path = _present(folder, file.name)
    if path is None:
        raise DataError(f"{folder}: expected {file.name} or {file.name}.gz, found neither")
    return path


def read_idx(path: Path, file: IdxFile) -> NDArray[np.uint8]:
    """The array in one IDX file, plain or gzip by content: uint8 [N, 28, 28] or [N].

    Reads no more than the header promises, so that a hostile file cannot fill the memory.
    Raises DataError naming the file, what was expected and what came.
    """
    try:
        with path.open("rb") as raw:
            compressed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if compressed:
                with gzip.GzipFile(fileobj=raw) as unpacked:
                    return _read_array(unpacked, path, file)
            return _read_array(raw, path, file)
    except MemoryError as error:
        raise DataError(f"{path}: its header promises more than the memory holds") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: truncated or damaged gzip data ({error})") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error


def _read_array(stream: Stream, path: Path, file: IdxFile) -> NDArray[np.uint8]:
    header, shape = _read_header(stream, path, file)
    size = math.prod(shape)
    body = stream.read(size + 1)
    if len(body) != size:
        came = f"{len(body):,} bytes: truncated" if len(body) < size else "more"
        raise DataError(f"{path}: expected {size:,} bytes of data after the header, got {came}")
    if file.md5 is not None:
        _check_md5(hashlib.md5(header + body, usedforsecurity=False).hexdigest(), file.md5, path)
    return np.frombuffer(body, np.uint8).reshape(shape)


def _read_header(stream: Stream, path: Path, file: IdxFile) -> tuple[bytes, tuple[int, ...]]:
    start = stream.read(4)
    magic = int.from_bytes(start, "big")
    expected = MAGIC_NAMES[file.magic]
    if len(start) < 4 or magic != file.magic:
        came = MAGIC_NAMES.get(magic) if len(start) == 4 else None
        raise DataError(
            f"{path}: expected {expected} (IDX magic 0x{file.magic:08x}), got "
            + (f"{came} (0x{magic:08x})" if came else f"0x{start.hex() or '(nothing)'}")
        )
    axes = file.magic & 0xFF
    sizes = stream.read(4 * axes)
    if len(sizes) < 4 * axes:
        raise DataError(f"{path}: truncated inside the header")
    shape = struct.unpack(f">{axes}I", sizes)
    counted = shape[0] in file.counts if file.counts else 0 < shape[0] <= MOST_IMAGES
    if not counted or shape[1:] != (IMAGE_SIDE, IMAGE_SIDE)[: axes - 1]:
        raise DataError(
            f"{path}: expected {_or(file.counts)} {expected}"
            + (f" of {IMAGE_SIDE}×{IMAGE_SIDE}" if axes > 1 else "")
            + f", the header says {'×'.join(map(str, shape))}"
        )
    return start + sizes, shape


def _or(counts: tuple[int, ...]) -> str:
    return " or ".join(f"{count:,}" for count in counts) or f"up to {MOST_IMAGES:,}"


def _check_md5(came: str, expected: str, path: Path) -> None:
    if came != expected:
        raise DataError(
            f"{path}: not the file its name says: expected MD5 {expected}, got {came}; "
            "delete it and download it again"
        )


# ---------------------------------------------------------------- downloading


def download(known: IdxSet, folder: Path, mirrors: tuple[str, ...] | None = None) -> list[Path]:
    """Fetch the files that are missing in `folder`; return the paths of the new ones.

    Mirrors are tried in order for each file. A file arrives under a temporary name in the same
    folder, is checked, then renamed, so that whatever has the final name is whole. Raises
    DataError in one line when no mirror gives a good copy, WriteError when the folder takes none.
    """
    mirrors = known.mirrors if mirrors is None else mirrors
    make_folder(folder)
    missing = [file for file in known.files if not _present(folder, file.name)]
    return [_fetch(file, folder, mirrors) for file in missing]


def _fetch(file: IdxFile, folder: Path, mirrors: tuple[str, ...]) -> Path:
    failures: list[str] = []
    for mirror in mirrors:
        try:
            path = _fetch_from(mirror.rstrip("/") + f"/{file.name}.gz", file, folder)
        except (OSError, ValueError, http.client.HTTPException, DataError) as error:
            # A plain URLError only wraps what went wrong; one with an answer names its number, too.
            why = first_line(error.reason if type(error) is urllib.error.URLError else error)
            failures.append(f"{urlsplit(mirror).netloc}: {why}")
        else:
            for failure in failures:
                log.warning("%s.gz: the next mirror was used, %s", file.name, failure)
            return path
    raise DataError(f"{file.name}.gz could not be downloaded ({'; '.join(failures)})")


def _fetch_from(url: str, file: IdxFile, folder: Path) -> Path:
    """Download to a draft, check it, give it its name; leave nothing else behind."""
    final = folder / f"{file.name}.gz"
    with whole(final) as part:
        with part.open("wb") as out:
            came = _transfer(url, out, limit=_most_bytes(file))
        try:
            if file.gz_md5 is not None:
                _check_md5(came, file.gz_md5, part)
            read_idx(part, file)
        except DataError as error:
            part.stat()  # it cannot be read where its folder was taken away
            raise DataError(str(error).replace(str(part), final.name)) from error
    return final


def _most_bytes(file: IdxFile) -> int:
    """No good gzip file is larger than this: its content stored uncompressed, with a margin."""
    item = IMAGE_SIDE * IMAGE_SIDE if file.magic == IMAGES_MAGIC else 1
    return max(file.counts) * item * 11 // 10 + CHUNK_BYTES


def _transfer(url: str, out: IO[bytes], limit: int) -> str:
    """Copy what the address gives; return the MD5 of it in hexadecimal."""
    digest = hashlib.md5(usedforsecurity=False)
    _require_safe(url)
    opener = urllib.request.build_opener(_SafeRedirects)
    request = urllib.request.Request(url, headers={"User-Agent": "digitreader"})
    with opener.open(request, timeout=TIMEOUT_SECONDS) as response:
        total = response.headers.get("Content-Length")
        total = int(total) if total and total.isdigit() else None
        came = 0
        with _progress(Path(urlsplit(url).path).name, total) as advance:
            while chunk := response.read(CHUNK_BYTES):
                came += len(chunk)
                if came > limit:
                    raise DataError(f"{url}: larger than the {limit:,} bytes it can have at most")
                out.write(chunk)
                digest.update(chunk)
                advance(len(chunk))
    if total is not None and came != total:
        raise DataError(f"{url}: transfer broke off after {came:,} of {total:,} bytes")
    return digest.hexdigest()


@contextmanager
def _progress(label: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on stderr, only where somebody sees it."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(
        *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(label, total=total)
        yield lambda count: bar.advance(task, count)


def _require_safe(url: str) -> None:
    """Https, or plain http that never leaves this machine."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise DataError(f"{url}: only https addresses are downloaded from")


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never from https to http."""

    def redirect_request(  # noqa: PLR0913, PLR0917 (the base class's signature)
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        _require_safe(newurl)
        if req.type == "https" and not newurl.startswith("https:"):
            raise DataError(f"{req.full_url}: redirects to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)
