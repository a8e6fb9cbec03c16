"""Archives and tables of pictures: whole ones, and such as lie, lead elsewhere or never end."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

from bad_claims import File, npy

PACKED: dict[str, Callable[[bytes], bytes]] = {
    "tar.gz": gzip.compress,
    "tar.bz2": bz2.compress,
    "tar.xz": lzma.compress,
}
NAMES = ("../7.png", "/tmp/7.png", "a\n7.png", "a\x1b[31m7.png", "caf\udce9.png", "./././7.png",
         "CON.png", "x" * 5000 + ".png", "C:\\7.png", ".png", " .png")  # fmt: skip
PAX = (b"99 path=../7.png\n", b"20 size=-1\n", b"0 \n", b"9999999999 a=b\n", b"\xff\xff",
       b"18 GNU.sparse.size=1\n", b"30 GNU.sparse.major=1\n", b"25 size=9999999999999999\n",
       )  # fmt: skip
SHAPES = ("(30000, 30000, 1)", "(1000000000000, 1, 1)", "(0, 28, 28)", "()", "(3, 9)", "(-3, 9, 9)",
          "(1, 2, 3, 4, 5)")  # fmt: skip


def whole(png: bytes, stack: NDArray[np.uint8]) -> dict[str, bytes]:
    """Good ones that hold a picture three times, or a stack [N, H, W], by their names."""
    pictures = [(f"{name}.png", png) for name in "abc"]
    table = io.BytesIO()
    parquet.write_table(pa.table({"image": [png] * 3}), table)
    arrays = io.BytesIO()
    np.savez_compressed(arrays, images=stack)
    plain = tar(*(member(name, png) for name, png in pictures))
    return {
        "members.zip": zipped(*pictures),
        "members.tar": plain,
        **{f"members.{suffix}": pack(plain) for suffix, pack in PACKED.items()},
        "images.parquet": table.getvalue(),
        "arrays.npz": arrays.getvalue(),
    }


def zipped(
    *members: tuple[str | zipfile.ZipInfo, bytes], packed: int = zipfile.ZIP_STORED
) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", packed) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return stream.getvalue()


def member(name: str, content: bytes = b"", **header: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in header.items():
        setattr(info, key, value)
    return info, content


def tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    stream = io.BytesIO()
    for info, content in members:
        stream.write(info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape"))
        stream.write(content + bytes(-len(content) % 512))
    return stream.getvalue() + bytes(1024)


def bad(png: bytes) -> Iterator[File]:
    """Archives in which something is wrong, though the rest may be read."""
    for number, name in enumerate(NAMES):
        content = tar(member(name, png), member("fine.png", png))
        yield f"name_{number}.tar", content
        yield f"name_{number}.zip", zipped((name.encode("utf-8", "replace").decode(), png))
    yield from bad_zips(png)
    yield from bad_tars(png)
    yield from bad_arrays()


def bad_zips(png: bytes) -> Iterator[File]:
    link = zipfile.ZipInfo("link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    yield "link.zip", zipped((link, b"/etc/passwd"))
    once = zipped(("7.png", png))
    yield "zip_as_picture.zip", zipped(("7.png", once), ("inner.zip", once), ("fine.png", png))
    yield "twice.zip", zipped(("7.png", png)) + once
    many = io.BytesIO()
    with zipfile.ZipFile(many, "w") as archive:
        for i in range(2000):
            archive.writestr(f"{i}.png", b"")
    yield "empty_members.zip", many.getvalue()
    yield "no_members.zip", zipped()
    entry = once.index(b"PK\x01\x02")
    for number, (at, what) in enumerate(
        ((8, b"\x01\x00"), (10, b"\x63\x00"), (16, b"\0\0\0\0"), (20, b"\xff\xff\xff\x7f"),
         (24, b"\xff\xff\xff\x7f"), (28, b"\xff\xff"), (42, b"\xff\xff\xff\x7f"))
    ):  # fmt: skip
        damaged = once[: entry + at] + what + once[entry + at + len(what) :]
        yield f"entry_{number}.zip", damaged


def bad_tars(png: bytes) -> Iterator[File]:
    fine = member("fine.png", png)
    kinds = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE,
             tarfile.DIRTYPE, tarfile.CONTTYPE, b"Z")  # fmt: skip
    for number, kind in enumerate(kinds):
        other = member("other.png", type=kind, linkname="/dev/zero")
        yield f"kind_{number}.tar", tar(other, fine)
    for size in (2**33, 2**62, -512, -2048, -(2**62)):
        yield f"size_{size}.tar", tar(fine, (member("odd.png", size=size)[0], b""), fine)
        for kind in (
            tarfile.GNUTYPE_LONGNAME,
            tarfile.XHDTYPE,
            tarfile.XGLTYPE,
            tarfile.GNUTYPE_SPARSE,
        ):
            head = member("odd.png", size=size, type=kind)[0]
            yield f"size_{size}_{kind.decode()}.tar", tar(fine, (head, b""), fine)
    for number, text in enumerate(PAX):
        yield f"pax_{number}.tar", tar(member("x", text, type=tarfile.XHDTYPE), fine)
    figures = member("x", b"1" * 100_000, type=tarfile.XHDTYPE)  # Python looks for two words after
    yield "pax_figures.tar", tar(figures, fine)
    long = b"\0" + b"x" * 100_000
    yield "long_name.tar", tar(member("x", long, type=tarfile.GNUTYPE_LONGNAME), fine)
    yield (
        "names_of_names.tar",
        tar(*[member("x", b"y", type=tarfile.GNUTYPE_LONGNAME)] * 3000, fine),
    )


def bad_arrays() -> Iterator[File]:
    for number, shape in enumerate(SHAPES):
        header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}}}"
        yield f"shape_{number}.npz", zipped(("images.npy", npy(header)))
    yield (
        "object.npz",
        zipped(("images.npy", npy("{'descr': '|O', 'fortran_order': False, 'shape': (3,)}"))),
    )
    yield "unnamed.npz", zipped(("other.npy", b""))


def bombs() -> Iterator[File]:
    """Archives of a few megabytes that unpack to gigabytes."""
    zeros = bytes(1 << 30)
    yield "bomb.zip", zipped(("big.png", zeros), packed=zipfile.ZIP_DEFLATED)
    head = struct.pack(">II", 1, 1)
    plain = tar(member("big.png", zeros), member("head.png", head))
    yield "bomb.tar.gz", gzip.compress(plain, 1)
    yield "bomb.tar.bz2", bz2.compress(plain, 1)
    yield "bomb.tar.xz", lzma.compress(plain, preset=0)
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 32000, 33000)}"
    content = npy(header)[:-99] + zeros[: 32_000 * 33_000]
    yield "bomb.npz", zipped(("images.npy", content), packed=zipfile.ZIP_DEFLATED)
