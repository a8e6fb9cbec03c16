"""What every request passes: the token, the refusal of new work at the end, count and log."""

from __future__ import annotations

import hmac
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from digitreader.doors.service import access_log
from digitreader.doors.service.answers import Refusal
from digitreader.doors.service.metrics import REQUESTS, SECONDS
from digitreader.doors.service.work import SOON, Work

# Balancers and supervisors ask these, without a token and to the end.
PROBES = frozenset({"/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"})


class Gate:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, work: Work, token: str | None) -> None:
        self._app = app
        self._work = work
        self._token = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or not, and write down how it went."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = perf_counter()
        status = 500  # where nothing is answered

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if self._work.draining:
                    message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        refusal = self._refusal(scope)
        try:
            await (refusal.response() if refusal else self._app)(scope, receive, noted)
        finally:
            _write_down(scope, status, perf_counter() - began)

    def _refusal(self, scope: Scope) -> Refusal | None:
        if scope["path"] in PROBES:
            return None
        if self._token is not None and not self._knows_token(scope):
            refusal = Refusal(401, "expected the header 'Authorization: Bearer' with the token")
            refusal.headers["WWW-Authenticate"] = "Bearer"
            return refusal
        if self._work.draining:
            return Refusal(503, "the service is ending; try another, or again soon", SOON)
        return None

    def _knows_token(self, scope: Scope) -> bool:
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        scheme, _, secret = given.partition(b" ")
        assert self._token is not None
        # In a time that does not tell how much of it is right.
        return hmac.compare_digest(secret.strip(), self._token) and scheme.lower() == b"bearer"


def _write_down(scope: Scope, status: int, seconds: float) -> None:
    # Paths that are not ours have one name, or they would fill the memory.
    path = getattr(scope.get("route"), "path", "other")
    REQUESTS.labels(path, scope["method"], status).inc()
    SECONDS.labels(path).observe(seconds)
    access_log.write(scope, status, seconds)
