"""How the three forms of a request become pictures: a form with files, JSON, or the bytes alone.

A name that comes with a picture is only repeated in its reading; nothing is opened or fetched.
"""

from __future__ import annotations

import base64
import binascii
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, TypeVar

import numpy as np
from fastapi import Request
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from digitreader.doors.service.answers import Refusal
from digitreader.doors.service.metrics import HELD
from digitreader.doors.service.settings import Settings
from digitreader.glyphs import SIDE
from digitreader.sources import Upload

RAW = ("image/", "application/pdf", "application/octet-stream")  # beginnings of content types
BASE64 = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
SMALL_BYTES, SMALL_SIDE = 10_000, 64  # bytes, px
CHARSETS = {"utf-8", "utf8", "us-ascii"}  # of a form; of Python's others some take minutes
WHOLE = "<body>"  # the name of a picture that is the request's body
LONGEST_NAME = 200  # characters
ROOM = 1000  # values of a JSON body beside those that it is about

Model = TypeVar("Model", bound=BaseModel)
T = TypeVar("T")
_Side = Annotated[list[T], Field(min_length=SIDE, max_length=SIDE)]
_Pixel = Annotated[float, Field(ge=0, le=255, multiple_of=1)]  # 7.0 is whole, as in JSON


class SentPicture(BaseModel):
    """A picture: the bytes of its file in base64, and a name for its reading."""

    model_config = ConfigDict(extra="forbid", strict=True)
    data: str = Field(json_schema_extra={"contentEncoding": "base64", "pattern": BASE64})
    name: str | None = None


class SentPictures(BaseModel):
    """Pictures to read; paths and web addresses are not: send the picture itself."""

    model_config = ConfigDict(extra="forbid", strict=True)
    images: list[SentPicture] = Field(min_length=1)


class SentGlyphs(BaseModel):
    """28×28 pictures in MNIST's form: rows of whole numbers 0–255, ink bright."""

    model_config = ConfigDict(extra="forbid", strict=True)
    glyphs: list[_Side[_Side[_Pixel]]] = Field(min_length=1)


class Bodies:
    """Takes in the bodies of requests, within what one and all of them may hold."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._held = 0

    @asynccontextmanager
    async def of(self, request: Request) -> AsyncIterator[bytes]:
        """Give a request's body, and let it go afterwards.

        Raises:
            Refusal: it is empty, compressed or too large, or too much is held already.
        """
        self._check(request.headers)
        chunks: list[bytes] = []
        held = 0
        try:
            async for chunk in request.stream():
                chunks.append(chunk)
                held += len(chunk)
                self._hold(len(chunk))
                self._check_size(held)
            if not held:
                raise Refusal(400, "the body is empty; expected a picture, a form or JSON")
            yield b"".join(chunks)
        except ClientDisconnect:
            raise Refusal(400, "the body ended early") from None
        finally:
            self._hold(-held)

    def _check(self, headers: Headers) -> None:
        encoding = headers.get("content-encoding", "identity")
        if encoding != "identity":
            raise Refusal(415, f"the body is compressed ({encoding[:20]}); send it as it is")
        length = headers.get("content-length", "")
        self._check_size(int(length) if length.isdecimal() else 0)

    def _check_size(self, size: int) -> None:
        if size > self._settings.max_body:
            raise Refusal(
                413, f"the request is larger than {self._settings.max_body_mb:g} MB; send less"
            )
        if self._held > self._settings.max_held:
            raise Refusal(503, "too much is being sent at the moment; try again soon", 1)

    def _hold(self, size: int) -> None:
        self._held += size
        HELD.inc(size)


async def uploads_of(headers: Headers, body: bytes, most: int) -> list[Upload]:
    """Pictures of a request to read, as many as may be.

    Raises:
        Refusal: the body is none of the three forms, or broken.
    """
    kind = _kind_of(headers)
    if kind in FORMS:
        return await FORMS[kind](headers, body, most)
    if kind.startswith(RAW):
        return [Upload(WHOLE, body)]
    raise Refusal(
        415,
        f"Content-Type {kind[:50] or 'is missing'!r}: expected {', '.join(FORMS)}, image/*, "
        "application/pdf or application/octet-stream",
    )


def is_small(picture: Upload) -> bool:
    """Whether this is a PNG of one small picture, which takes no time of others to read."""
    content = picture.content
    width, height = (int.from_bytes(content[at : at + 4]) for at in (16, 20))  # of the IHDR chunk
    return (
        content.startswith(PNG)
        and len(content) <= SMALL_BYTES
        and max(width, height) <= SMALL_SIDE
        and b"acTL" not in content  # it is not animated
    )


async def _of_form(headers: Headers, body: bytes, most: int) -> list[Upload]:
    async def whole() -> AsyncGenerator[bytes, None]:
        yield body

    _, options = parse_options_header(headers["content-type"])
    charset = options.get(b"charset", b"utf-8").decode("latin-1").lower()
    if charset not in CHARSETS:
        raise Refusal(422, f"the form's charset is {charset[:20]!r}; expected utf-8")
    parser = MultiPartParser(headers, whole(), max_files=most, max_fields=most)
    parser.spool_max_size = sys.maxsize  # in memory, as the body is already
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise Refusal(422, f"the form cannot be read: {error.message}") from error
    files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
    if not files:
        raise Refusal(422, "the form has no file; expected one or more, such as -F file=@7.png")
    return [Upload(_clean(f.filename or f"file {i}"), await f.read()) for i, f in enumerate(files)]


async def _of_json(headers: Headers, body: bytes, most: int) -> list[Upload]:
    del headers
    sent = parsed(SentPictures, body, 4 * most)
    if len(sent.images) > most:
        raise Refusal(422, f"images: expected {most} at most, got {len(sent.images)}")
    return [_from_base64(picture, f"images.{i}") for i, picture in enumerate(sent.images)]


Form = Callable[[Headers, bytes, int], Awaitable[list[Upload]]]
FORMS: dict[str, Form] = {"multipart/form-data": _of_form, "application/json": _of_json}


def _from_base64(picture: SentPicture, place: str) -> Upload:
    try:
        content = base64.b64decode(picture.data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refusal(
            422,
            f"{place}.data: expected a picture's bytes in base64; paths and addresses are not read",
        ) from error
    return Upload(_clean(place if picture.name is None else picture.name), content)


def glyphs_of(headers: Headers, body: bytes, most: int) -> NDArray[np.uint8]:
    """Glyphs of a request to classify: uint8 [N, 28, 28].

    Raises:
        Refusal: the body is something else, or has too many.
    """
    if _kind_of(headers) != "application/json":
        raise Refusal(415, f"Content-Type {_kind_of(headers)[:50]!r}: expected application/json")
    sent = parsed(SentGlyphs, body, most * (SIDE + 1) * (SIDE + 1))
    if len(sent.glyphs) > most:
        raise Refusal(422, f"glyphs: expected {most} at most, got {len(sent.glyphs)}")
    return np.array(sent.glyphs, np.uint8)


def parsed(model: type[Model], body: bytes, values: int) -> Model:
    """Read a JSON body that has no more values than its meaning allows.

    A few megabytes of brackets would take hundreds in memory, so they are counted first.

    Raises:
        Refusal: it has more, is not JSON, or not what the model says.
    """
    if sum(body.count(mark) for mark in (b",", b"[", b"{")) > values + ROOM:
        raise Refusal(422, "the JSON has more values than are read in one request; send less")
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise Refusal(422, told(first["loc"], first["msg"], first["type"])) from error


def told(place: tuple[int | str, ...], message: str, kind: str = "") -> str:
    """Say in a line where a request is not as expected."""
    where = ".".join(str(part) for part in place)
    if kind == "extra_forbidden":
        message = "not known here; pictures are sent, never opened or fetched"
    return f"{_clean(where)}: {message}" if where else message


def _kind_of(headers: Headers) -> str:
    """Return the content type, without what follows it."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _clean(name: str) -> str:
    """Return a name that can be written as UTF-8, and is not a text of its own."""
    return name[:LONGEST_NAME].encode("utf-8", "replace").decode()
