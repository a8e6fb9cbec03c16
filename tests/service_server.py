"""A service in a process of its own, as users run it, for the tests that call it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

PATIENCE = 60  # s; a busy machine is no failure


class Served:
    """A running service: where it is, and what it writes."""

    def __init__(self, process: subprocess.Popen[str], log: Path, http: httpx.Client) -> None:
        self.process, self.log, self.http = process, log, http
        self.url = str(http.base_url).rstrip("/")
        self.complaints: list[str] = []
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stderr is not None
        self.complaints.extend(self.process.stderr)

    def requests(self) -> list[dict[str, Any]]:
        """The access log so far."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def end(self) -> int:
        """Ask it to end, wait, and give its exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE)
        self._listener.join(PATIENCE)
        return code

    def connect(self) -> socket.socket:
        """Open a bare connection, to misbehave on."""
        place = self.http.base_url
        return socket.create_connection((place.host, place.port or 80), PATIENCE)


@contextmanager
def serving(folder: Path, *options: object) -> Iterator[Served]:
    """Run `digitreader serve` on a free port with these options; end it afterwards."""
    log = folder / "access.log"
    command = [sys.executable, "-m", "digitreader", "serve", "--port", "0", *map(str, options)]
    with (
        log.open("w") as out,
        subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE, text=True) as process,
    ):
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            assert line.startswith("Reading digits at http://"), line + process.stderr.read()
            with httpx.Client(base_url=line.split()[3].rstrip(";"), timeout=PATIENCE) as http:
                served = Served(process, log, http)
                assert http.get("/readyz").status_code == 200
                yield served
        finally:
            process.terminate()  # its workers go with it, which they would not if it were killed
            process.wait(PATIENCE)


def received(connection: socket.socket) -> bytes:
    """Everything that comes until the other side closes."""
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)
