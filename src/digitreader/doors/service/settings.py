"""Every knob of the service on one screen: its default, its unit and what it is for.

Each is an option of `digitreader serve`, and an environment variable: `max_body_mb` is
`--max-body-mb` and `DIGITREADER_MAX_BODY_MB`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

from digitreader.errors import UsageError

MB = 1_000_000


@dataclass(frozen=True)
class Settings:
    """What the service does and how far it goes. The limits hold for each worker.

    Raises:
        UsageError: a number makes no sense.
    """

    host: Annotated[str, "Address to listen at; 0.0.0.0 lets the whole network in."] = "127.0.0.1"
    port: Annotated[int, "Port to listen at; 0 takes a free one."] = 8000
    workers: Annotated[int, "Processes; one for each core reads most."] = 1
    model: Annotated[Path | None, "An .onnx file; the default comes with the package."] = None
    token_file: Annotated[
        Path | None, "File with a secret that callers must send as 'Authorization: Bearer SECRET'."
    ] = None

    # Small pictures are read mostly by Python, one at a time; the second thread goes on with them
    # while a page is looked at, which takes a hundred times as long.
    threads: Annotated[int, "Requests that a worker reads at the same time."] = 2
    queue: Annotated[int, "Requests that may wait for a thread; more are refused with 503."] = 64
    answer_seconds: Annotated[
        float, "Time to wait for a thread and to read; pages that come later are not read."
    ] = 30
    drain_seconds: Annotated[
        int, "Time to finish what was accepted when the service is told to end."
    ] = 30
    linger_seconds: Annotated[
        float, "Time to go on refusing politely after SIGTERM, until load balancers have noticed."
    ] = 1

    max_body_mb: Annotated[float, "Size of a request, MB; a larger one is refused with 413."] = 20
    # A request is in memory up to four times while it is taken apart.
    max_held_mb: Annotated[float, "Size of all requests held at a time, MB."] = 200
    max_megapixels: Annotated[
        float, "Size of a picture, million pixels; of a large JPEG, as it is decoded: reduced."
    ] = 40
    max_pages: Annotated[int, "Pages and pictures in a request; the rest is not read."] = 20
    max_glyphs: Annotated[int, "28×28 pictures in a request to /classify or to infer."] = 256

    max_connections: Annotated[int, "Open connections; more are turned away with 503."] = 1000
    max_head_kb: Annotated[int, "Size of a request's headers, kB; larger ones are cut off."] = 16
    receive_seconds: Annotated[
        float, "Time for a request to arrive, and for its answer to be taken; then it is cut off."
    ] = 20
    idle_seconds: Annotated[int, "Time that a connection may stay open without a request."] = 5

    def __post_init__(self) -> None:
        for name in ("workers", "threads", "max_pages", "max_glyphs", "max_connections"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name}: expected 1 or more, got {getattr(self, name)}")
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float) and not math.isfinite(value):
                raise UsageError(f"{field.name}: expected a finite number, got {value}")

    @property
    def max_body(self) -> int:
        """Bytes of a request."""
        return int(self.max_body_mb * MB)

    @property
    def max_held(self) -> int:
        """Bytes of all requests held at a time."""
        return int(self.max_held_mb * MB)

    @property
    def max_pixels(self) -> int:
        """Pixels of a picture."""
        return int(self.max_megapixels * 1_000_000)
