"""The examples of docs/service.md, as they stand there, against a running service."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from digitreader.doors.service.settings import Settings
from service_server import Served, serving

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "service.md").read_text(encoding="utf-8")
PLACE = "127.0.0.1:8000"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("docs"), "--linger-seconds", 0) as served:
        yield served


def blocks(language: str, service: Served) -> list[str]:
    """The page's examples in a language, for the running service."""
    found = re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)
    assert found
    assert all(PLACE in block for block in found)
    return [block.replace(PLACE, service.url.removeprefix("http://")) for block in found]


def test_python_prints_what_it_says(service: Served) -> None:
    for block in blocks("python", service):
        done = subprocess.run(
            [sys.executable, "-c", block], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        promised = re.findall(r"^# (.+)$", block, re.M)
        assert done.stdout.splitlines() == promised


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_curl_gets_readings(service: Served) -> None:
    lines = [line for block in blocks("bash", service) for line in block.splitlines()]
    done = [
        subprocess.run(line, cwd=ROOT, shell=True, capture_output=True, check=True)
        for line in lines
    ]
    one, two = (json.loads(each.stdout) for each in done)
    assert one["text"] == two[0]["text"] == "90210"


def test_options_named_on_the_page_exist() -> None:
    named = set(re.findall(r"--([a-z][a-z-]+)", PAGE)) - {"data-binary", "format"}
    assert named <= {field.name.replace("_", "-") for field in fields(Settings)}


def test_every_metric_is_on_the_page(service: Served) -> None:
    text = service.http.get("/metrics").text
    ours = set(re.findall(r"^# TYPE (digitreader_\w+)", text, re.M))
    ours = {name for name in ours if not name.endswith("_created")}
    assert ours == set(re.findall(r"`(digitreader_\w+)`", PAGE))
