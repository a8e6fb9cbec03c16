"""The open inference protocol, version 2, for clients that send tensors.

JSON tensors, and the binary tensor extension, in which a JSON head says how the bytes after it
are to be taken. https://github.com/kserve/open-inference-protocol
"""

from __future__ import annotations

import json
import math
import re
from itertools import chain
from typing import Any, Literal

import numpy as np
from fastapi import APIRouter, Request, Response
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from digitreader import __version__
from digitreader.doors.service.answers import Problem, Refusal
from digitreader.doors.service.bodies import parsed
from digitreader.doors.service.schema import REFUSALS, sent
from digitreader.doors.service.state import Given, Service
from digitreader.glyphs import SIDE

HEAD_LENGTH = "Inference-Header-Content-Length"
INPUT, OUTPUT = "glyphs", "probabilities"
VERSION = "1"  # of each model: a file is one
PLATFORM = "onnxruntime_onnx"

NO_MODEL: dict[int | str, dict[str, Any]] = {
    404: {"model": Problem, "description": "There is no such model, or version of it."}
}
router = APIRouter(prefix="/v2", tags=["open inference protocol"], responses=NO_MODEL | REFUSALS)


class Parameters(BaseModel):
    """What the binary tensor extension adds; other parameters are passed over."""

    model_config = ConfigDict(strict=True)
    binary_data_size: int | None = Field(default=None, ge=0)
    binary_data: bool | None = None
    binary_data_output: bool | None = None


class TensorIn(BaseModel):
    """The input `glyphs`: UINT8 [N, 28, 28], ink bright, as numbers, or as bytes after the JSON."""

    model_config = ConfigDict(strict=True)
    name: Literal["glyphs"]
    shape: list[int] = Field(min_length=3, max_length=3)
    datatype: Literal["UINT8"]
    parameters: Parameters = Parameters()
    data: list[Any] | None = None


class TensorAsked(BaseModel):
    """An output that is wanted."""

    model_config = ConfigDict(strict=True)
    name: Literal["probabilities"]
    parameters: Parameters = Parameters()


class Inference(BaseModel):
    """A request: the one input, and the outputs that are wanted; none means all."""

    model_config = ConfigDict(strict=True)
    id: str = ""
    parameters: Parameters = Parameters()
    inputs: list[TensorIn] = Field(min_length=1, max_length=1)
    outputs: list[TensorAsked] = []


@router.get("")
async def server() -> dict[str, Any]:
    """Who is here, and what it understands."""
    return {"name": "digitreader", "version": __version__, "extensions": ["binary_tensor_data"]}


@router.get("/health/live")
async def live() -> dict[str, bool]:
    """Tell that the process answers."""
    return {"live": True}


@router.get("/health/ready")
async def ready(service: Given) -> dict[str, bool]:
    """Tell whether new work is taken."""
    service.check_ready()
    return {"ready": True}


@router.get("/models/{model}")
@router.get("/models/{model}/versions/{version}")
async def metadata(service: Given, model: str, version: str = VERSION) -> dict[str, Any]:
    """Tell which tensors go in and out."""
    _check_model(service, model, version)
    labels = len(service.reader.labels)
    return {
        "name": model,
        "versions": [VERSION],
        "platform": PLATFORM,
        "inputs": [{"name": INPUT, "datatype": "UINT8", "shape": [-1, SIDE, SIDE]}],
        "outputs": [{"name": OUTPUT, "datatype": "FP32", "shape": [-1, labels]}],
    }


@router.get("/models/{model}/ready")
@router.get("/models/{model}/versions/{version}/ready")
async def model_ready(service: Given, model: str, version: str = VERSION) -> dict[str, Any]:
    """Tell whether the model takes new work."""
    _check_model(service, model, version)
    service.check_ready()
    return {"name": model, "ready": True}


@router.post("/models/{model}/infer", openapi_extra=sent(Inference))
@router.post("/models/{model}/versions/{version}/infer", openapi_extra=sent(Inference))
async def infer(request: Request, service: Given, model: str, version: str = VERSION) -> Response:
    """Give calibrated probabilities of 28×28 pictures."""
    _check_model(service, model, version)
    service.work.check_room()
    async with service.bodies.of(request) as body:
        asked, glyphs = _taken_apart(request.headers.get(HEAD_LENGTH), body, service)
        probabilities = await service.classify(glyphs)
    return _answer(asked, model, np.asarray(probabilities, np.float32))


def _check_model(service: Service, model: str, version: str) -> None:
    """Refuse a name that no model here has.

    Raises:
        Refusal: it is none.
    """
    if (model, version) != (service.reader.model, VERSION):
        raise Refusal(404, f"expected the model {service.reader.model!r}, version {VERSION}")


def _taken_apart(
    head_length: str | None, body: bytes, service: Service
) -> tuple[Inference, NDArray[np.uint8]]:
    """What is asked, and the glyphs: uint8 [N, 28, 28]."""
    most = service.settings.max_glyphs
    head, rest = body, b""
    if head_length is not None:
        if not re.fullmatch("[0-9]{1,9}", head_length) or int(head_length) > len(body):
            raise Refusal(400, f"{HEAD_LENGTH}: expected how many bytes of the body are JSON")
        head, rest = body[: int(head_length)], body[int(head_length) :]
    asked = parsed(Inference, head, most * (SIDE + 1) * (SIDE + 1))
    return asked, _glyphs(asked.inputs[0], rest, most)


def _glyphs(tensor: TensorIn, rest: bytes, most: int) -> NDArray[np.uint8]:
    shape = tensor.shape
    if shape[1:] != [SIDE, SIDE] or not 0 < shape[0] <= most:
        raise Refusal(400, f"{INPUT}.shape: expected [N, {SIDE}, {SIDE}], N from 1 to {most}")
    if (tensor.data is None) == (tensor.parameters.binary_data_size is None):
        raise Refusal(400, f"{INPUT}: expected either data or parameters.binary_data_size")
    size = math.prod(shape)
    if tensor.data is None:
        if len(rest) != size or tensor.parameters.binary_data_size != size:
            raise Refusal(400, f"{INPUT}: expected {size} bytes after the JSON, got {len(rest)}")
        return np.frombuffer(rest, np.uint8).reshape(shape)  # [N, 28, 28]
    values = _numbers(_flat(tensor.data))
    if values.size != size or not _are_bytes(values):
        raise Refusal(400, f"{INPUT}.data: expected {size} whole numbers 0–255")
    return values.astype(np.uint8).reshape(shape)  # [N, 28, 28]


def _flat(data: list[Any]) -> list[Any]:
    """The values of lists in lists, as deep as glyphs are, or of one that is flat already."""
    for _ in range(2):
        if all(isinstance(part, list) for part in data):
            data = list(chain.from_iterable(data))
    return data


def _numbers(values: list[Any]) -> NDArray[Any]:
    """Numbers as an array; where there is anything else, none.

    Of texts NumPy would make room for as many as there are values, each as long as the longest.
    """
    return np.asarray(values if {int, float}.issuperset(map(type, values)) else [])


def _are_bytes(values: NDArray[Any]) -> bool:
    return bool(((values >= 0) & (values <= 255) & (values % 1 == 0)).all())


def _answer(asked: Inference, model: str, values: NDArray[np.float32]) -> Response:
    """Write the probabilities, [N, K], as numbers, or as bytes after the JSON."""
    binary = bool(asked.parameters.binary_data_output)
    for output in asked.outputs:
        wanted = output.parameters.binary_data
        binary = binary if wanted is None else wanted
    tensor: dict[str, Any] = {"name": OUTPUT, "datatype": "FP32", "shape": list(values.shape)}
    if binary:
        tensor["parameters"] = {"binary_data_size": values.nbytes}
    else:
        tensor["data"] = values.ravel().tolist()
    answer: dict[str, Any] = {"model_name": model, "model_version": VERSION, "outputs": [tensor]}
    if asked.id:
        answer["id"] = asked.id
    head = json.dumps(answer).encode()
    if not binary:
        return Response(head, media_type="application/json")
    return Response(
        head + values.astype("<f4").tobytes(),
        media_type="application/octet-stream",
        headers={HEAD_LENGTH: str(len(head))},
    )
