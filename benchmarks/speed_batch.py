"""Batches: picture files, Parquet, a million digits and what memory they take, and Ray.

Each is a whole `digitreader batch`, from its start to its end, on two cores where nothing else is
said. Peers are timed without their start. A million digits are read once; on Ray, where a round
takes minutes, the first counts.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image
from pyarrow import parquet

from digitreader.reading import DIGIT_LABELS
from digitreader.training import networks
from peers import Rapid
from service import family
from speed_clock import OURS, PROGRAM, Plan, in_turn, rate_of, told, whole_process

WORKERS = 2
MNIST = 70_000  # digits, of training and test
MANY = 1_000_000
SOME = 500_000  # that engines are compared with
KERAS, KERAS_TOGETHER = "Pillow and Keras, one by one", "Pillow and Keras, 250 at a time"
RAPID = "RapidOCR, recognition only"
SAMPLE = {KERAS: 200, KERAS_TOGETHER: 2000, RAPID: 200}  # files that a peer reads in a run
EVERY = 0.5  # s between two looks at the memory
CLUSTER = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}


# --- picture files ------------------------------------------------------------------------------


def picture_files(plan: Plan) -> dict[str, Any]:
    """PNG files of 28×28 a second, from the disk to Parquet; others read a sample of them."""
    with TemporaryDirectory() as folder:
        files = written(plan.digits(plan.count(MNIST)).images, Path(folder) / "png")
        ours = partial(_seconds, files[0].parent, Path(folder) / "rows")
        peers = _peers_on_files(plan, files)
        samples = in_turn({OURS: partial(rate_of, ours, len(files)), **peers}, plan.runs)
    sample = {name: plan.count(SAMPLE[name]) for name in samples if name != OURS}
    return {"files": len(files), "sample": sample, **told(samples, "per_second")}


def written(glyphs: NDArray[np.uint8], folder: Path) -> list[Path]:
    """Write glyphs, uint8 [N, 28, 28], as PNG files to a new folder."""
    folder.mkdir()
    files = [folder / f"{i:06}.png" for i in range(len(glyphs))]
    for file, glyph in zip(files, glyphs, strict=True):
        Image.fromarray(glyph).save(file)
    return files


def _peers_on_files(plan: Plan, files: list[Path]) -> dict[str, Callable[[], float]]:
    """What measures each peer's files a second, of its sample."""
    network = networks.build("double-conv", len(DIGIT_LABELS))

    def by_keras(files: list[Path], at_once: int) -> None:
        for start in range(0, len(files), at_once):
            opened = [Image.open(file).convert("L") for file in files[start : start + at_once]]
            pixels = np.stack([np.asarray(image, np.float32) for image in opened]) / 255
            network.predict(pixels[..., None], batch_size=at_once, verbose=0).argmax(axis=1)

    calls: dict[str, Callable[[list[Path]], None]] = {
        KERAS: partial(by_keras, at_once=1),
        KERAS_TOGETHER: partial(by_keras, at_once=250),
    }
    if not Rapid.missing():
        calls[RAPID] = _rapid()
    contestants: dict[str, Callable[[], float]] = {}
    for name, call in calls.items():
        some = files[: plan.count(SAMPLE[name])]
        contestants[name] = partial(rate_of, partial(call, some), len(some))
    return contestants


def _rapid() -> Callable[[list[Path]], None]:
    """RapidOCR on all cores, without its search for text, which these pictures can do without."""
    engine = import_module("rapidocr").RapidOCR(params={"Global.log_level": "error"})

    def read(files: list[Path]) -> None:
        for file in files:
            engine(str(file), use_det=False, use_cls=False, use_rec=True)

    return read


# --- Parquet ------------------------------------------------------------------------------------


def from_parquet(plan: Plan) -> dict[str, Any]:
    """Seconds for all of MNIST, from one file of pixels, written as pandas writes it."""
    with TemporaryDirectory() as folder:
        table = Path(folder) / "mnist.parquet"
        count = plan.count(MNIST)
        _write_parquet(plan, table, count)
        ours = partial(_seconds, table, Path(folder) / "rows")
        samples = in_turn({OURS: ours}, plan.runs)
    return {"digits": count, **told(samples, "seconds")}


def a_million(plan: Plan) -> dict[str, Any]:
    """Seconds, and the memory of all processes of the batch, while it reads a million digits."""
    with TemporaryDirectory() as folder:
        table, count = Path(folder) / "many.parquet", plan.count(MANY)
        _write_parquet(plan, table, count)
        command = [*PROGRAM, "batch", str(table), "-o", f"{folder}/rows", "--workers", str(WORKERS)]
        start = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            memory = list(_watched(process))
        seconds = time.perf_counter() - start
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return {"digits": count, "workers": WORKERS, "seconds": seconds,
            "per_second": count / seconds, "memory_mb": settled(memory)}  # fmt: skip


def _watched(process: subprocess.Popen[bytes]) -> Iterator[dict[str, float]]:
    """Yield the memory of a process and its children, again and again until it ends."""
    while True:
        try:
            process.wait(EVERY)
        except subprocess.TimeoutExpired:
            yield _memory(family(process.pid))
        else:
            return


def _memory(processes: list[int]) -> dict[str, float]:
    """Memory in MB: `pss` counts a page that several processes share once, `rss` in each."""
    told = {"rss": 0.0, "pss": 0.0}
    for process in processes:
        with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().lower().splitlines()
            sizes = dict(line.split(":") for line in lines[1:])
            for name in told:
                told[name] += int(sizes[name].split()[0]) / 1024
    return told


def settled(samples: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Memory after a tenth of the time and a tenth before its end, the least and most between."""
    tenth = len(samples) // 10
    late = samples[tenth : -tenth or None]
    return {
        name: {
            "first": late[0][name],
            "last": late[-1][name],
            "least": min(sample[name] for sample in late),
            "most": max(sample[name] for sample in late),
        }
        for name in ("rss", "pss")
    }


def _write_parquet(plan: Plan, path: Path, count: int) -> None:
    every = plan.digits(min(count, MNIST)).images
    kind = pa.list_(pa.uint8(), every[0].size)
    pixels = pa.FixedSizeListArray.from_arrays(pa.array(every.ravel()), type=kind)
    some = pa.table({"image": pixels})
    parquet.write_table(pa.concat_tables([some] * -(-count // len(every))).slice(0, count), path)


def _seconds(source: Path, out: Path, *more: str, workers: int = WORKERS) -> float:
    """Wall seconds of a batch, start and end included."""
    shutil.rmtree(out, ignore_errors=True)
    command = (*PROGRAM, "batch", str(source), "-o", str(out), "--workers", str(workers), *more)
    return whole_process(*command)[0]


# --- Ray ----------------------------------------------------------------------------------------


def on_ray(plan: Plan) -> dict[str, Any]:
    """Seconds by one worker and by two, of a Ray cluster on this machine and of no cluster."""
    with TemporaryDirectory() as folder, _cluster() as address:
        table, rows, count = Path(folder) / "many.parquet", Path(folder) / "rows", plan.count(SOME)
        _write_parquet(plan, table, count)
        engines = {"local": (), "Ray": ("--engine", "ray", "--address", address)}
        contestants = {
            f"{name}, {workers}": partial(_seconds, table, rows, *more, workers=workers)
            for name, more in engines.items()
            for workers in (1, WORKERS)
        }
        rows_of = told(in_turn(contestants, plan.runs, warm=False), "seconds")
    del rows_of["ratios"]
    one, two, local = (
        rows_of[name]["seconds_median"]
        for name in ("Ray, 1", f"Ray, {WORKERS}", f"local, {WORKERS}")
    )
    return {"digits": count, "version": version("ray"), **rows_of,
            "speedup": one / two, "overhead": two / local - 1}  # fmt: skip


@contextmanager
def _cluster() -> Iterator[str]:
    """Give the address of a cluster of one node, which ends with us."""
    os.environ.update(CLUSTER)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block",
               "--node-ip-address", "127.0.0.1", "--port", str(port), "--num-cpus", str(WORKERS),
               "--include-dashboard", "false", "--disable-usage-stats"]  # fmt: skip
    nothing = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=nothing, stderr=nothing, start_new_session=True) as node:
        try:
            _wait_for(f"127.0.0.1:{port}")
            yield f"127.0.0.1:{port}"
        finally:
            os.killpg(node.pid, signal.SIGKILL)


def _wait_for(address: str) -> None:
    look = "import ray, sys; ray.init(sys.argv[1], logging_level='ERROR')"
    for _ in range(30):
        if not subprocess.run([sys.executable, "-c", look, address], capture_output=True,
                              check=False).returncode:  # fmt: skip
            return
        time.sleep(1)
    raise SystemExit(f"no Ray cluster answers at {address}")
