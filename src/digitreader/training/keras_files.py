"""A Keras file looked at before Keras opens it: what is code, or reaches out of it, is refused.

Keras refuses most of that itself (`safe_mode`); this needs no TensorFlow and says what it is in a
line, by name. What layers there are stands as JSON in a .keras file, which is a zip, and in a .h5
file's attributes.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from digitreader.errors import ModelError, first_line

CODE = frozenset({"Lambda", "__lambda__", "TorchModuleWrapper", "TFSMLayer", "JaxLayer"})
HOMES = ("keras", "builtins")  # of what Keras writes; builtins are its functions' names
MOST_BYTES = 1_000_000_000  # of a zip, unpacked
BROKEN = (
    OSError, KeyError, ValueError, TypeError, RuntimeError, zipfile.BadZipFile, zlib.error
)  # fmt: skip


def check(path: Path) -> None:
    """See that a .keras or .h5 file is one, with layers of Keras in it and no code.

    What is registered with Keras under a name of its own is left to Keras.

    Raises:
        ModelError: there is no such file, or it is otherwise.
    """
    if path.suffix not in CONFIGS:
        raise ModelError(f"{path}: expected a {' or '.join(CONFIGS)} file")
    if not path.is_file():
        raise ModelError(f"there is no model file {path}; expected a {path.suffix} file")
    try:
        parts = list(_parts(json.loads(CONFIGS[path.suffix](path))))
    except BROKEN as error:
        raise ModelError(
            f"{path} is not a readable {path.suffix} model: {first_line(error)}"
        ) from error
    for part in parts:
        name, module = str(part["class_name"]), str(part.get("module") or HOMES[0])
        if name in CODE:
            raise ModelError(f"{path} holds code ({name}): it is not opened")
        if not part.get("registered_name") and module.partition(".")[0] not in HOMES:
            raise ModelError(f"{path} asks for {module}.{name}, no layer of Keras: not opened")


def _of_zip(path: Path) -> bytes:
    """The configuration in a .keras file; ValueError where members are too large, or misnamed."""
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            place = PurePosixPath(member.filename.replace("\\", "/"))
            if place.is_absolute() or ".." in place.parts:
                raise ValueError(f"it has a member {member.filename!r}, outside of it")
        if sum(member.file_size for member in archive.infolist()) > MOST_BYTES:
            raise ValueError(f"larger than {MOST_BYTES // 1_000_000} MB, unpacked")
        return archive.read("config.json")


def _of_h5(path: Path) -> str | bytes:
    import h5py

    with h5py.File(path) as file:
        text: str | bytes = file.attrs["model_config"]
        return text


def _parts(config: Any) -> Iterator[dict[str, Any]]:
    """Yield all that a configuration has to make: what names a class, however deep."""
    waiting = [config]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if "class_name" in part:
                yield part
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part


CONFIGS: dict[str, Callable[[Path], str | bytes]] = {".keras": _of_zip, ".h5": _of_h5}
