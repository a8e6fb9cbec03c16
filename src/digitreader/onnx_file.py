"""An ONNX file looked at before anything of it runs: its notes, and whether it is whole in itself.

A tensor of an ONNX file may say that its numbers lie in another file, anywhere on this machine.
No model here does, and some versions of ONNX Runtime would read it. The file is a protocol buffer:
fields, each a number and a value, which may be a message of fields again (onnx.proto has the
numbers). To look through them takes a library no more than it takes ONNX Runtime.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from digitreader.errors import ModelError

MOST_BYTES = 100_000_000  # ten times the largest model that is trained here
NOTES = 14  # of a model: pairs of texts, in fields 1 and 2
# Of each kind of message, the fields in which a tensor may lie, and what these hold.
HOLD = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
PLACE, LOCATION = 13, 14  # of a tensor: where else its numbers are, and that they are elsewhere
WHERE = b"location"  # the name of that place; a file that has the word nowhere tells of none

Value = int | memoryview


def read_whole(path: Path) -> bytes:
    """Read an ONNX file that refers to no other.

    Raises:
        ModelError: there is none, it is broken or too large, or it refers to another file.
    """
    if path.suffix.lower() != ".onnx":
        raise ModelError(f"{path}: expected an .onnx file; no other kind is opened")
    try:
        if not path.is_file():
            raise ModelError(f"there is no model file {path}; expected an .onnx file")
        if path.stat().st_size > MOST_BYTES:
            raise ModelError(f"{path} is larger than {MOST_BYTES // 1_000_000} MB, as no model is")
        content = path.read_bytes()
        top = list(_fields(memoryview(content)))  # to see that it has an end
        if WHERE in content and _reaches_out(top, "model"):
            raise ModelError(f"{path} keeps numbers in another file, which is never opened")
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not a readable ONNX model: broken or cut short") from error
    return content


def notes_of(content: bytes) -> dict[str, str]:
    """Return what a model says about itself, by name.

    Raises:
        ValueError: it is no text.
    """
    notes = [value for field, value in _fields(memoryview(content)) if field == NOTES]
    pairs = [dict(_fields(note)) for note in notes if isinstance(note, memoryview)]
    return {_text(pair.get(1)): _text(pair.get(2)) for pair in pairs}


def _text(value: Value | None) -> str:
    return bytes(value).decode() if isinstance(value, memoryview) else ""


def _reaches_out(fields: Iterable[tuple[int, Value]], kind: str) -> bool:
    """Whether a tensor in a message has its numbers in another file."""
    for field, value in fields:
        if kind == "tensor" and (field == PLACE or (field == LOCATION and value)):
            return True
        inner = HOLD[kind].get(field)
        if inner and isinstance(value, memoryview) and _reaches_out(_fields(value), inner):
            return True
    return False


def _fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """Yield the fields of a message; ValueError where it is none."""
    place = 0
    while place < len(message):
        key, place = _number(message, place)
        value: Value
        match key & 7:
            case 0:
                value, place = _number(message, place)
                size = 0
            case 1:
                size = 8
            case 2:
                size, place = _number(message, place)
            case 5:
                size = 4
            case _:
                raise ValueError("no such kind of field")
        if key & 7:
            value = message[place : place + size]
            place += size
        yield (key & 0xFFFFFFFF) >> 3, value
    if place > len(message):
        raise ValueError("the last field is cut short")


def _number(message: memoryview, place: int) -> tuple[int, int]:
    """Read a number, seven bits a byte, the lowest first; return it, and where it ends."""
    number = 0
    for i, byte in enumerate(message[place : place + 10]):
        number |= (byte & 127) << 7 * i
        if byte < 128:
            return number, place + i + 1
    raise ValueError("the number has no end")
