"""What Prometheus counts. With several workers, prometheus-client adds them up through files.

Those lie in the folder that `PROMETHEUS_MULTIPROC_DIR` names before this is imported.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from digitreader.reading import Reading

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)  # s

REQUESTS = Counter("digitreader_requests", "Requests answered.", ("path", "method", "status"))
SECONDS = Histogram(
    "digitreader_request_seconds", "Time from headers to answer.", ("path",), buckets=BUCKETS
)
READINGS = Counter("digitreader_readings", "Pages and glyphs read, by status.", ("status",))
DIGITS = Counter("digitreader_digits", "Digits read; the share that is unsure.", ("status",))
INSIDE = Gauge(
    "digitreader_requests_inside", "Requests that are read or wait.", multiprocess_mode="livesum"
)
HELD = Gauge(
    "digitreader_held_bytes", "Bytes of requests held in memory.", multiprocess_mode="livesum"
)
CUT_OFF = Counter("digitreader_connections_cut_off", "Connections ended early.", ("why",))


def count(readings: Iterable[Reading]) -> None:
    """Count readings and their digits."""
    for reading in readings:
        READINGS.labels(reading.status).inc()
        for digit in reading.digits:
            DIGITS.labels(digit.status).inc()


def exposed() -> tuple[bytes, str]:
    """Everything counted, in Prometheus's text form, and its content type."""
    registry = REGISTRY
    if FOLDER in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry), CONTENT_TYPE_LATEST
