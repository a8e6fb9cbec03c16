"""Pictures in archives: zip and tar. No member's name is ever opened, and links are passed over."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, TypeVar

from digitreader.batch.items import Item, Part
from digitreader.errors import SourceError
from digitreader.sources import MAX_BYTES, SUFFIXES, Failed, Upload, pages_of
from digitreader.writing import whole, writing

UNPACKED: dict[str, Callable[[Path], Any]] = {
    ".gz": gzip.open, ".tgz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open
}  # fmt: skip
BROKEN = (
    OSError, EOFError, RuntimeError, ValueError, NotImplementedError,
    zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, zlib.error,
)  # fmt: skip
LARGER = 100  # times its size that an archive of pictures may unpack to
MARGIN = 1 << 20  # bytes more: a tiny picture is mostly the blank rest of a block
HEADER = 1 << 14  # bytes of a tar's header; it holds a name of 4,096 and little else

T = TypeVar("T")
Cuts = Iterator[dict[str, Any]]  # what tells parts of one input apart, as keywords


def cut_zip(path: Path, items: int, scratch: Path) -> Cuts:
    """Cut by the members' names."""
    del scratch
    with _reading(path), zipfile.ZipFile(path) as archive:
        names = (info.filename for info in archive.infolist() if _is_picture(info.filename))
        for some in _chunks(path, names, items):
            yield {"names": tuple(some)}


def open_zip(part: Part) -> Iterator[Item]:
    """Read members one by one; a broken one costs no other."""
    with _reading(Path(part.path)), zipfile.ZipFile(part.path) as archive:
        for name in part.names:
            shown = f"{part.path}/{name}"
            try:
                with archive.open(name) as member:
                    content = member.read(MAX_BYTES + 1)
            except BROKEN as error:
                yield Failed(shown, 1, f"{shown}: cannot be unpacked ({error})")
            else:
                yield from _member(shown, content)


def cut_tar(path: Path, items: int, scratch: Path) -> Cuts:
    """Cut by where members' bytes are; a compressed archive is unpacked first, once."""
    plain = _plain_of(path, scratch)
    _unpack(path, plain)
    with (
        _reading(path),
        _Headers(io.FileIO(plain)) as file,
        tarfile.open(fileobj=file, mode="r:") as archive,
    ):
        for some in _chunks(path, _members(archive), items):
            yield {
                "names": tuple(f"{path}/{member.name}" for member in some),
                "spans": tuple((member.offset_data, member.size) for member in some),
                "plain": str(plain),
            }


def open_tar(part: Part) -> Iterator[Item]:
    """Read members one by one, from where they are; what was unpacked may have been removed."""
    path, plain = Path(part.path), Path(part.plain)
    if not plain.exists() and _plain_of(path, plain.parent) != plain:
        raise SourceError(f"{path}: has changed since its members were listed")
    _unpack(path, plain)
    with _reading(path), plain.open("rb") as archive:
        for name, (offset, size) in zip(part.names, part.spans, strict=True):
            archive.seek(offset)
            content = archive.read(min(size, MAX_BYTES + 1))
            if len(content) < min(size, MAX_BYTES + 1):
                yield Failed(name, 1, f"{name}: the archive breaks off in it")
            else:
                yield from _member(name, content)


class _Headers(io.BufferedReader):
    """A tar of which only headers are read.

    One may claim any size, and Python makes room for all of it first; and before 3.11.10 it takes
    hours to search one of a megabyte of figures.
    """

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= HEADER:
            raise tarfile.ReadError(f"a header of more than {HEADER} bytes")
        return super().read(size)


def _members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yield the pictures of an archive without keeping them, as it would."""
    reached = -1
    for member in archive:
        archive.members = []  # type: ignore[attr-defined]  # (no stub has it)
        if member.size < 0 or archive.offset <= reached:  # which leads back, and round for ever
            raise tarfile.ReadError("a member that ends before it begins")
        reached = archive.offset
        if member.isreg() and _is_picture(member.name):
            yield member


def _chunks(path: Path, pictures: Iterator[T], items: int) -> Iterator[list[T]]:
    """Give an archive's pictures so many at a time; where it breaks off, first those before.

    Raises:
        SourceError: there is none.
    """
    found, some = False, list[T]()
    try:
        for picture in pictures:
            found = True
            some.append(picture)
            if len(some) == items:
                yield some
                some = []
    except BROKEN:
        if some:
            yield some
        raise
    if some:
        yield some
    if not found:
        known = " ".join(sorted(SUFFIXES))
        raise SourceError(f"{path}: no picture in this archive; looked for {known}")


def _plain_of(path: Path, scratch: Path) -> Path:
    """Where the archive is unpacked: itself, or in a place that only it has, as it is now."""
    if path.suffix.lower() not in UNPACKED:
        return path
    with _reading(path):
        told = path.stat()
    which = f"{path.absolute()} {told.st_size} {told.st_mtime_ns}"
    return scratch / f"{sha256(os.fsencode(which)).hexdigest()[:32]}.tar"


def _unpack(path: Path, plain: Path) -> None:
    """Unpack an archive, unless it is there."""
    if plain == path or plain.exists():
        return
    with writing(plain):
        plain.parent.mkdir(exist_ok=True)  # but not what it is in: that may have gone
    with (
        _reading(path),
        UNPACKED[path.suffix.lower()](path) as packed,
        whole(plain) as draft,
        draft.open("wb") as out,
    ):
        _copy(packed, out, MARGIN + LARGER * path.stat().st_size)


def _copy(packed: IO[bytes], out: IO[bytes], most: int) -> None:
    while chunk := packed.read(1 << 20):
        out.write(chunk)
        if out.tell() > most:
            raise ValueError(f"unpacks to more than {LARGER} times its size, as no pictures do")


def _is_picture(name: str) -> bool:
    """Whether a member's name is a picture's; macOS adds a file `._x.png` to each that is none."""
    path = Path(name)
    return path.suffix.lower() in SUFFIXES and not path.name.startswith("._")


def _member(name: str, content: bytes) -> Iterator[Item]:
    if len(content) > MAX_BYTES:
        yield Failed(name, 1, f"{name}: larger than {MAX_BYTES // 1_000_000} MB")
    else:
        yield from pages_of(Upload(name, content))


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Say of a broken archive that it is one."""
    try:
        yield
    except BROKEN as error:
        raise SourceError(f"{path}: not an archive that can be read ({error})") from error
