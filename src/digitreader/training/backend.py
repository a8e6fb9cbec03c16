"""Keras's backend, brought in without its noise."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def greetings_silenced() -> Iterator[None]:
    """Import TensorFlow in here: its C++ side greets on stderr whatever its log level says.

    Errors of the import still come as exceptions.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # what it says later, warnings and up
    # Several networks in a process, each compiled, are no mistake, which it warns of.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "wb") as nothing:  # noqa: PTH123 (the null device is no path)
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
