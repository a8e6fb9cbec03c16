"""A webcam gives one settled picture, or says in one line why it gives none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from digitreader.arguments import expand
from digitreader.camera import WARM_UP
from digitreader.errors import SourceError
from digitreader.sources import missing, open_pages

Film = Callable[[int], None]


@pytest.fixture
def film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Film:
    """Make camera 3 a film of so many frames, ever brighter, the left half red."""
    path, opened = str(tmp_path / "film.avi"), cv2.VideoCapture

    def make(frames: int) -> None:
        writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
        for number in range(frames):
            frame = np.full((48, 64, 3), 6 * number, np.uint8)
            frame[:, :32] = [0, 0, 250]  # BGR
            writer.write(frame)
        writer.release()
        monkeypatch.setattr(cv2, "VideoCapture", lambda number: opened(path, number - 3))

    return make


@pytest.mark.parametrize(
    ("frames", "last"), [(40, WARM_UP - 1), (2, 1)], ids=["settled", "all there is"]
)
def test_a_camera_gives_one_page_once_it_has_settled(film: Film, frames: int, last: int) -> None:
    film(frames)
    (page,) = open_pages("webcam:3")
    assert (page.source, page.number) == ("webcam:3", 1)
    assert page.pixels.shape == (48, 64, 3)
    assert page.pixels.dtype == np.uint8
    np.testing.assert_allclose(page.pixels[20, 10], [250, 0, 0], atol=8)
    np.testing.assert_allclose(page.pixels[20, 54], 6 * last, atol=4)


def test_a_camera_without_a_picture_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Dark:
        released = False

        def isOpened(self) -> bool:  # noqa: N802 (OpenCV's name)
            return True

        def read(self) -> tuple[bool, None]:
            return False, None

        def release(self) -> None:
            Dark.released = True

    monkeypatch.setattr(cv2, "VideoCapture", lambda number: Dark())
    with pytest.raises(SourceError, match=r"^webcam:0: the camera gives no picture"):
        list(open_pages("webcam:0"))
    assert Dark.released


def test_no_camera_is_one_line_and_nothing_else(capfd: pytest.CaptureFixture[str]) -> None:
    log: Any = getattr(cv2.utils, "logging", cv2)  # which OpenCV 4 has itself
    level = log.getLogLevel()
    with pytest.raises(SourceError, match=r"^webcam:987: there is no such camera"):
        list(open_pages("webcam:987"))
    assert capfd.readouterr() == ("", "")
    assert log.getLogLevel() == level


@pytest.mark.parametrize("name", ["webcam:", "webcam:x", "webcam:-1", "webcam:/dev/video0"])
def test_a_camera_is_named_by_its_number(name: str) -> None:
    expected = f"{name}: expected webcam: and a camera's number, as webcam:0"
    assert missing(name) == expected
    with pytest.raises(SourceError, match=expected):
        list(open_pages(name))


def test_a_camera_is_a_source_among_others(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert list(expand(["webcam:0", "-"])) == ["webcam:0", "-"]
    assert missing("webcam:0") is None
