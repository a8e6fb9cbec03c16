"""Data sets, archives and mirrors that are broken or made to do harm: one line, and no harm."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import shutil
import struct
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.lib import format as npy
from PIL import Image

from conftest import EXAMPLES
from digitreader.doors.cli import run
from digitreader.errors import DataError
from digitreader.training import mirrors
from digitreader.training.catalogue import DATASETS, KnownSet
from digitreader.training.datasets import load
from test_hostile_models import Touches

IMAGES = np.zeros((4, 28, 28), np.uint8)
IMAGES[:, 5:20, 10:14] = 200
LABELS = np.arange(4)


def encoded(pixels: Any = IMAGES[0]) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "png")
    return content.getvalue()


def refuse(name: str, message: str) -> None:
    """Expect one line about a dataset of one's own, and no exception but ours."""
    with pytest.raises(DataError, match=message) as caught:
        load(name)
    assert str(caught.value).isprintable()
    assert name.partition(":")[2] in str(caught.value)


# --- arrays -------------------------------------------------------------------------------------


def array(shape: tuple[int, ...], kind: str = "|u1", body: bytes = b"") -> bytes:
    """An array as NumPy writes it, with a header that may promise anything."""
    content = io.BytesIO()
    head = {"descr": kind, "fortran_order": False, "shape": shape}
    npy.write_array_header_1_0(content, head)
    return content.getvalue() + body


def with_head(head: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode()


ARRAYS: dict[str, tuple[dict[str, Any], str]] = {
    "a trillion images": ({"X": array((10**12, 28, 28))}, "not an npz file"),
    "more than a number holds": ({"X": array((10**40, 28, 28))}, "not an npz file"),
    "fewer than none": ({"X": array((-4, 28, 28))}, "not an npz file"),
    "no array": ({"X": b"hello"}, "X is no array"),
    "code in a header": ({"X": with_head("__import__('os').system('touch ran')\n")}, "malformed"),
    "half a header": ({"X": with_head("{'descr': (((\n")}, "not an npz file"),
    "pickled images": ({"X": np.array([Touches(Path("ran"))] * 4)}, "allow_pickle=False"),
    "pickled labels": ({"y": np.array([Touches(Path("ran"))] * 4)}, "allow_pickle=False"),
    "no pixels": ({"X": np.zeros((4, 0, 0))}, "array X: expected"),
    "one number": ({"X": np.uint8(3)}, "array y: expected a label for each"),
    "labels that are times": ({"y": LABELS.astype("M8[s]")}, "expected names or numbers"),
    "labels of parts": ({"y": np.zeros(4, [("a", "i4")])}, "expected names or numbers"),
    "labels with commands": ({"y": np.array(["\x1b[31m"] * 4)}, "printable"),
    "labels without a letter": ({"y": np.array([""] * 4)}, "printable"),
    "overlong labels": ({"y": np.array(["x" * 10**5] * 4)}, "printable"),
}  # fmt: skip


@pytest.mark.parametrize("case", ARRAYS)
def test_an_npz_file_made_to_do_harm_is_refused(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    changed, message = ARRAYS[case]
    with zipfile.ZipFile("bad.npz", "w") as archive:
        held: dict[str, Any] = {"X": IMAGES, "y": LABELS} | changed
        for name, value in held.items():
            content = io.BytesIO()
            if not isinstance(value, bytes):
                np.save(content, value)
            archive.writestr(f"{name}.npy", content.getvalue() or value)
    refuse("npz:bad.npz", message)
    assert [file.name for file in tmp_path.iterdir()] == ["bad.npz"]


def test_of_an_npz_file_only_what_is_wanted_is_read(tmp_path: Path) -> None:
    path = tmp_path / "more.npz"
    np.savez(path, X=IMAGES, y=LABELS, other=np.array([Touches(tmp_path / "ran")]))
    assert len(load(f"npz:{path}").train) == 4
    assert not (tmp_path / "ran").exists()


# --- tables -------------------------------------------------------------------------------------

HEADER = "label," + ",".join(f"pixel{i}" for i in range(784))
ROW = "3" + ",0" * 784
ROWS: dict[str, tuple[str | bytes, str]] = {
    "too narrow": ("3,0,0", "row 1: expected 784 pixels, got 2"),
    "too wide": (ROW + ",0", "row 1: expected 784 pixels, got 785"),
    "below zero": (ROW[:-1] + "-1", "row 1: expected whole numbers 0–255"),
    "too bright": (ROW[:-1] + "256", "row 1: expected whole numbers 0–255"),
    "no number": (ROW[:-1] + "1e2", "row 1: expected whole numbers 0–255"),
    "a zero byte": (ROW[:-1] + "\0", "row 1: expected whole numbers 0–255"),
    "no row": ("", "expected rows"),
    "a label with commands": ("\x1b]0;x\x07" + ROW, "printable"),
    "no label": (ROW[1:], "printable"),
    "a line without end": (b"3" * 5_000_000, "expected 784 pixels"),
}


@pytest.mark.parametrize("case", ROWS)
def test_a_csv_file_made_to_do_harm_is_refused(case: str, tmp_path: Path) -> None:
    row, message = ROWS[case]
    path = tmp_path / "bad.csv"
    path.write_bytes(HEADER.encode() + b"\n" + (row.encode() if isinstance(row, str) else row))
    refuse(f"csv:{path}", message)


def test_a_csv_file_of_anything_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(np.random.default_rng(0).bytes(100_000))
    refuse(f"csv:{path}", "expected a header")


SCHEMAS = {
    "no JSON": b"{", "no text": b"\xff", "a list": b"[1]", "depth": b"[" * 100_000,
    "a number": b'{"info": 5}',
    "names that are none": b'{"info": {"features": {"label": {"names": 5}}}}',
}  # fmt: skip
COLUMNS: dict[str, tuple[dict[str, list[Any]], str]] = {
    "no picture": ({"image": [None]}, "row 0: expected an encoded picture"),
    "half a picture": ({"image": [encoded()[:40]]}, "row 0: expected one picture"),
    "a path": ({"image": [{"bytes": None, "path": "/etc/passwd"}]}, "row 0: expected an encoded"),
    "no label": ({"label": [None]}, "row 0: expected a label"),
    "a list of labels": ({"label": [[1]]}, "row 0: expected a label"),
    "no row": ({"image": [], "label": []}, "expected rows"),
}


@pytest.mark.parametrize("case", [*SCHEMAS, *COLUMNS])
def test_a_parquet_file_made_to_do_harm_is_refused(case: str, tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns, message = COLUMNS.get(case, ({}, "not a Parquet file with image and label"))
    table = pa.table({"image": [encoded()], "label": [1]} | columns)
    if case in SCHEMAS:
        table = table.replace_schema_metadata({"huggingface": SCHEMAS[case]})
    parquet.write_table(table, tmp_path / "bad.parquet")
    refuse(f"parquet:{tmp_path / 'bad.parquet'}", message)


def test_a_broken_parquet_file_is_refused(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "bad.parquet"
    parquet.write_table(pa.table({"image": [encoded()], "label": [1]}), path)
    whole = path.read_bytes()
    for content in (
        whole[: len(whole) // 2],
        whole[:-12] + b"\xff\xff\xff\x7fPAR1",
        b"PAR1" + bytes(50) + b"PAR1",
        pickle.dumps(Touches(tmp_path / "ran")),
    ):
        path.write_bytes(content)
        refuse(f"parquet:{path}", "not a Parquet file with image and label")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("count", [0, 10_000_001, 2**32 - 1])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_files_that_promise_too_much_or_nothing_are_refused(
    suffix: str, count: int, tmp_path: Path
) -> None:
    contents = (
        struct.pack(">4I", 2051, count, 28, 28) + bytes(1000), struct.pack(">2I", 2049, count)
    )  # fmt: skip
    for part in ("train", "t10k"):
        for what, content in zip(("images-idx3", "labels-idx1"), contents, strict=True):
            data = gzip.compress(content) if suffix else content
            (tmp_path / f"{part}-{what}-ubyte{suffix}").write_bytes(data)
    refuse(f"idx:{tmp_path}", f"the header says {count}×28×28")


# --- names --------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are text")
@pytest.mark.parametrize("name", [b"\x1b[31m", b"a\nb", b"\xff\xfe", b"x" * 200])
def test_folders_whose_names_cannot_be_printed_are_no_classes(name: bytes, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(name)
    folder.mkdir()
    (folder / "a.png").write_bytes(encoded())
    refuse(f"folder:{tmp_path}", "printable")


def test_what_only_looks_like_a_picture_is_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "3"
    folder.mkdir()
    (folder / "good.png").write_bytes(encoded())
    (folder / "file.png").symlink_to("/etc/passwd")
    (folder / "endless.png").symlink_to("/dev/zero")
    (folder / "itself.png").symlink_to("itself.png")
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "waiting.png")
    assert len(load(f"folder:{tmp_path}").train) == 1
    assert "file.png: not a picture" in caplog.text


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are text")
@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv", "parquet"])
def test_names_that_are_no_text_are_written_as_escapes(form: str, tmp_path: Path) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow")
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    shutil.copy(EXAMPLES / "felt_pen.png", pictures / os.fsdecode(b"\xff.png"))
    (pictures / os.fsdecode(b"\xfe.png")).write_bytes(b"none")
    out = tmp_path / "out"
    assert run(["read", str(pictures), "--format", form, "-o", str(out), "-q"]) == 1
    assert b"udcff.png" in out.read_bytes()
    if form not in {"table", "json"}:
        rows = tmp_path / "rows"
        assert (
            run(["batch", str(pictures), "-o", str(rows), "--format", form, "--workers", "1"]) == 1
        )
        assert any(b"udcff.png" in file.read_bytes() for file in rows.glob("part*"))


def test_a_folder_that_cannot_be_read_is_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "closed", "z"):
        (tmp_path / "in" / name).mkdir(parents=True)
        shutil.copy(EXAMPLES / "felt_pen.png", tmp_path / "in" / name / "7.png")
    real = os.scandir

    def scandir(path: Any = ".") -> Any:
        if str(path).endswith("closed"):  # permissions would not keep root out
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert run(["read", str(tmp_path / "in"), "--format", "jsonl"]) == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["status"], row["text"]) for row in rows] == [("ok", "7")] * 2 + [("error", "")]
    assert rows[-1]["error"].endswith("closed: cannot be read (Permission denied)")
    assert (
        run(["batch", str(tmp_path / "in"), "-o", str(tmp_path / "rows"), "--format", "jsonl"]) == 1
    )
    written = "".join(file.read_text() for file in sorted((tmp_path / "rows").glob("part*")))
    assert len(written.splitlines()) == 3
    assert "closed: cannot be read" in written


# --- many pictures ------------------------------------------------------------------------------


def zipped(**members: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return content.getvalue()


def tarred(*members: tuple[str, bytes, str]) -> bytes:
    """An archive of files and of links: name, type, and what it holds or where it leads."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, kind, held in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, held
            member.size = len(encoded()) if kind == tarfile.REGTYPE else 0
            archive.addfile(member, io.BytesIO(encoded()))
    return content.getvalue()


def figures(count: int) -> bytes:
    """A header in which Python before 3.11.10 would look for hours for two words."""
    member = tarfile.TarInfo("x")
    member.size, member.type = count, tarfile.XHDTYPE
    return member.tobuf(format=tarfile.GNU_FORMAT) + b"1" * (count + -count % 512)


def holes() -> bytes:
    """A file with holes, before which it ends, behind one that is none."""
    return tarred(("7.png", tarfile.REGTYPE, ""))[:1024] + claiming(-512, tarfile.GNUTYPE_SPARSE)


def claiming(size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    member = tarfile.TarInfo("7.png")
    member.size, member.type = size, kind
    return member.tobuf(format=tarfile.GNU_FORMAT) + encoded()


# What a file holds, and the errors its rows tell; "" is a row that was read.
MANY: dict[str, tuple[str, bytes, list[str]]] = {
    "a trillion": ("a.npy", array((10**12, 28, 28)), ["promises more than is in it"]),
    "more than a number": ("a.npy", array((10**40, 28, 28)), ["promises more than is in it"]),
    "less than nothing": ("a.npy", array((-1, -1, 28)), ["expected uint8"]),
    "too wide": ("a.npy", array((1, 10**5, 10**5)), ["more than 100 million pixels"]),
    "half a header": ("a.npy", with_head("{'descr': (((\n"), ["not an array that can be read"]),
    "a pickle": ("a.npy", pickle.dumps(Touches(Path("ran"))), ["not an array that can be read"]),
    "objects": ("a.npy", array((3,), "|O", pickle.dumps(Touches(Path("ran")))), ["expected uint8"]),
    "a trillion, packed": ("a.npz", zipped(**{"x.npy": array((10**12, 784))}), ["promises more"]),
    "a bomb": ("a.zip", zipped(**{"7.png": bytes(101_000_000)}), ["larger than 100 MB"]),
    "ways out": ("a.zip", zipped(**{"../../out.png": encoded(), "/out.png": encoded()}), ["", ""]),
    "half an archive": ("a.zip", zipped(**{"7.png": encoded()})[:-30], ["not an archive"]),
    "links": (
        "a.tar",
        tarred(("a.png", tarfile.SYMTYPE, "/etc/passwd"), ("b.png", tarfile.LNKTYPE, "/etc/passwd"),
               ("c.png", tarfile.CHRTYPE, ""), ("../../out.png", tarfile.REGTYPE, "")),
        [""],
    ),
    "a member below nothing": ("a.tar", claiming(-512), ["ends before it begins"]),
    "one in holes": ("a.tar", holes(), ["", "ends before it begins"]),
    "a huge name": ("a.tar", claiming(2**62, tarfile.GNUTYPE_LONGNAME), ["a header of more than"]),
    "a huge header": ("a.tar", claiming(2**62, tarfile.XHDTYPE), ["a header of more than"]),
    "a header of figures": ("a.tar", figures(100_000), ["a header of more than"]),
    "a huge member": ("a.tar", claiming(10**13), ["breaks off in it", "not an archive that can"]),
    "a large bomb": ("a.tar.gz", gzip.compress(bytes(30_000_000)), ["more than 100 times"]),
    "half a bomb": ("a.tar.gz", gzip.compress(bytes(30_000_000))[:999], ["not an archive"]),
}  # fmt: skip


@pytest.mark.parametrize("case", MANY)
def test_a_file_of_many_pictures_made_to_do_harm_is_rows_with_errors(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from digitreader.batch import plan
    from digitreader.sources import Failed

    folder = tmp_path / "deep" / "er"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    name, content, expected = MANY[case]
    Path(name).write_bytes(content)
    parts = list(plan.plan([name], 5000, folder / "scratch"))
    items = [item for part in parts for item in plan.items_of(part)]
    told = [item.why if isinstance(item, Failed) else "" for item in items]
    assert len(told) == len(expected)
    assert all(want in why for want, why in zip(expected, told, strict=True))
    left = [file.name for file in tmp_path.rglob("*") if file.is_file()]
    assert [file for file in left if not file.startswith(name)] == []


# --- mirrors ------------------------------------------------------------------------------------

COUNT = 30
FILE = mirrors.IdxFile("images", mirrors.IMAGES_MAGIC, (COUNT,))
GOOD = struct.pack(">4I", mirrors.IMAGES_MAGIC, COUNT, 28, 28) + bytes(COUNT * 784)


def endless(to: Any) -> None:
    to.send_response(200)
    to.end_headers()
    while True:
        to.wfile.write(bytes(1 << 16))


def endless_chunks(to: Any) -> None:
    to.send_response(200)
    to.send_header("Transfer-Encoding", "chunked")
    to.end_headers()
    while True:
        to.wfile.write(b"10000\r\n" + bytes(1 << 16) + b"\r\n")


def says(content: bytes, status: int = 200, **headers: str) -> Callable[[Any], None]:
    def answer(to: Any) -> None:
        to.send_response(status)
        for name, value in headers.items():
            to.send_header(name.replace("_", "-"), value)
        to.end_headers()
        to.wfile.write(content)

    return answer


def speaks(content: bytes) -> Callable[[Any], None]:
    """Answer with these bytes, which may be no HTTP at all."""
    return lambda to: to.wfile.write(content)


MIRRORS: dict[str, tuple[Callable[[Any], None], str]] = {
    "without end": (endless, "larger than"),
    "chunks without end": (endless_chunks, "larger than"),
    "half a file": (says(gzip.compress(GOOD)[:-20]), "truncated or damaged gzip"),
    "less than it says": (
        says(gzip.compress(GOOD), Content_Length="9999"),
        "broke off|IncompleteR",
    ),
    "a chunk cut": (says(b"ff\r\nabc", Transfer_Encoding="chunked"), "IncompleteRead|expected"),
    "a bomb": (says(gzip.compress(GOOD + bytes(50_000_000))), "got more"),
    "another file": (says(gzip.compress(GOOD[:-784])), "expected 23,520 bytes"),
    "a web page": (says(b"<html>log in", Content_Type="text/html"), "expected images"),
    "a circle": (says(b"", 302, Location="/images.gz"), "infinite loop"),
    "to http": (says(b"", 302, Location="http://example.invalid/images.gz"), "only https"),
    "to a file": (says(b"", 302, Location="file:///etc/passwd"), "file:///etc/passwd"),
    "to nowhere": (says(b"", 302, Location="http://["), "Invalid|IPv6"),
    "no HTTP": (speaks(b"\x1b[31mhello\r\n\r\n"), r"hello"),
    "no answer": (speaks(b""), "closed connection|reset"),
}


class Mirror(ThreadingHTTPServer):
    """Answers every question alike."""

    answer: Callable[[Any], None]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: Any) -> None:
        """The other side has hung up, as it should."""


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.answer(self)

        def log_message(self, *_: Any) -> None:
            """Nothing on stderr."""

    monkeypatch.setenv("no_proxy", "*")
    with Mirror(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("case", MIRRORS)
def test_a_mirror_that_does_harm_leaves_nothing(case: str, mirror: Mirror, tmp_path: Path) -> None:
    mirror.answer, message = MIRRORS[case]
    known = mirrors.IdxSet((FILE,) * 4, ("x",), (mirror.url,))
    with pytest.raises(DataError, match=message) as caught:
        mirrors.download(known, tmp_path)
    assert str(caught.value).isprintable()
    assert list(tmp_path.iterdir()) == []


def test_such_a_mirror_that_does_none_is_taken(mirror: Mirror, tmp_path: Path) -> None:
    """Or the test above would prove nothing."""
    mirror.answer = says(gzip.compress(GOOD), Content_Type="text/html")  # content counts
    mirrors.download(mirrors.IdxSet((FILE,) * 4, ("x",), (mirror.url,)), tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["images.gz"]


def test_the_command_says_so_in_a_line(
    mirror: Mirror,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    mirror.answer = endless
    idx = mirrors.IdxSet((FILE,) * 4, ("x",), (mirror.url,))
    monkeypatch.setitem(DATASETS, "bad", KnownSet("Bad", ("0",), (COUNT, COUNT), "none", "x", idx))
    assert run(["data", "download", "bad", "--data-dir", str(tmp_path)]) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Error: bad is not on this machine")
    assert "larger than" in line
