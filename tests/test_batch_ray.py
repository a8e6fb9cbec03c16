"""The same batch on a Ray cluster of two nodes, one of which dies midway.

Slow, as a cluster is slow to start: `python -m pytest -m slow tests/test_batch_ray.py`.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from digitreader.doors.cli import run

dataset = pytest.importorskip("pyarrow.dataset")
pytest.importorskip("ray", reason="needs Ray: pip install 'digitreader[ray]'")

RAY = shutil.which("ray", path=str(Path(sys.executable).parent)) or "ray"
ENVIRONMENT = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
ITEMS = 100


def _node(*where: str) -> subprocess.Popen[bytes]:
    """Start a node of one core, in a session of its own, so that it can be killed whole."""
    command = [RAY, "start", *where, "--node-ip-address", "127.0.0.1", "--num-cpus", "1",
               "--block", "--disable-usage-stats"]  # fmt: skip
    return subprocess.Popen(
        command, env=ENVIRONMENT, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def _end(node: subprocess.Popen[bytes]) -> None:
    """Kill a node, its object store and its workers: as a machine that goes down."""
    if node.poll() is None:
        os.killpg(node.pid, signal.SIGKILL)
    node.wait()


@pytest.fixture
def cluster() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The address of a cluster of two nodes, and the second of them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"127.0.0.1:{port}"
    head = _node("--head", "--port", str(port), "--include-dashboard", "false")
    second = None
    try:
        _wait_for(address, 1)
        second = _node("--address", address)
        _wait_for(address, 2)
        yield address, second
    finally:
        for node in filter(None, (second, head)):
            _end(node)


def _wait_for(address: str, nodes: int) -> None:
    code = (
        "import ray, sys; ray.init(sys.argv[1], logging_level='ERROR');"
        "sys.exit(sum(node['Alive'] for node in ray.nodes()) < int(sys.argv[2]))"
    )
    command = [sys.executable, "-c", code, address, str(nodes)]
    for _ in range(30):
        if not subprocess.run(
            command, env=ENVIRONMENT, capture_output=True, check=False
        ).returncode:
            return
        time.sleep(1)
    pytest.fail(f"no cluster of {nodes} nodes within 30 tries")


@pytest.mark.slow
def test_a_node_that_dies_loses_and_doubles_no_row(
    cluster: tuple[str, subprocess.Popen[bytes]], optdigits: Any, tmp_path: Path
) -> None:
    address, second = cluster
    pictures = np.concatenate([optdigits[0]] * 10)
    np.save(tmp_path / "pictures.npy", pictures)
    asked = ["batch", str(tmp_path / "pictures.npy"), "--items", str(ITEMS), "--workers", "2"]
    assert run([*asked, "-o", str(tmp_path / "here")]) == 0
    there = tmp_path / "there"
    command = [sys.executable, "-m", "digitreader", *asked, "-o", str(there),
               "--engine", "ray", "--address", address]  # fmt: skip
    process = subprocess.Popen(command, env=ENVIRONMENT)
    while len(list(there.glob("part-*"))) < 5:
        assert process.poll() is None
        time.sleep(0.01)
    _end(second)
    assert len(list(there.glob("part-*"))) < len(pictures) // ITEMS, "it was over before"
    assert process.wait(timeout=300) == 0
    assert dataset.dataset(there).count_rows() == len(pictures)
    assert dataset.dataset(there).to_table() == dataset.dataset(tmp_path / "here").to_table()
