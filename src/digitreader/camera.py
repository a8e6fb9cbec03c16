"""A webcam's picture, taken with OpenCV."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from digitreader.errors import SourceError
from digitreader.pictures import Pixels

if TYPE_CHECKING:
    import cv2

SCHEME = "webcam:"
SILENT = 0  # OpenCV's log level
WARM_UP = 15  # frames, half a second; a camera's exposure settles in about as many


def is_webcam(text: str) -> bool:
    """Whether this names a camera."""
    return text.lower().startswith(SCHEME)


def not_a_camera(text: str) -> str | None:
    """Say what is wrong with the name of a camera."""
    if re.fullmatch(r"\d{1,3}", text[len(SCHEME) :], re.ASCII):
        return None
    return f"{text}: expected {SCHEME} and a camera's number, as {SCHEME}0"


def take(text: str) -> Pixels:
    """Take one picture with a camera, named as `webcam:0`: uint8 [H, W, 3].

    Raises:
        SourceError: the name has no number, there is no such camera, or it gives no picture.
    """
    import cv2

    why = not_a_camera(text)
    if why is not None:
        raise SourceError(why)
    with _quiet():
        camera = cv2.VideoCapture(int(text[len(SCHEME) :]))
        try:
            if not camera.isOpened():
                raise SourceError(f"{text}: there is no such camera, or another program has it")
            *_, last = None, *islice(_frames(camera), WARM_UP)
        finally:
            camera.release()
    if last is None:
        raise SourceError(f"{text}: the camera gives no picture; see that it is free and uncovered")
    return np.ascontiguousarray(last[..., ::-1])  # BGR → RGB


def _frames(camera: cv2.VideoCapture) -> Iterator[Pixels]:
    """Frames as long as there are any, in OpenCV's order: uint8 [H, W, 3], BGR."""
    while True:
        there, frame = camera.read()
        if not there:
            return
        yield np.asarray(frame, np.uint8)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep OpenCV's log off standard error: that there is no camera, we say ourselves."""
    import cv2

    log: Any = getattr(cv2.utils, "logging", cv2)  # which OpenCV 4 has itself
    before = log.getLogLevel()
    log.setLogLevel(SILENT)
    try:
        yield
    finally:
        log.setLogLevel(before)
