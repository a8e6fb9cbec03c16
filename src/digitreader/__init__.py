"""Reads handwritten digits from any picture, and says how sure it is.

import digitreader
print(digitreader.read("photo.jpg").text)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from digitreader.errors import DigitReaderError as DigitReaderError
    from digitreader.reader import Reader as Reader
    from digitreader.reader import read as read
    from digitreader.reading import Box as Box
    from digitreader.reading import Digit as Digit
    from digitreader.reading import Reading as Reading

__version__ = "0.1.0"

_HOMES = {
    "Box": "digitreader.reading",
    "Digit": "digitreader.reading",
    "DigitReaderError": "digitreader.errors",
    "Reader": "digitreader.reader",
    "Reading": "digitreader.reading",
    "read": "digitreader.reader",
}
__all__ = ["Box", "Digit", "DigitReaderError", "Reader", "Reading", "read"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import digitreader` stays instant."""
    if name not in _HOMES:
        raise AttributeError(f"module 'digitreader' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
