"""One line of JSON for each request: when, who, what, how it ended; nothing of what was sent."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from starlette.types import Scope

LONGEST = 200  # characters of a path

_LOG = logging.getLogger("digitreader.access")


def open_log() -> None:
    """Write the lines to standard output; where that is closed, requests are answered still."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    _LOG.handlers = [handler]
    _LOG.setLevel(logging.INFO)
    _LOG.propagate = False
    # What callers send wrongly is answered; it is no trouble of the service.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)


def write(scope: Scope, status: int, seconds: float) -> None:
    """Write a line about a request."""
    client = scope.get("client")
    row = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "client": client[0] if client else "",
        "method": scope["method"],
        "path": scope["path"][:LONGEST],
        "status": status,
        "ms": round(1000 * seconds, 2),
    }
    _LOG.info(json.dumps(row))
