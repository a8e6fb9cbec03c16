"""Training by two processes against one: seconds, accuracy, and what goes between them.

    python benchmarks/team.py [--network default] [--epochs 2]

Each process has one core and runs `digitreader train` on JAX, on MNIST, in float32; two share every
batch (`training/team.py`). The bytes are those of the gradients that they add up at each step. What
eight devices would give is worked out, not measured, from both:

    seconds of a step on n devices =
        compute / n + latency · 2(n - 1) + bytes · 2(n - 1)/n / bandwidth

as a ring passes them on (Patarasuk & Yuan 2009), for devices as fast as the core that was measured,
and many times as fast, as GPUs are. Needs `pip install jax`.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from digitreader.outputs import write_json_file
from machine import describe
from sets import add_data

RESULT = Path(__file__).parent / "results" / "team.json"
COMMAND = "python benchmarks/team.py"
DEVICES = 8
TIMES_A_CORE = (1, 100, 1000)  # how fast a device is; a core does some 50e9 multiply-adds a second
BATCHES = (1, 16)  # times the recipe's
LINKS = {  # seconds before the first byte, bytes a second, each way
    "NVLink": (5e-6, 300e9),
    "PCIe 4": (10e-6, 20e9),
    "10 Gbit Ethernet": (50e-6, 1.1e9),
}


def main() -> None:
    """Train with one and with two; write down what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data(parser)
    parser.add_argument("--network", default="default")
    parser.add_argument("--epochs", type=int, default=2)
    options = parser.parse_args()
    data = options.data / "mnist"
    rows = {size: trained(size, options.network, options.epochs, data) for size in (1, 2)}
    one = rows[1]
    result = {
        "command": COMMAND,
        "machine": describe("keras", "jax"),
        "network": options.network,
        "processes": {str(size): row for size, row in rows.items()},
        "times_as_fast": one["step_seconds"] / rows[2]["step_seconds"],
        "bytes_a_step": 4 * one["parameters"],
        "expected": expected(one["step_seconds"], 4 * one["parameters"]),
    }
    write_json_file(result, RESULT)
    print(json.dumps(result, indent=2))


def expected(compute: float, size: int) -> list[dict[str, Any]]:
    """For devices and batches of several kinds, how many times as fast DEVICES of them would be."""
    return [
        {
            "times_a_core": times,
            "batches": batches,
            "by_link": {
                link: faster(batches * compute / times, size, *speed)
                for link, speed in LINKS.items()
            },
        }
        for times in TIMES_A_CORE
        for batches in BATCHES
    ]


def faster(compute: float, size: int, latency: float, bandwidth: float) -> float:
    """How many times as fast as one DEVICES would be that share its batch."""
    passes = 2 * (DEVICES - 1)
    between = latency * passes + size * passes / DEVICES / bandwidth
    return compute / (compute / DEVICES + between)


def trained(size: int, network: str, epochs: int, data: Path) -> dict[str, Any]:
    """Train in so many processes, a core each."""
    with TemporaryDirectory() as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        free.close()
        out = Path(folder) / "run"
        processes = [started(number, size, address, out, network, epochs, data)
                     for number in range(size)]  # fmt: skip
        codes = [process.wait() for process in processes]
        if any(codes):
            raise SystemExit("a process failed: see above")
        metrics = json.loads((out / "metrics.json").read_text("utf-8"))
        with (out / "history.csv").open(encoding="utf-8") as text:
            last = list(csv.DictReader(text))[-1]
    batch, images = metrics["recipe"]["batch_size"], 60_000 - metrics["recipe"]["validation"]
    return {
        "seconds": float(last["seconds"]),  # of the last epoch: the first one compiles
        "step_seconds": float(last["seconds"]) / (images // batch),
        "loss": float(last["loss"]),
        "accuracy": metrics["test"]["accuracy"],
        "parameters": metrics["parameters"],
    }


def started(  # noqa: PLR0913, PLR0917 (what a process is told)
    number: int, size: int, address: str, out: Path, network: str, epochs: int, data: Path
) -> subprocess.Popen[bytes]:
    """Start one of the processes, on a core of its own."""
    command = [
        sys.executable, "-m", "digitreader", "train", "--network", network, "--epochs",
        str(epochs), "--set", "precision=float32", "--data-dir", str(data), "--out", str(out),
    ]  # fmt: skip
    told = {"KERAS_BACKEND": "jax"}
    if size > 1:
        told |= {
            "KERAS_DISTRIBUTION_JOB_ADDRESSES": address,
            "KERAS_DISTRIBUTION_NUM_PROCESSES": str(size),
            "KERAS_DISTRIBUTION_PROCESS_ID": str(number),
        }
    core = sorted(os.sched_getaffinity(0))[number]
    return subprocess.Popen(
        command,
        env={**os.environ, **told},
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),  # noqa: PLW1509 (before any thread)
    )


if __name__ == "__main__":
    main()
