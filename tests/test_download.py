"""IDX files: found, fetched from a mirror, checked, refused by name where they are bad."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import http.server
import io
import logging
import re
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from digitreader.errors import DataError, WriteError
from digitreader.training import datasets, mirrors
from digitreader.training.catalogue import DATASETS, KnownSet
from digitreader.training.mirrors import IMAGES_MAGIC, LABELS_MAGIC, IdxFile, IdxSet

TRAIN, TEST = 30, 20
rng = np.random.default_rng(7)
IMAGES = {n: rng.integers(0, 256, (n, 28, 28), np.uint8) for n in (TRAIN, TEST)}
LABELS = {n: rng.integers(0, 10, n, np.uint8) for n in (TRAIN, TEST)}


def idx(array: NDArray[np.uint8]) -> bytes:
    """The format as its author described it, written without the code under test."""
    header = struct.pack(">HBB", 0, 8, array.ndim)
    return header + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


CONTENT = {
    "train-images": idx(IMAGES[TRAIN]),
    "train-labels": idx(LABELS[TRAIN]),
    "test-images": idx(IMAGES[TEST]),
    "test-labels": idx(LABELS[TEST]),
}


def file(name: str, magic: int, *counts: int) -> IdxFile:
    return IdxFile(name, magic, counts)


TINY = IdxSet(
    (
        file("train-images", IMAGES_MAGIC, TRAIN),
        file("train-labels", LABELS_MAGIC, TRAIN),
        file("test-images", IMAGES_MAGIC, TEST),
        file("test-labels", LABELS_MAGIC, TEST),
    ),
    folders=("tiny", "."),
)


def with_md5(known: IdxSet, *, of_packed: bool) -> IdxSet:
    """The same set with the right checksums: of the mirror's .gz, or of the content."""

    def summed(file: IdxFile) -> IdxFile:
        content = CONTENT[file.name]
        if of_packed:
            return replace(file, gz_md5=hashlib.md5(packed(content)).hexdigest())
        return replace(file, md5=hashlib.md5(content).hexdigest())

    one, two, three, four = map(summed, known.files)
    return replace(known, files=(one, two, three, four))


def packed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def write(folder: Path, *, compressed: bool = False, **changed: bytes) -> Path:
    """The four files; `train_labels=b"…"` replaces the content of one."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in CONTENT.items():
        data = changed.get(name.replace("-", "_"), content)
        (folder / (f"{name}.gz" if compressed else name)).write_bytes(
            packed(data) if compressed else data
        )
    return folder


# ---------------------------------------------------------------- reading


@pytest.mark.parametrize("compressed", [False, True])
def test_reads_what_another_writer_wrote(tmp_path: Path, compressed: bool) -> None:
    arrays = mirrors.read(TINY, write(tmp_path, compressed=compressed))
    for array, expected in zip(
        arrays, (IMAGES[TRAIN], LABELS[TRAIN], IMAGES[TEST], LABELS[TEST]), strict=True
    ):
        np.testing.assert_array_equal(array, expected)


def test_gzip_is_known_by_content_not_by_name(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "train-images").write_bytes(packed(CONTENT["train-images"]))
    np.testing.assert_array_equal(mirrors.read(TINY, tmp_path)[0], IMAGES[TRAIN])


BAD = {
    "swapped with labels": ("train_images", CONTENT["train-labels"], "expected images.*got labels"),
    "swapped with images": ("test_labels", CONTENT["test-images"], "expected labels.*got images"),
    "the other part": ("train_images", CONTENT["test-images"], "expected 30 images.*says 20×28×28"),
    "other labels": ("test_labels", CONTENT["train-labels"], "expected 20 labels.*says 30"),
    "wrong magic": ("train_labels", b"PK\x03\x04 something", "expected labels.*0x504b0304"),
    "float data": ("train_images", b"\0\0\x0d\x03" + b"\0" * 99, "expected images.*0x00000d03"),
    "empty": ("train_images", b"", "expected images.*nothing"),
    "short header": ("train_images", CONTENT["train-images"][:9], "truncated inside the header"),
    "truncated": ("train_images", CONTENT["train-images"][:-1], "expected 23,520.*23,519.*trunc"),
    "too long": ("test_labels", CONTENT["test-labels"] + b"\0", "expected 20 bytes.*more"),
    "odd size": (
        "train_images",
        idx(np.zeros((TRAIN, 27, 28), np.uint8)),
        "expected 30 images of 28×28, the header says 30×27×28",
    ),
}


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused_by_name(tmp_path: Path, case: str, compressed: bool) -> None:
    name, content, message = BAD[case]
    write(tmp_path, compressed=compressed, **{name: content})
    with pytest.raises(DataError, match=message) as caught:
        mirrors.read(TINY, tmp_path)
    assert name.replace("_", "-") in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", [lambda d: d[: len(d) // 2], lambda d: d[:40] + b"xx" + d[42:]])
def test_damaged_gzip_is_refused_by_name(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    write(tmp_path, compressed=True)
    bad = tmp_path / "test-images.gz"
    bad.write_bytes(damage(bad.read_bytes()))
    with pytest.raises(DataError, match=r"test-images\.gz: .*(truncated|damaged|bytes)"):
        mirrors.read(TINY, tmp_path)


def test_labels_and_images_must_be_as_many(tmp_path: Path) -> None:
    """Both counts are of some release, but not of the same one."""
    two = (
        file("train-images", IMAGES_MAGIC, TRAIN, TEST),
        file("train-labels", LABELS_MAGIC, TRAIN, TEST),
        *TINY.files[2:],
    )
    write(tmp_path, train_labels=CONTENT["test-labels"])
    with pytest.raises(DataError, match=r"train-labels: expected 30 labels.*train-images, got 20"):
        mirrors.read(replace(TINY, files=two), tmp_path)


def test_other_content_of_the_right_form_is_refused(tmp_path: Path) -> None:
    known = with_md5(TINY, of_packed=False)
    mirrors.read(known, write(tmp_path, compressed=True))
    other = bytearray(CONTENT["test-labels"])
    other[-1] ^= 1
    write(tmp_path, compressed=True, test_labels=bytes(other))
    with pytest.raises(DataError, match=r"test-labels\.gz: not the file its name says: .*MD5"):
        mirrors.read(known, tmp_path)


def test_a_header_that_promises_too_much_is_refused_unread(tmp_path: Path) -> None:
    write(tmp_path, train_images=struct.pack(">4I", IMAGES_MAGIC, 2**31, 28, 28))
    with pytest.raises(DataError, match="the header says 2147483648×28×28"):
        mirrors.read(TINY, tmp_path)


# ---------------------------------------------------------------- finding


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of its own: an empty cache, no data folder, no proxy."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("DIGITREADER_DATA", raising=False)
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path


def known_tiny(*addresses: str) -> KnownSet:
    return KnownSet(
        "Tiny", tuple("0123456789"), (TRAIN, TEST), "none", "https://example.org",
        idx=replace(TINY, mirrors=addresses),
    )  # fmt: skip


def test_looks_where_it_says_in_that_order(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DATASETS, "tiny", known_tiny())
    cache = write(elsewhere / "cache" / "digitreader" / "tiny")
    assert datasets.locate("tiny") == str(cache)
    named = write(elsewhere / "named")  # directly in it
    monkeypatch.setenv("DIGITREADER_DATA", str(named))
    assert datasets.locate("tiny") == str(named)
    below = write(elsewhere / "named" / "tiny")
    assert datasets.locate("tiny") == str(below)
    asked = write(elsewhere / "asked" / "tiny", compressed=True)
    assert datasets.locate("tiny", elsewhere / "asked") == str(asked)
    assert datasets.load("tiny", elsewhere / "asked").source == str(asked)


def test_a_folder_with_three_of_the_files_is_not_it(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DATASETS, "tiny", known_tiny())
    (write(elsewhere / "data") / "test-labels").unlink()
    assert datasets.locate("tiny", elsewhere / "data") is None


def test_sets_with_the_same_file_names_are_not_mistaken(elsewhere: Path) -> None:
    """MNIST's and Fashion-MNIST's files are called alike, so the folder has to say which."""
    here = elsewhere / "some"
    here.mkdir()
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (here / f"{name}-ubyte").touch()
    assert datasets.locate("mnist", here) == str(here)
    assert datasets.locate("fashion-mnist", here) is None
    here = here.rename(elsewhere / "fashion-mnist")
    assert datasets.locate("fashion-mnist", here) == str(here)
    assert datasets.locate("fashion-mnist", elsewhere) == str(here)


# ---------------------------------------------------------------- downloading


@dataclass
class Mirror:
    """What a local server answers: path → status, headers, body."""

    url: str = ""
    answers: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    stall: threading.Event | None = None

    def serve(self, **changed: bytes) -> None:
        for name, content in CONTENT.items():
            body = changed.get(name.replace("-", "_"), packed(content))
            self.answers[f"/{name}.gz"] = (200, {"Content-Length": str(len(body))}, body)


@contextmanager
def serving(mirror: Mirror) -> Iterator[Mirror]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            mirror.asked.append(self.path)
            status, headers, body = mirror.answers.get(self.path, (404, {}, b"no such file"))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if mirror.stall is not None:
                self.wfile.write(body[: len(body) // 2])
                self.wfile.flush()
                mirror.stall.wait(15)
                return
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    mirror.url = f"http://127.0.0.1:{server.server_address[1]}/"
    try:
        yield mirror
    finally:
        if mirror.stall is not None:
            mirror.stall.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def first(elsewhere: Path) -> Iterator[Mirror]:
    with serving(Mirror()) as mirror:
        yield mirror


@pytest.fixture
def second(elsewhere: Path) -> Iterator[Mirror]:
    with serving(Mirror()) as mirror:
        mirror.serve()
        yield mirror


def refusing() -> str:
    """An address at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}/"


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


ALL = {f"{name}.gz" for name in CONTENT}


def test_downloads_checks_and_names(
    first: Mirror, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    first.serve()
    folder = tmp_path / "deep" / "tiny"
    new = mirrors.download(TINY, folder, (first.url,))
    assert {path.name for path in new} == names(folder) == ALL
    np.testing.assert_array_equal(mirrors.read(TINY, folder)[2], IMAGES[TEST])
    if sys.platform != "win32":
        assert stat.S_IMODE(new[0].stat().st_mode) == 0o644
    assert capfd.readouterr() == ("", "")  # no progress bar where nobody looks


def test_load_downloads_once(
    first: Mirror, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first.serve()
    monkeypatch.setitem(DATASETS, "tiny", known_tiny(first.url))
    dataset = datasets.load("tiny")
    assert dataset.source == str(elsewhere / "cache" / "digitreader" / "tiny")
    np.testing.assert_array_equal(dataset.train.targets, LABELS[TRAIN])
    datasets.load("tiny")
    assert len(first.asked) == len(CONTENT)


def test_only_missing_files_are_fetched(first: Mirror, tmp_path: Path) -> None:
    first.serve()
    (write(tmp_path / "d") / "test-images").unlink()
    assert mirrors.download(TINY, tmp_path / "d", (first.url,)) == [tmp_path / "d/test-images.gz"]
    assert first.asked == ["/test-images.gz"]


FAULTS: dict[str, tuple[tuple[int, dict[str, str], bytes], str]] = {
    "missing": ((404, {}, b"no such file"), "HTTP Error 404: Not Found"),
    "server error": ((500, {}, b"sorry"), "Internal Server Error"),
    "a web page": ((200, {}, b"<html>please log in</html>"), "expected images"),
    "truncated gzip": ((200, {}, packed(CONTENT["train-images"])[:1000]), "truncated"),
    "broken off": (
        (200, {"Content-Length": "99999"}, packed(CONTENT["train-images"])),
        "broke off after .* of 99,999 bytes",
    ),
    "another file": ((200, {}, packed(CONTENT["test-images"])), "expected 30 images"),
    "much too large": ((200, {}, bytes(200_000)), "larger than"),
    "to http": ((302, {"Location": "http://example.invalid/x.gz"}, b""), "only https"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_next_mirror_is_used_and_the_fault_named(
    first: Mirror, second: Mirror, tmp_path: Path, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    first.serve()
    first.answers["/train-images.gz"], reason = FAULTS[fault]
    with caplog.at_level(logging.WARNING):
        mirrors.download(TINY, tmp_path / "d", (first.url, second.url))
    assert names(tmp_path / "d") == ALL
    assert second.asked == ["/train-images.gz"]
    host = re.escape(first.url.split("/")[2])
    assert re.search(f"train-images.gz: the next mirror was used, {host}: .*{reason}", caplog.text)
    np.testing.assert_array_equal(mirrors.read(TINY, tmp_path / "d")[0], IMAGES[TRAIN])


@pytest.mark.parametrize("of_packed", [False, True])
def test_a_wrong_checksum_is_refused(
    first: Mirror, second: Mirror, tmp_path: Path, of_packed: bool
) -> None:
    other = bytearray(CONTENT["train-labels"])
    other[-1] ^= 1
    first.serve(train_labels=packed(bytes(other)))
    known = with_md5(TINY, of_packed=of_packed)
    mirrors.download(known, tmp_path / "good", (first.url, second.url))
    assert second.asked == ["/train-labels.gz"]
    with pytest.raises(DataError, match=r"train-labels\.gz.*MD5"):
        mirrors.download(known, tmp_path / "bad", (first.url,))
    assert names(tmp_path / "bad") == {"train-images.gz"}


def test_without_a_network_one_line_says_what_to_do(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = refusing(), refusing()
    monkeypatch.setitem(DATASETS, "tiny", known_tiny(one, two))
    with pytest.raises(DataError) as caught:
        datasets.load("tiny", elsewhere / "mine")
    message = str(caught.value)
    assert "\n" not in message
    hosts = [address.split("/")[2] for address in (one, two)]
    folders = [str(elsewhere / "mine" / "tiny"), str(elsewhere / "cache" / "digitreader" / "tiny")]
    for part in (*CONTENT, *hosts, *folders, "refused", "--data-dir", "DIGITREADER_DATA"):
        assert part in message
    assert names(elsewhere / "mine" / "tiny") == set()
    assert not caplog.records  # the error says it all


def test_a_set_without_mirrors_says_where_to_get_it(elsewhere: Path) -> None:
    with pytest.raises(DataError, match=r"emnist-letters.*by hand from https://www\.nist\.gov.*"):
        datasets.load("emnist-letters")


def test_a_folder_that_cannot_be_made_is_named(elsewhere: Path) -> None:
    (elsewhere / "file").touch()
    with pytest.raises(
        WriteError, match=r"file.tiny: cannot be written \(Not a directory\); a part"
    ):
        mirrors.download(TINY, elsewhere / "file" / "tiny", (refusing(),))


def test_an_interrupt_leaves_nothing(
    first: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def pressing_control_c(*_: object) -> Iterator[Callable[[int], None]]:
        def press(_: int) -> None:
            raise KeyboardInterrupt

        yield press

    first.serve()
    monkeypatch.setattr(mirrors, "_progress", pressing_control_c)
    with pytest.raises(KeyboardInterrupt):
        mirrors.download(TINY, tmp_path / "d", (first.url,))
    assert names(tmp_path / "d") == set()


@pytest.mark.skipif(sys.platform == "win32", reason="processes are killed differently there")
def test_a_killed_download_leaves_no_file_under_its_name(first: Mirror, tmp_path: Path) -> None:
    first.serve()
    first.stall = threading.Event()
    folder = tmp_path / "d"
    program = (
        "import sys; from pathlib import Path; from digitreader.training import mirrors\n"
        "one = mirrors.IdxFile('train-images', mirrors.IMAGES_MAGIC, (30,))\n"
        "known = mirrors.IdxSet((one,) * 4, ('.',))\n"
        "mirrors.download(known, Path(sys.argv[1]), (sys.argv[2],))\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(folder), first.url]) as process:
        deadline = time.monotonic() + 15
        while not (folder.is_dir() and names(folder)) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.kill()
    assert process.returncode < 0  # it was still at it
    assert len(names(folder)) == 1
    assert "train-images.gz" not in names(folder)
    first.stall.set()
    first.stall = None
    mirrors.download(TINY, folder, (first.url,))
    assert names(folder) >= ALL


@pytest.mark.parametrize(
    "address", ["http://example.org/", "ftp://127.0.0.1/", "file:///etc/", "http://127.0.0.1.eu/"]
)
def test_only_https_is_asked(address: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="only https"):
        mirrors.download(TINY, tmp_path / "d", (address,))
    assert names(tmp_path / "d") == set()


@pytest.mark.parametrize("target", ["http://example.org/x", "http://127.0.0.1/x"])
def test_https_never_becomes_http(target: str) -> None:
    """Not even on this machine: a page out there must not reach what listens here."""
    asked = urllib.request.Request("https://example.org/x")
    with pytest.raises(DataError, match="https"):
        mirrors._SafeRedirects().redirect_request(
            asked, io.BytesIO(), 302, "Found", http.client.HTTPMessage(), target
        )


def test_every_mirror_in_the_table_is_https() -> None:
    for known in DATASETS.values():
        for address in known.idx.mirrors if known.idx else ():
            assert address.startswith("https://")
