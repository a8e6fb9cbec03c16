"""The application: its routes, each of which takes a request apart and calls the reader."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import cv2
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException

from digitreader import __version__
from digitreader.detection import Layout
from digitreader.doors.service import access_log, metrics, protocol
from digitreader.doors.service.answers import ReadingAnswer, Refusal, as_json, explained
from digitreader.doors.service.bodies import (
    SentGlyphs,
    SentPictures,
    glyphs_of,
    is_small,
    told,
    uploads_of,
)
from digitreader.doors.service.gate import Gate
from digitreader.doors.service.schema import BYTES, DOT, FORM, REFUSALS, describe, sent
from digitreader.doors.service.settings import Settings
from digitreader.doors.service.state import Given, Service
from digitreader.doors.service.work import readings
from digitreader.errors import ModelError, UsageError
from digitreader.pixel_csv import ink_bright

ABOUT = """Reads handwritten digits from pictures, and says how sure it is.

Nothing is fetched and nothing is kept: pictures are sent in requests, and forgotten when they are
answered. A picture that cannot be read is a row with status `error`, among those that can.
"""

router = APIRouter(responses=REFUSALS)


def create(settings: Settings) -> FastAPI:
    """Make the application.

    Raises:
        ModelError: the model is missing or is not one of ours.
        UsageError: the file of the token cannot be read, or is empty.
    """
    cv2.setNumThreads(1)  # the pool's threads are enough
    service = Service(settings)
    token = _token(settings.token_file)
    app = FastAPI(
        title="digitreader",
        version=__version__,
        description=ABOUT,
        lifespan=_lifespan,
        dependencies=[Depends(HTTPBearer(auto_error=False))] if token else [],
    )
    app.state.service = service
    app.add_middleware(Gate, work=service.work, token=token)
    app.include_router(router)
    app.include_router(protocol.router)
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _refused)
    app.add_exception_handler(Exception, _refused)
    app.openapi = lambda: describe(app, settings)  # type: ignore[method-assign]
    return app


@router.post(
    "/read",
    response_model=ReadingAnswer | list[ReadingAnswer],
    openapi_extra=sent(
        SentPictures,
        {"images": [{"name": "7.png", "data": DOT}]},
        **{"multipart/form-data": FORM, "image/*": BYTES, "application/pdf": BYTES},
        **{"application/octet-stream": BYTES},
    ),
)
async def read(
    request: Request,
    service: Given,
    layout: Annotated[
        Layout, Query(description="One main digit, all digits, or whichever it is.")
    ] = "auto",
    explain: Annotated[
        bool, Query(description="Add a picture of what decided each digit, PNG in base64.")
    ] = False,
) -> Response:
    """Read pictures: files of a form, JSON with base64, or the bytes of one.

    One page gives an object, several an array, as `digitreader read --format json` does.
    """
    service.work.check_room()
    async with service.bodies.of(request) as body:
        uploads = await uploads_of(request.headers, body, service.settings.max_pages)
        if layout == "auto" and not explain and len(uploads) == 1 and is_small(uploads[0]):
            rows = await service.read_small(uploads[0])
            metrics.count(rows)
            return Response(as_json(rows), media_type="application/json")

        def answer(deadline: float) -> bytes:
            rows = list(readings(service.reader, uploads, layout, service.settings, deadline))
            metrics.count(rows)
            return explained(rows, service.reader) if explain else as_json(rows)

        try:
            return Response(await service.work.do(answer), media_type="application/json")
        except ModelError as error:  # of a model without activation maps
            raise Refusal(422, str(error)) from error


@router.post(
    "/classify",
    response_model=list[ReadingAnswer],
    openapi_extra=sent(SentGlyphs, {"glyphs": [[[0] * 28] * 28]}),
)
async def classify(request: Request, service: Given) -> Response:
    """Read 28×28 pictures in MNIST's form, as `digitreader read` reads the rows of a CSV file."""
    service.work.check_room()
    async with service.bodies.of(request) as body:
        glyphs = ink_bright(glyphs_of(request.headers, body, service.settings.max_glyphs))
        rows = await service.read_glyphs(glyphs)
    metrics.count(rows)
    numbered = [replace(row, page=number) for number, row in enumerate(rows, start=1)]
    return Response(as_json(numbered, array=True), media_type="application/json")


@router.get("/healthz")
async def healthz() -> dict[str, bool]:
    """Tell that the process answers."""
    return {"live": True}


@router.get("/readyz")
async def readyz(service: Given) -> dict[str, bool]:
    """Tell whether new work is taken: not any more once the service is told to end."""
    service.check_ready()
    return {"ready": True}


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def expose() -> Response:
    """Give what Prometheus counts."""
    content, kind = metrics.exposed()
    return Response(content, headers={"Content-Type": kind})


@router.get("/model")
async def model(service: Given) -> dict[str, Any]:
    """Give the model's card (labels, temperature, threshold, measured scores) and its SHA-256."""
    return service.card


async def _refused(request: Request, error: Exception) -> Response:
    """Say in one line why; the error of a program has its story in the log of the server."""
    del request
    if isinstance(error, Refusal):
        return error.response()
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        return Refusal(422, told(first["loc"], first["msg"])).response()
    if isinstance(error, HTTPException):
        refusal = Refusal(error.status_code, str(error.detail))
        refusal.headers.update(error.headers or {})
        return refusal.response()
    return Refusal(500, "something is broken here; the server's log says what").response()


def _token(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: the token cannot be read: {error}") from error
    if not token:
        raise UsageError(f"{file}: empty; expected a token")
    return token


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Be ready before the first request, and finish what was accepted before the end."""
    service: Service = app.state.service
    access_log.open_log()
    if threading.current_thread() is threading.main_thread():
        _linger_on_sigterm(service)
    yield
    service.work.close()


def _linger_on_sigterm(service: Service) -> None:
    """Refuse new work at once on SIGTERM, and let uvicorn close the door a little later.

    uvicorn closes at once, and whoever sends at that moment on an open connection is lost. A
    terminal that is closed (SIGHUP) ends it the same way, or Python would let all go.
    """
    loop = asyncio.get_running_loop()
    at_once = signal.getsignal(signal.SIGTERM)
    assert callable(at_once)  # uvicorn's

    def later(number: int, frame: FrameType | None) -> None:
        if service.work.draining:
            at_once(number, frame)
            return
        service.work.draining = True
        loop.call_soon_threadsafe(
            loop.call_later, service.settings.linger_seconds, at_once, number, frame
        )

    signal.signal(signal.SIGTERM, later)
    hang_up = getattr(signal, "SIGHUP", None)  # Windows has none, and `nohup` wants it ignored
    if hang_up and signal.getsignal(hang_up) is signal.SIG_DFL:
        signal.signal(hang_up, lambda _, frame: later(signal.SIGTERM, frame))
