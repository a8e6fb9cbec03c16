"""Connections that keep no one waiting: what is slow, endless or one too many is cut off.

uvicorn waits for a request as long as it takes, and lets its headers grow. A service that anyone
may call needs an end to both.
"""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from digitreader.doors.service.metrics import CUT_OFF
from digitreader.doors.service.settings import Settings
from digitreader.doors.service.work import SOON

END_OF_HEAD = b"\r\n\r\n"
LAST_CALL = 0.2  # s


class Connection(HttpToolsProtocol):
    """One connection, with a limit to the headers and to the time in which a request arrives."""

    def __init__(self, *arguments: Any, settings: Settings, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._settings = settings
        self._head = 0  # bytes of a head that is not complete yet
        self._last = b""  # the last of them: its end may come in two parts
        self._in_head = True
        self._arrival: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Let it in if there is room, and wait for a first request."""
        super().connection_made(transport)
        if len(self.connections) > self._settings.max_connections:
            self._cut_off(503, "too many connections are open; try again soon")
            return
        self._expect_all()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._all_came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came, as long as its head is not too large."""
        if self._in_head:
            end = (self._last + data).find(END_OF_HEAD)
            self._head += len(data) if end < 0 else max(0, end - len(self._last))
            self._last = (self._last + data)[1 - len(END_OF_HEAD) :]
            if self._head > 1000 * self._settings.max_head_kb:
                self._cut_off(431, f"the headers are larger than {self._settings.max_head_kb} kB")
                return
            if self.cycle is None or self.cycle.response_complete:
                self._expect_all()  # an empty line, too, is the beginning of something
        super().data_received(data)

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._in_head = True
        self._expect_all()

    def on_headers_complete(self) -> None:
        """Begin its body."""
        self._head, self._last, self._in_head = 0, b"", False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End a request: it came in time."""
        self._in_head = True
        self._all_came()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the answer to be taken, but not for ever."""
        super().on_response_complete()
        if self.transport.get_write_buffer_size():
            self.loop.call_later(self._settings.receive_seconds, self._end_if_stuck)

    def shutdown(self) -> None:
        """Close, when a request that is on its way at the end has been answered, too."""
        self.loop.call_later(LAST_CALL, super().shutdown)

    def _end_if_stuck(self) -> None:
        if self.transport.get_write_buffer_size():
            CUT_OFF.labels("answer not taken").inc()
            self.transport.abort()

    def _expect_all(self) -> None:
        if self._arrival is None:
            self._arrival = self.loop.call_later(self._settings.receive_seconds, self._too_slow)

    def _all_came(self) -> None:
        if self._arrival is not None:
            self._arrival.cancel()
            self._arrival = None

    def _too_slow(self) -> None:
        self._arrival = None
        if self.flow.read_paused:  # it is we who are slow
            self._expect_all()
        elif self.cycle and self.cycle.response_started and not self.cycle.response_complete:
            self.transport.abort()
        else:
            seconds = self._settings.receive_seconds
            self._cut_off(408, f"the request did not arrive within {seconds:g} s")

    def _cut_off(self, status: int, why: str) -> None:
        """Answer and close, whatever else may come."""
        CUT_OFF.labels(str(status)).inc()
        self._all_came()
        body = json.dumps({"error": why}).encode()
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nconnection: close\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
        )
        if status == 503:
            head += f"retry-after: {SOON}\r\n"
        self.transport.write(head.encode() + b"\r\n" + body)
        self.transport.close()
