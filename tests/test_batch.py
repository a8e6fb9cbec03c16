"""A batch reads whatever holds pictures, each once, and goes on where it was killed."""

from __future__ import annotations

import csv
import io
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from digitreader import arrow
from digitreader.batch import engines
from digitreader.batch.items import Glyphs, Part
from digitreader.batch.plan import items_of, plan
from digitreader.batch.work import Done, Settings
from digitreader.doors.cli import run
from digitreader.errors import MissingExtraError
from digitreader.pixel_csv import places
from digitreader.reader import Reader
from digitreader.sources import Failed, Page, pages_of

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
dataset = pytest.importorskip("pyarrow.dataset")

import bad_archives  # noqa: E402

N = 23
Pictures = NDArray[np.uint8]


@pytest.fixture(scope="module")
def pictures(optdigits: Any) -> Pictures:
    some: Pictures = optdigits[0][:N]
    return some


@pytest.fixture(scope="module")
def encoded(pictures: Pictures) -> list[bytes]:
    return [_png(picture) for picture in pictures]


@pytest.fixture(scope="module")
def inputs(
    pictures: Pictures, encoded: list[bytes], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The same pictures in everything that holds pictures."""
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "png" / "below").mkdir(parents=True)
    for i, content in enumerate(encoded):
        (folder / "png" / ("below" if i > N // 2 else "") / f"{i:03}.png").write_bytes(content)
    flat = pictures.reshape(N, 784)
    _write_csv(folder / "rows.csv", flat)
    structs = [{"bytes": content, "path": None} for content in encoded]
    parquet.write_table(pa.table({"image": structs}), folder / "encoded.parquet", row_group_size=9)
    parquet.write_table(pa.table({"pixels": list(flat)}), folder / "pixels.parquet")
    np.save(folder / "stack.npy", pictures)
    np.savez_compressed(folder / "arrays.npz", x_test=flat, y_test=np.zeros(N))
    with zipfile.ZipFile(folder / "members.zip", "w") as archive:
        for i, content in enumerate(encoded):
            archive.writestr(f"../{i}.png", content)
        archive.writestr("readme.txt", "not a picture")
    for name, mode in (
        ("members.tar", "w"),
        ("members.tar.gz", "w:gz"),
        ("members.tar.xz", "w:xz"),
    ):
        _write_tar(folder / name, mode, encoded)
    return {path.name: path for path in folder.iterdir()}


def _png(picture: Pictures) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "png")
    return stream.getvalue()


def _write_csv(path: Path, flat: Pictures) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([f"pixel{i}" for i in range(784)])
        writer.writerows(flat.tolist())


def _write_tar(path: Path, mode: Any, encoded: list[bytes]) -> None:
    with tarfile.open(path, mode) as archive:
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        for i, content in enumerate(encoded):
            member = tarfile.TarInfo(f"../{i}.png")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


NAMES = ["png", "rows.csv", "encoded.parquet", "pixels.parquet", "stack.npy", "arrays.npz",
         "members.zip", "members.tar", "members.tar.gz", "members.tar.xz"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_everything_that_holds_pictures_is_cut_and_opened(
    name: str, inputs: dict[str, Path], pictures: Pictures, tmp_path: Path
) -> None:
    parts = list(plan([str(inputs[name])], 5, tmp_path))
    assert [part.number for part in parts] == list(range(len(parts)))
    assert sum(part.size for part in parts) == N
    assert max(part.size for part in parts) == 5
    seen: list[Pictures] = []
    for part in parts:
        told = Part.from_dict(json.loads(json.dumps(part.as_dict())))  # as it lies on the disk
        for item in items_of(told):
            assert not isinstance(item, Failed)
            seen += list(item.images) if isinstance(item, Glyphs) else [item.pixels]
    np.testing.assert_array_equal(np.stack(seen), pictures)


def test_rows_and_members_are_named_as_their_places(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    def named(name: str) -> list[tuple[str, int]]:
        pages = [page for part in plan([str(inputs[name])], 5, tmp_path) for page in items_of(part)]
        return [(page.source, page.number) for page in pages if isinstance(page, Page)]

    for name in ("encoded.parquet", "pixels.parquet", "stack.npy", "arrays.npz"):
        assert named(name) == [(str(inputs[name]), i + 1) for i in range(N)]
    for name in ("members.zip", "members.tar", "members.tar.gz"):
        assert named(name) == [(f"{inputs[name]}/../{i}.png", 1) for i in range(N)]


def test_rows_are_those_of_read(inputs: dict[str, Path], tmp_path: Path) -> None:
    """One by one and many at a time, from files and from tables: the same rows."""
    out = tmp_path / "out"
    assert run(["batch", str(inputs["png"]), str(inputs["rows.csv"]), "-o", str(out),
                "--items", "7", "--workers", "2"]) == 0  # fmt: skip
    alone = list(Reader().read_many([*sorted(map(str, inputs["png"].rglob("*.png")),
                                             key=lambda path: Path(path).name),
                                     str(inputs["rows.csv"])]))  # fmt: skip
    rows = dataset.dataset(out).to_table().to_pylist()
    assert len(rows) == 2 * N
    for row, reading in zip(rows, alone, strict=True):
        told = reading.as_dict()
        assert {k: row[k] for k in ("source", "page", "status", "text", "lines", "model")} == {
            k: told[k] for k in ("source", "page", "status", "text", "lines", "model")
        }
        for digit, ours in zip(row["digits"], told["digits"], strict=True):
            np.testing.assert_allclose(digit["probabilities"], ours["probabilities"], atol=1e-5)
            assert (digit["box"], digit["label"]) == (ours["box"], ours["label"])


@pytest.mark.parametrize(
    ("shape", "pages", "page"),
    [
        ((48, 64), 1, (48, 64)),
        ((48, 64, 1), 1, (48, 64)),
        ((48, 64, 3), 1, (48, 64, 3)),
        ((48, 64, 4), 1, (48, 64, 3)),
        ((6, 784), 6, (28, 28)),
        ((6, 48, 64), 6, (48, 64)),
        ((6, 28, 28, 1), 6, (28, 28)),
        ((6, 28, 28, 3), 6, (28, 28, 3)),
        ((6, 28, 28, 4), 6, (28, 28, 3)),
        ((6, 28, 28, 2), 0, ()),
        ((9,), 0, ()),
        ((0, 28, 28), 0, ()),
    ],
)
def test_an_array_holds_the_pictures_that_read_finds(
    shape: tuple[int, ...], pages: int, page: tuple[int, ...], tmp_path: Path
) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, shape, np.uint8))
    items = [item for part in plan([str(path)], 4, tmp_path) for item in items_of(part)]
    alone = list(pages_of(path))
    if not pages:
        assert items == alone
        assert isinstance(alone[0], Failed)
        return
    assert len(items) == len(alone) == pages
    for item, same in zip(items, alone, strict=True):
        assert isinstance(item, Page)
        assert isinstance(same, Page)
        assert item.pixels.shape == page
        assert (item.source, item.number) == (same.source, same.number)
        np.testing.assert_array_equal(item.pixels, same.pixels)


@given(
    group=st.integers(1, 2 * N),
    cuts=st.lists(st.tuples(st.integers(0, N - 1), st.integers(1, N)), min_size=1, max_size=6),
)
def test_rows_of_a_parquet_file_are_had_in_any_order(
    pictures: Pictures, tmp_path_factory: pytest.TempPathFactory, group: int,
    cuts: list[tuple[int, int]],
) -> None:  # fmt: skip
    """Whatever was read before, forwards or back, and however the file is grouped."""
    path = tmp_path_factory.mktemp("groups") / "rows.parquet"
    table = pa.table({"image": list(pictures.reshape(N, 784))})
    parquet.write_table(table, path, row_group_size=group)
    for start, length in cuts:
        part = Part(0, "parquet", str(path), start, min(start + length, N))
        pages = [page for page in items_of(part) if isinstance(page, Page)]
        assert [page.number for page in pages] == list(range(start + 1, part.stop + 1))
        np.testing.assert_array_equal([page.pixels for page in pages], pictures[start : part.stop])


def test_lists_that_are_no_picture_cost_no_other(pictures: Pictures, tmp_path: Path) -> None:
    good = pictures[0].ravel().tolist()
    lists = [good, good[1:], None, [], [256, *good[1:]], [-1, *good[1:]], [None, *good[1:]], good]
    parquet.write_table(pa.table({"image": lists}), tmp_path / "lists.parquet")
    parquet.write_table(
        pa.table({"image": [[0.5] * 784, [0.5] * 784]}), tmp_path / "floats.parquet"
    )
    (part,) = plan([str(tmp_path / "lists.parquet")], 10, tmp_path)
    items = list(items_of(part))
    assert [isinstance(item, Page) for item in items] == [True, *[False] * 6, True]
    assert all("expected an encoded picture or 784 pixels" in item.why
               for item in items if isinstance(item, Failed))  # fmt: skip
    (part,) = plan([str(tmp_path / "floats.parquet")], 10, tmp_path)
    assert all(isinstance(item, Failed) for item in items_of(part))


def test_a_worker_imports_no_more_than_it_needs(inputs: dict[str, Path], tmp_path: Path) -> None:
    """Each of a batch's processes pays for it, in time and in memory."""
    code = (
        "import sys; from pathlib import Path; from digitreader.batch.plan import plan;"
        "from digitreader.batch.work import Settings, Worker;"
        "out = Path(sys.argv[1]); worker = Worker(out, Settings());"
        "[worker.read(part) for part in plan(sys.argv[2:], 100, out)];"
        "print(*{'pandas', 'rich', 'ray', 'matplotlib', 'keras', 'tensorflow'} & {*sys.modules})"
    )
    several = [str(inputs[name]) for name in ("png", "rows.csv", "pixels.parquet", "arrays.npz")]
    command = [sys.executable, "-c", code, str(tmp_path), *several]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.split() == []
    assert dataset.dataset(tmp_path).count_rows() == 4 * N


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_rows_may_be_text(form: str, inputs: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(["batch", str(inputs["stack.npy"]), "-o", str(out), "--format", form,
                "--items", "10", "--workers", "1"]) == 0  # fmt: skip
    files = sorted(out.glob(f"part-*.{form}"))
    assert len(files) == 3
    lines = [line for file in files for line in file.read_text().splitlines()]
    assert len(lines) == N + (3 if form == "csv" else 0)


def test_what_is_broken_is_a_row_and_costs_no_other(
    inputs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    good = (inputs["png"] / "000.png").read_bytes()
    structs = [{"bytes": good}, {"bytes": b"no picture"}, {"bytes": None}, {"bytes": good}]
    parquet.write_table(pa.table({"image": structs}), folder / "rows.parquet")
    with zipfile.ZipFile(folder / "some.zip", "w") as archive:
        archive.writestr("a.png", good)
        archive.writestr("b.png", b"no picture")
    content = bytearray((folder / "some.zip").read_bytes())
    content[len("PK") + 40] ^= 0xFF  # a byte of the first member: its checksum is wrong
    (folder / "torn.zip").write_bytes(content)
    (folder / "cut.tar").write_bytes(inputs["members.tar"].read_bytes()[:5000])
    (folder / "no.parquet").write_bytes(b"PAR1 not")
    (folder / "no.zip").write_bytes(b"PK not")
    (folder / "numbers.npy").write_bytes(inputs["stack.npy"].read_bytes()[:10_000])
    out = tmp_path / "out"
    asked = [str(folder), str(folder / "nothing.png"), "-o", str(out), "--workers", "1"]
    assert run(["batch", *asked]) == 1
    rows = dataset.dataset(out).to_table().to_pylist()
    counts = Counter((Path(row["source"]).name, row["status"] == "error") for row in rows)
    assert counts[("rows.parquet", True)] == counts[("rows.parquet", False)] == 2
    assert counts[("b.png", True)] == 2  # in some.zip and torn.zip
    assert counts[("a.png", False)] == counts[("a.png", True)] == 1
    assert counts[("numbers.npy", False)] == (10_000 - 128) // 784
    for name in ("no.parquet", "no.zip", "nothing.png", "numbers.npy"):
        assert counts[(name, True)] == 1, name
    assert sum(counts[(f"{i}.png", False)] for i in range(N)) >= 1  # of the tar that was cut
    assert all(row["error"] for row in rows if row["status"] == "error")
    assert f"{len(rows)} rows" in capsys.readouterr().out


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
def test_an_archive_without_a_picture_says_so(
    suffix: str, encoded: list[bytes], tmp_path: Path
) -> None:
    """As a folder does; what macOS lays beside a picture is none."""

    def pack(*members: tuple[str, bytes]) -> Path:
        path = tmp_path / f"phone{suffix}"
        if suffix == ".zip":
            path.write_bytes(bad_archives.zipped(*members))
        else:
            plain = bad_archives.tar(*(bad_archives.member(*member) for member in members))
            path.write_bytes(bad_archives.PACKED.get(suffix[1:], bytes)(plain))
        return path

    foreign, shadow = ("IMG_1.heic", b"heic"), ("__MACOSX/._7.png", b"Mac OS X")
    path = pack(foreign, shadow)
    (failed,) = [item for part in plan([str(path)], 5, tmp_path) for item in items_of(part)]
    assert isinstance(failed, Failed)
    assert failed.why.startswith(f"{path}: no picture in this archive; looked for .bmp .gif")
    path = pack(foreign, shadow, ("7.png", encoded[0]))
    (page,) = [item for part in plan([str(path)], 5, tmp_path) for item in items_of(part)]
    assert isinstance(page, Page)


def test_an_archive_that_breaks_off_costs_what_is_behind_it(
    inputs: dict[str, Path], encoded: list[bytes], tmp_path: Path
) -> None:
    sizes = [512 + len(content) + -len(content) % 512 for content in encoded[:8]]
    torn = tmp_path / "torn.tar"
    torn.write_bytes(inputs["members.tar"].read_bytes()[: 512 + sum(sizes) - 512])  # after a link
    parts = list(plan([str(torn)], 5, tmp_path))
    assert [part.size for part in parts] == [5, 3, 1]
    items = [item for part in parts for item in items_of(part)]
    assert [item.source for item in items if isinstance(item, Page)] == [
        f"{torn}/../{i}.png" for i in range(7)
    ]
    whys = [item.why for item in items if isinstance(item, Failed)]
    assert whys[0] == f"{torn}/../7.png: the archive breaks off in it"
    assert whys[1].startswith(f"{torn}: not an archive that can be read")
    assert len(whys) == 2


def test_where_an_array_breaks_off_is_a_row_of_its_own(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    torn = tmp_path / "torn.npy"
    torn.write_bytes(inputs["stack.npy"].read_bytes()[: 128 + 12 * 784 + 9])
    first, second, third, *_ = plan([str(torn)], 5, tmp_path)
    items = [item for part in (first, second, third) for item in items_of(part)]
    assert [item.number for item in items if not isinstance(item, Glyphs)] == list(range(1, 14))
    assert [type(item) for item in items] == [*[Page] * 12, Failed]


def test_the_same_command_goes_on_and_another_is_refused(
    inputs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["batch", str(inputs["stack.npy"]), "-o", str(out), "--items", "5", "--workers", "1"]
    assert run(command) == 0
    first = {path.name: path.read_bytes() for path in out.glob("part-*")}
    times = {path.name: path.stat().st_mtime_ns for path in out.glob("part-*")}
    (out / "part-000002.parquet").unlink()
    assert run(command) == 0
    assert {path.name: path.read_bytes() for path in out.glob("part-*")} == first
    after = {path.name: path.stat().st_mtime_ns for path in out.glob("part-*")}
    assert [name for name in times if times[name] != after[name]] == ["part-000002.parquet"]
    capsys.readouterr()
    assert run([*command[:1], str(inputs["arrays.npz"]), *command[2:]]) == 2
    assert "holds another batch: its inputs" in capsys.readouterr().err
    assert run([*command, "--layout", "single"]) == 2
    for name, content in (("_parts.jsonl", "[1]\n"), ("_manifest.json", "nothing")):
        (out / name).write_text(content)
        assert run(command) == 2
        assert f"{name} is broken (" in capsys.readouterr().err
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "mine.txt").write_text("precious")
    assert run([*command[:3], str(tmp_path / "photos"), *command[4:]]) == 2
    assert "holds other files" in capsys.readouterr().err


def test_names_that_are_no_text_are_read_and_go_on(
    encoded: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = os.fsdecode(b"caf\xe9.png")
    try:
        Path(name).write_bytes(encoded[0])
    except OSError:
        pytest.skip("this file system has no such names")
    command = ["batch", name, "-o", "out", "--workers", "1"]
    assert run(command) == run(command) == 0
    (row,) = dataset.dataset("out").to_table().to_pylist()
    assert row["source"] == r"caf\udce9.png"


@pytest.mark.parametrize(
    ("more", "code", "why"),
    [
        (["-o", "x" * 300], 4, "choose a shorter name"),
        (["-o", "out", "--address", "head:6379"], 2, "add --engine ray"),
    ],
)
def test_what_makes_no_sense_is_one_line_before_anything_is_written(  # noqa: PLR0917
    more: list[str], code: int, why: str, inputs: dict[str, Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert run(["batch", str(inputs["stack.npy"]), *more]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert why in line
    assert not list(tmp_path.iterdir())


def test_parts_are_on_the_disk_before_the_manifest_says_that_they_are_listed(
    inputs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda handle: kept.append(os.fstat(handle).st_ino))
    out = tmp_path / "out"
    monkeypatch.setitem(engines.ENGINES, "local", lambda *_: iter(()))
    assert run(["batch", str(inputs["stack.npy"]), "-o", str(out)]) == 4
    assert kept == [(out / "_parts.jsonl").stat().st_ino]


def test_a_part_on_which_a_process_is_found_dead_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`submit` may find it, before it takes the part."""
    given = iter(range(100))

    class Dies(ThreadPoolExecutor):
        def __init__(self, workers: int, *_: Any) -> None:
            super().__init__(workers)

        def submit(self, _: Any, part: Part) -> Future[Done]:  # type: ignore[override]
            if next(given) == 3:
                raise BrokenProcessPool
            return super().submit(Done, part.number, rows=1, failed=0, digits=1)

    monkeypatch.setattr(engines, "ProcessPoolExecutor", Dies)
    parts = [Part(number, "files", names=("a.png",)) for number in range(9)]
    done = engines.local(iter(parts), tmp_path, Settings(), engines.Crew(2))
    assert sorted(row.number for row in done) == list(range(9))


def test_a_part_that_nobody_read_is_told(
    inputs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setitem(engines.ENGINES, "local", lambda *_: iter(()))
    assert run(["batch", str(inputs["stack.npy"]), "-o", str(tmp_path / "out")]) == 4
    assert "1 files of rows were taken away" in capsys.readouterr().err


def test_rows_that_nobody_can_write_are_refused_before_there_is_a_folder(
    inputs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    arrow.schema.cache_clear()
    out = tmp_path / "out"
    assert run(["batch", str(inputs["stack.npy"]), "-o", str(out)]) == 3
    assert "pip install 'digitreader[parquet]'" in capsys.readouterr().err
    assert not out.exists()
    error = MissingExtraError("Parquet", "parquet")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_ctrl_c_finishes_what_is_in_work(inputs: dict[str, Path], tmp_path: Path) -> None:
    big = tmp_path / "big.npy"
    np.save(big, np.concatenate([np.load(inputs["stack.npy"])] * 150))
    out = tmp_path / "out"
    command = [sys.executable, "-m", "digitreader", "batch", str(big), "-o", str(out),
               "--items", "50", "--workers", "1"]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)
    while not list(out.glob("part-*")):
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(0.03)  # the first part is noted, and the next in work
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.decode().splitlines() == ["Stopped. The same command goes on."]
    noted = [json.loads(line) for line in (out / "_done.jsonl").read_text().splitlines()]
    assert {f"part-{row['number']:06}.parquet" for row in noted} == {
        path.name for path in out.glob("part-*")
    }


def test_archives_of_one_name_are_each_unpacked(encoded: list[bytes], tmp_path: Path) -> None:
    """Also where a killed batch left what it had unpacked of one that is another now."""
    archives = [tmp_path / month / "scans.tar.gz" for month in ("jan", "feb")]
    for archive, content in zip(archives, encoded, strict=False):
        archive.parent.mkdir()
        _write_tar(archive, "w:gz", [content])
    asked = [str(archive) for archive in archives]
    seen = [item for part in plan(asked, 5, tmp_path) for item in items_of(part)]
    _write_tar(archives[0], "w:gz", encoded[:2])
    seen += [item for part in plan(asked[:1], 5, tmp_path) for item in items_of(part)]
    assert [item.pixels.tobytes() for item in seen if isinstance(item, Page)] == [
        np.asarray(Image.open(io.BytesIO(encoded[i]))).tobytes() for i in (0, 1, 0, 1)
    ]


def test_an_archive_is_unpacked_again_for_a_part_that_was_taken_away(
    inputs: dict[str, Path], encoded: list[bytes], tmp_path: Path
) -> None:
    """But not one that has other members now."""
    archive = tmp_path / "scans.tar.gz"
    archive.write_bytes(inputs["members.tar.gz"].read_bytes())
    first, second = list(plan([str(archive)], 12, tmp_path / "unpacked"))
    whole = [item for part in (first, second) for item in items_of(part)]
    shutil.rmtree(tmp_path / "unpacked")
    again = [item for part in (first, second) for item in items_of(part)]
    assert len(again) == N
    for item, same in zip(again, whole, strict=True):
        assert isinstance(item, Page)
        assert isinstance(same, Page)
        assert item.source == same.source
        np.testing.assert_array_equal(item.pixels, same.pixels)
    shutil.rmtree(tmp_path / "unpacked")
    _write_tar(archive, "w:gz", encoded[:20])
    (failed,) = items_of(second)
    assert failed == Failed(
        str(archive), 1, f"{archive}: has changed since its members were listed"
    )


@given(
    lengths=st.lists(st.integers(1, 3), min_size=1, max_size=30),
    rows=st.integers(1, 7),
    ending=st.sampled_from(["\n", "\r\n"]),
    last=st.booleans(),
    blank=st.sets(st.integers(0, 30)),
)
def test_a_table_is_cut_where_its_rows_begin(  # noqa: PLR0917
    lengths: list[int], rows: int, ending: str, last: bool, blank: set[int],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    """Wherever it is cut, the pieces are all of it, blank lines aside."""
    path = tmp_path_factory.getbasetemp() / f"cut-{os.getpid()}.csv"
    lines = [",".join(f"pixel{i}" for i in range(784))]
    for i, length in enumerate(lengths):
        lines += [""] * (i in blank) + [str(i) * length]
    content = (ending.join(lines) + ending * last).encode()
    path.write_bytes(content)
    cuts = list(places(path, rows))
    assert [(start, stop) for start, stop, _ in cuts] == [
        (start, min(start + rows, len(lengths))) for start in range(0, len(lengths), rows)
    ]
    ends = [offset for _, _, offset in cuts[1:]] + [len(content)]
    got = [content[offset:end].split() for (_, _, offset), end in zip(cuts, ends, strict=True)]
    assert [len(some) for some in got] == [stop - start for start, stop, _ in cuts]
    assert list(chain(*got)) == [line.encode() for line in lines[1:] if line]
