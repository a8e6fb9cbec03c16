"""What OpenAPI says of the bodies, which the routes take in themselves."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from digitreader.doors.service.answers import Problem
from digitreader.doors.service.settings import Settings

PLACE = "#/components/schemas/{model}"
BYTES = {"schema": {"type": "string", "format": "binary", "minLength": 1}}
FORM = {
    "schema": {
        "type": "object",
        "required": ["file"],
        "properties": {
            "file": {
                "type": "array",
                "minItems": 1,
                "items": {"type": "string", "format": "binary"},
            }
        },
    }
}
# A grey dot, as an example that can be sent.
DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="

EXAMPLE: dict[str, Any] = {
    "source": "7.png",
    "page": 1,
    "status": "ok",
    "text": "7",
    "lines": ["7"],
    "digits": [
        {
            "label": "7",
            "confidence": 0.999812,
            "probabilities": [0.0, 0.0, 0.000021, 0.0, 0.0, 0.0, 0.0, 0.999812, 0.0, 0.000167],
            "top3": [["7", 0.999812], ["9", 0.000167], ["2", 0.000021]],
            "box": [6, 4, 15, 20],
            "status": "ok",
        }
    ],
    "model": "digits",
    "error": None,
}

WHY = {
    400: "The body is empty, ended early, or is not what its head says.",
    401: "The token is missing or wrong.",
    408: "The request did not arrive in time.",
    413: "The request is too large.",
    415: "The body is of another kind, or compressed.",
    422: "The request is not as described here.",
    431: "The headers are too large.",
    503: "Too much to do, or the service ends: try again after Retry-After seconds.",
}
REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": why} for status, why in WHY.items()
}

_sent: set[type[BaseModel]] = set()  # the bodies' models, as the routes name them


def sent(model: type[BaseModel], example: Any = None, **others: Any) -> dict[str, Any]:
    """Describe a body: JSON by its model, and others by their content types."""
    _sent.add(model)
    by_json: dict[str, Any] = {"schema": {"$ref": PLACE.format(model=model.__name__)}}
    if example is not None:
        by_json["example"] = example
    content = {"application/json": by_json, **others}
    return {"requestBody": {"required": True, "content": content}}


def describe(app: FastAPI, settings: Settings) -> dict[str, Any]:
    """Give the whole description, with the models of the bodies and how much they may hold."""
    if not app.openapi_schema:
        told = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        _, models = models_json_schema(
            [(model, "validation") for model in sorted(_sent, key=str)], ref_template=PLACE
        )
        schemas = told["components"]["schemas"]
        schemas.update(models["$defs"])
        schemas["ReadingAnswer"]["examples"] = [EXAMPLE]
        schemas["SentPictures"]["properties"]["images"]["maxItems"] = settings.max_pages
        schemas["SentGlyphs"]["properties"]["glyphs"]["maxItems"] = settings.max_glyphs
        bodies = told["paths"]["/read"]["post"]["requestBody"]["content"]
        files = bodies["multipart/form-data"]["schema"]["properties"]["file"]
        files["maxItems"] = settings.max_pages
        app.openapi_schema = told
    return app.openapi_schema
