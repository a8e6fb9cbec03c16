"""Places that take no files: full, read-only, forbidden, gone meanwhile, or in use by another.

Each command says so in one line with the documented exit code, leaves what was there before as it
was, nothing half-written, and does its work once the place is in order.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from digitreader.classifier import Classifier
from digitreader.doors.cli import run
from digitreader.errors import ExitCode, UsageError, WriteError
from digitreader.outputs import write_json_file
from digitreader.training.catalogue import DATASETS
from digitreader.writing import drafts, only_one, whole
from test_download import Mirror, known_tiny, serving

EXAMPLES = Path(__file__).parent.parent / "examples"
NOBODY = 65534
PATIENCE = 60  # s; a busy machine is no failure

Said = pytest.CaptureFixture[str]


class Command(NamedTuple):
    """A command that writes to a folder, and what lies there while it is at work."""

    on: Callable[[Path], list[str]]
    begun: str


# ---------------------------------------------------------------- the commands


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    monkeypatch.setenv("no_proxy", "*")
    with serving(Mirror()) as served:
        served.serve()
        monkeypatch.setitem(DATASETS, "tiny", known_tiny(served.url))
        yield served


@pytest.fixture
def pictures(tmp_path: Path, optdigits: Any) -> Path:
    path = tmp_path / "pictures.npy"
    np.save(path, optdigits[0][:40])
    return path


@pytest.fixture(scope="module")
def a_run() -> Iterator[Path]:
    """A trained network, to export; nobody, too, may read it."""
    pytest.importorskip("tensorflow")
    with open_to_all() as folder:
        assert run([*TRAIN, "--epochs", "1", "--out", str(folder / "run")]) == 0
        yield folder / "run"


TRAIN = [
    "train", "--dataset", "optdigits", "--network", "dense-64-dropout", "--batch-size", "64",
    "--set", "precision=float32",
]  # fmt: skip


@pytest.fixture(params=["read", "batch", "train", "export", "data download"])
def command(request: pytest.FixtureRequest) -> Command:
    """Each command that writes."""
    match request.param:
        case "read":
            pages = [str(path) for path in EXAMPLES.glob("*.png")]
            return Command(lambda out: ["read", *pages, "-o", f"{out}/x.csv"], ".*.part/*")
        case "batch":
            pytest.importorskip("pyarrow")
            asked = ["batch", str(request.getfixturevalue("pictures")), "--items", "2"]
            return Command(
                lambda out: [*asked, "--workers", "1", "-o", f"{out}/rows"], "rows/part-*"
            )
        case "train":
            pytest.importorskip("tensorflow")
            import_module("digitreader.training.finetune")  # by one who may read its settings
            return Command(
                lambda out: [*TRAIN, "--epochs", "2", "--out", f"{out}/run"], "run/last.npz"
            )
        case "export":
            asked = ["export", str(request.getfixturevalue("a_run")), "--format", "json"]
            request.getfixturevalue("read_here")
            return Command(lambda out: [*asked, "-o", str(out)], ".*.part/*")
    request.getfixturevalue("mirror")
    return Command(
        lambda out: ["data", "download", "tiny", "--data-dir", str(out)], "tiny/.*.part/*"
    )


# ---------------------------------------------------------------- places


def root_only() -> None:
    if sys.platform != "linux" or os.geteuid():
        pytest.skip("a file system of its own needs Linux, and root to mount it")


@contextmanager
def mounted() -> Iterator[Path]:
    """A small file system of its own, 16 MB; not among pytest's folders, which it removes.

    (Where pytest is killed the mount stays.)
    """
    root_only()
    place = Path(tempfile.mkdtemp())
    asked = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(place)]
    if subprocess.run(asked, check=False).returncode:
        place.rmdir()
        pytest.skip("root may not mount here, as in a container")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
        place.rmdir()


@contextmanager
def full(place: Path) -> Iterator[None]:
    """Fill a file system to its last byte, for a while."""
    filler = place / ".filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def read_only(place: Path) -> Iterator[None]:
    def remount(how: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{how}", str(place)], check=True)

    remount("ro")
    try:
        yield
    finally:
        remount("rw")


@contextmanager
def forbidden(place: Path) -> Iterator[None]:
    """Take leave to write away; root, whom no mode stops, becomes nobody for a while."""
    for folder, _, _ in os.walk(place):
        Path(folder).chmod(0o555)
    if as_root := os.geteuid() == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if as_root:
            os.seteuid(0)
        for folder, _, _ in os.walk(place):
            Path(folder).chmod(0o755)


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Iterator[tuple[Path, Any]]:
    """A folder, and what makes it unwritable for a while."""
    made, spoilt = request.param
    with made() as folder:
        yield folder, spoilt


@contextmanager
def open_to_all() -> Iterator[Path]:
    """A folder that all may enter, unlike pytest's."""
    if sys.platform == "win32":
        pytest.skip("modes are not Windows's")
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


PLACES = pytest.mark.parametrize(
    "place",
    [(mounted, full), (mounted, read_only), (open_to_all, forbidden)],
    ids=["full", "read-only", "forbidden"],
    indirect=True,
)


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def one_line(said: Said, *words: str) -> None:
    """One line on stderr that is the error."""
    lines = [line for line in said.readouterr().err.splitlines() if "Error" in line]
    assert len(lines) == 1, lines
    for word in words:
        assert word in lines[0]


# ---------------------------------------------------------------- tests


@PLACES
def test_what_cannot_be_written_is_one_line(
    place: tuple[Path, Any], command: Command, capsys: Said
) -> None:
    folder, spoilt = place
    before = folder / "earlier.txt"
    before.write_text("precious")
    with spoilt(folder):
        told = files(folder)
        assert run(command.on(folder)) == ExitCode.UNWRITTEN
        one_line(capsys, "cannot be written", str(folder))
        assert files(folder) == told
    assert run(command.on(folder)) == 0


@PLACES
@pytest.mark.usefixtures("read_here")
def test_an_earlier_file_stays_as_it_was(
    place: tuple[Path, Any], a_run: Path, pictures: Path, capsys: Said
) -> None:
    folder, spoilt = place
    commands = [
        ["read", str(pictures), "-o", str(folder / "x.csv")],
        ["export", str(a_run), "--format", "json", "-o", str(folder)],
    ]
    for asked in commands:
        assert run(asked) == 0
        with spoilt(folder):
            told = files(folder)
            capsys.readouterr()
            assert run(asked) == ExitCode.UNWRITTEN
            one_line(capsys, "cannot be written")
            assert files(folder) == told


def test_a_batch_on_a_full_disk_goes_on_when_there_is_room(
    tmp_path: Path, pictures: Path, capsys: Said
) -> None:
    pytest.importorskip("pyarrow")

    def batch(out: Path) -> int:
        return run(["batch", str(pictures), "-o", str(out), "--items", "10", "--workers", "1"])

    with mounted() as place:
        assert batch(place / "rows") == batch(tmp_path / "whole") == 0
        (place / "rows" / "part-000002.parquet").unlink()
        with full(place):
            assert batch(place / "rows") == ExitCode.UNWRITTEN
            one_line(capsys, "No space left", "make room")
        kept = files(place / "rows")
        assert "part-000002.parquet" not in kept
        assert not [name for name in kept if name.startswith("_drafts")]
        assert batch(place / "rows") == 0
        whole_one, mended = files(tmp_path / "whole"), files(place / "rows")
        assert {n: c for n, c in mended.items() if n.startswith("part")} == {
            n: c for n, c in whole_one.items() if n.startswith("part")
        }


@pytest.mark.slow
def test_a_training_whose_disk_fills_up_goes_on_when_there_is_room(tmp_path: Path) -> None:
    """A quarter of a minute: `python -m pytest -m slow tests/test_unwritable.py`."""
    keras = pytest.importorskip("keras")
    from digitreader.training.recipes import Recipe
    from digitreader.training.train import train

    recipe = Recipe(dataset="optdigits", network="dense-64-dropout", epochs=3, batch_size=64)
    train(recipe, tmp_path / "unbroken")
    with mounted() as place:
        out = place / "run"
        with ExitStack() as later:

            def fill(epochs: float, row: dict[str, float]) -> None:
                if epochs == 1 and "val_accuracy" in row:  # all of the epoch is written
                    later.enter_context(full(place))

            with pytest.raises(WriteError, match="No space left on device"):
                train(recipe, out, report=fill)
            assert set(files(out)) == {"recipe.json", "best.keras", "history.csv", "last.npz"}
        train(recipe, out, resume=True)
        ours, theirs = (
            keras.saving.load_model(folder / "best.keras").get_weights()
            for folder in (out, tmp_path / "unbroken")
        )
        for array, expected in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(array, expected)


def test_a_folder_that_goes_away_is_one_line(
    tmp_path: Path, command: Command, capsys: Said
) -> None:
    """Moved away as soon as the work is under way."""
    folder, away = tmp_path / "out", tmp_path / "away"
    folder.mkdir()
    over = threading.Event()

    def move() -> None:
        while not over.is_set():
            if any(folder.glob(command.begun)):
                folder.rename(away)
                return
            time.sleep(0.001)

    mover = threading.Thread(target=move)
    mover.start()
    code = run(command.on(folder))
    over.set()
    mover.join()
    assert away.exists(), "it was over before it was begun"
    assert code == ExitCode.UNWRITTEN
    one_line(capsys, str(folder))
    assert not folder.exists()


@pytest.mark.parametrize(
    "asked",
    [["read", str(EXAMPLES / "felt_pen.png")], ["--version"], ["completion", "bash"], ["networks"]],
    ids=["read", "version", "completion", "networks"],
)
def test_standard_output_that_is_full_is_one_line(asked: list[str]) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with Path("/dev/full").open("w") as out:
        done = subprocess.run(
            [sys.executable, "-m", "digitreader", *asked],
            stdout=out, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == ExitCode.UNWRITTEN
    (line,) = done.stderr.splitlines()
    assert "standard output: cannot be written (No space left on device)" in line


# ---------------------------------------------------------------- two at once


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no lock on folders")
@pytest.mark.parametrize("work", ["batch", "training"])
def test_a_second_one_is_kept_out_of_a_folder(
    work: str, tmp_path: Path, pictures: Path, capsys: Said
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    if work == "batch":
        pytest.importorskip("pyarrow")
        asked = ["batch", str(pictures), "-o", str(out), "--workers", "1"]
    else:
        pytest.importorskip("tensorflow")
        asked = [*TRAIN, "--epochs", "1", "--out", str(out)]
    with only_one(out, work):
        assert run(asked) == ExitCode.USAGE
        one_line(capsys, f"another {work} is at work in {out}")
        assert files(out) == {}
    assert run(asked) == 0


def test_the_system_lets_go_of_a_folder_when_its_process_is_killed(tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows has no lock on folders")
    code = (
        "import sys, time, pathlib; from digitreader.writing import only_one\n"
        "with only_one(pathlib.Path(sys.argv[1]), 'work'):\n"
        "    print('in', flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"in\n"
        with pytest.raises(UsageError, match="another work is at work"), only_one(tmp_path, "work"):
            pass
        other.kill()
        other.wait()
    with only_one(tmp_path, "work"):
        assert list(tmp_path.iterdir()) == []


def test_two_that_write_one_file_leave_a_whole_one(tmp_path: Path) -> None:
    """Whoever is later: neither writes into the other's."""
    path = tmp_path / "x.txt"
    with whole(path) as slow, slow.open("w") as ours:
        ours.write("slow, ")
        with whole(path) as quick:
            quick.write_text("quick")
        assert path.read_text() == "quick"
        ours.write("and last")
    assert path.read_text() == "slow, and last"
    assert list(tmp_path.iterdir()) == [path]


def test_two_downloads_and_two_readers_at_once_end_as_one(tmp_path: Path, mirror: Mirror) -> None:
    commands: Sequence[Callable[[Path], list[str]]] = (
        lambda out: ["data", "download", "tiny", "--data-dir", str(out)],
        lambda out: ["read", *map(str, EXAMPLES.glob("*.png")), "-o", f"{out}/x.csv"],
    )
    for i, asked in enumerate(commands):
        both, alone = tmp_path / f"both-{i}", tmp_path / f"alone-{i}"
        both.mkdir()
        alone.mkdir()
        line = [sys.executable, "-c", CHILD, mirror.url]
        two = [subprocess.Popen([*line, *asked(both)]) for _ in range(2)]
        assert [process.wait(PATIENCE) for process in two] == [0, 0]
        assert run(asked(alone)) == 0
        assert files(both) == files(alone)


CHILD = f"""
import sys
sys.path.append({str(Path(__file__).parent)!r})
from digitreader.doors.cli import run
from digitreader.training.catalogue import DATASETS
from test_download import known_tiny
DATASETS["tiny"] = known_tiny(sys.argv[1])
sys.exit(run(sys.argv[2:]))
"""


@pytest.mark.slow
def test_two_exports_at_once_end_as_one(a_run: Path, tmp_path: Path) -> None:
    """Half a minute: `python -m pytest -m slow tests/test_unwritable.py`."""
    both, alone = tmp_path / "both", tmp_path / "alone"
    line = [sys.executable, "-m", "digitreader", "export", str(a_run)]
    line += ["--format", "onnx", "--format", "json", "-o"]
    two = [subprocess.Popen([*line, str(both)]) for _ in range(2)]
    assert [process.wait(4 * PATIENCE) for process in two] == [0, 0]
    subprocess.run([*line, str(alone)], check=True)
    assert files(both).keys() == files(alone).keys()
    images = np.random.default_rng(0).integers(0, 256, (50, 28, 28), np.uint8)
    ours, theirs = (Classifier.open(folder / "run.onnx") for folder in (both, alone))
    np.testing.assert_array_equal(ours.logits(images), theirs.logits(images))
    assert (both / "run.json").read_text() == (alone / "run.json").read_text()


# ---------------------------------------------------------------- drafts


def test_what_goes_wrong_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json_file([1], path)
    with pytest.raises(TypeError):
        write_json_file([object()], path)
    assert files(tmp_path) == {"x.json": b"[\n  1\n]\n"}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other links, and no such pipes")
def test_a_link_stays_and_the_file_that_it_leads_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "x.json", tmp_path / "link.json"
    link.symlink_to(target)
    for value in (1, 2):  # the target is missing at first
        write_json_file(value, link)
        assert link.is_symlink()
        assert files(tmp_path / "there") == {"x.json": b"%d\n" % value}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other links, and no such pipes")
def test_a_pipe_and_a_device_are_written_to_and_stay(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.json"
    os.mkfifo(pipe)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()), daemon=True)
    reader.start()
    write_json_file(1, pipe)
    reader.join(PATIENCE)
    assert got == [b"1\n"]
    assert pipe.is_fifo()
    device = Path(os.ttyname(os.openpty()[1]))
    write_json_file(1, device)
    assert device.is_char_device()


def test_the_drafts_of_the_dead_are_removed_and_those_of_the_living_stay(tmp_path: Path) -> None:
    code = (
        "import os, sys, pathlib; from digitreader.writing import drafts\n"
        "with drafts(pathlib.Path(sys.argv[1])) as folder:\n"
        "    (folder / 'half').touch()\n"
        "    os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "x")], check=False)
    (dead,) = tmp_path.iterdir()
    assert (dead / "half").exists()
    with drafts(tmp_path / "y") as living:
        assert list(tmp_path.iterdir()) == [living]
        after = [sys.executable, "-c", code.replace("9", "0"), str(tmp_path / "z")]
        subprocess.run(after, check=True)
        assert list(tmp_path.iterdir()) == [living]
    assert list(tmp_path.iterdir()) == []


def test_another_file_s_error_is_not_taken_for_ours(tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / "input"
    (tmp_path / "here").mkdir()
    with pytest.raises(FileNotFoundError), whole(tmp_path / "here" / "x"):
        other.read_text()
