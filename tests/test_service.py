"""The HTTP service as its callers meet it: a real process, real pictures, the readings they get."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

import digitreader
from digitreader.classifier import shipped_model
from digitreader.doors.service.answers import ReadingAnswer
from service_server import PATIENCE, Served, serving

EXAMPLES = Path(__file__).parent.parent / "examples"
POSTCODE = EXAMPLES / "postcode.png"
TINY = EXAMPLES / "tiny_28x28.png"
PNG = {"Content-Type": "image/png"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("service"), "--linger-seconds", 0) as served:
        yield served
    assert served.complaints == []


@pytest.fixture(scope="session")
def glyphs() -> NDArray[np.uint8]:
    """Digits of the example page in the classifier's form: uint8 [N, 28, 28]."""
    page = digitreader.read(EXAMPLES / "page.jpg")
    return np.array([digit.glyph for digit in page.digits])


def by_command(*sources: Path) -> Any:
    """What the command line says about pictures."""
    command = [sys.executable, "-m", "digitreader", "read", "--format", "json", *map(str, sources)]
    done = subprocess.run(command, capture_output=True, check=False)
    return json.loads(done.stdout)


def form(*paths: Path) -> list[tuple[str, tuple[str, bytes]]]:
    return [("file", (str(path), path.read_bytes())) for path in paths]


def in_base64(content: bytes, **more: object) -> dict[str, object]:
    return {"images": [{"data": base64.b64encode(content).decode(), **more}]}


def metrics(service: Served) -> dict[tuple[str, ...], float]:
    """Every sample: its name and the values of its labels in the order of their names."""
    text = service.http.get("/metrics").text
    return {
        (sample.name, *(sample.labels[label] for label in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_json_is_that_of_the_command_line(service: Served, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    several = (POSTCODE, broken, TINY)
    assert service.http.post("/read", files=form(POSTCODE)).json() == by_command(POSTCODE)
    rows = service.http.post("/read", files=form(*several)).json()
    assert rows == by_command(*several)
    assert [row["status"] for row in rows][1] == "error"


def test_the_promised_models_are_what_is_answered(service: Served) -> None:
    row = service.http.post("/read", files=form(POSTCODE)).json()
    answer = ReadingAnswer.model_validate(row)
    assert answer.model_dump(mode="json", exclude_unset=True) == row
    assert answer.text == "90210"


def test_three_forms_of_a_request_give_one_reading(service: Served) -> None:
    content = POSTCODE.read_bytes()
    rows = [
        service.http.post("/read", files=form(POSTCODE)).json(),
        service.http.post("/read", content=content, headers=PNG).json(),
        service.http.post("/read", json=in_base64(content, name="a.png")).json(),
        service.http.post("/read", json=in_base64(content)).json(),
    ]
    assert [row.pop("source") for row in rows] == [str(POSTCODE), "<body>", "a.png", "images.0"]
    assert all(row == rows[0] for row in rows)


def test_pages_of_a_file_are_rows(service: Served) -> None:
    stack = io.BytesIO()
    first, second = Image.open(TINY).convert("L"), Image.new("L", (60, 40), "white")
    first.save(stack, "TIFF", save_all=True, append_images=[second])
    headers = {"Content-Type": "image/tiff"}
    rows = service.http.post("/read", content=stack.getvalue(), headers=headers).json()
    assert [(row["page"], row["status"]) for row in rows] == [(1, rows[0]["status"]), (2, "empty")]
    assert rows[0]["text"] == service.http.post("/read", files=form(TINY)).json()["text"]


def test_a_layout_can_be_asked_for(service: Served) -> None:
    content = POSTCODE.read_bytes()
    row = service.http.post("/read?layout=single", content=content, headers=PNG).json()
    assert len(row["digits"]) == 1


@pytest.mark.parametrize(
    "name", ["webcam:0", "http://127.0.0.1:9/x.png", "/etc/passwd", "../../x.csv", "-", "x.npy", ""]
)
def test_a_name_is_only_repeated(service: Served, name: str) -> None:
    row = service.http.post("/read", json=in_base64(TINY.read_bytes(), name=name)).json()
    assert row["source"] == name
    assert row["digits"]
    broken = service.http.post("/read", json=in_base64(b"broken", name=name)).json()
    assert (broken["source"], broken["status"]) == (name, "error")


def test_a_name_that_is_no_text_does_no_harm(service: Served) -> None:
    body = b'{"images": [{"name": "\\ud800", "data": ""}]}'
    assert service.http.post("/read", content=body, headers=JSON).status_code == 422
    kind = {"Content-Type": "multipart/form-data; boundary=x; charset=utf-8"}
    for name in (b"\xff", b"\xed\xa0\x80"):  # no UTF-8, and half of a pair
        head = b'--x\r\nContent-Disposition: form-data; name=f; filename="%b"\r\n\r\n' % name
        answer = service.http.post("/read", content=head + b"\r\n--x--\r\n", headers=kind)
        assert (answer.status_code, answer.json()["status"]) == (200, "error")


def test_glyphs_are_read_as_rows_of_a_table_are(
    service: Served, glyphs: NDArray[np.uint8], tmp_path: Path
) -> None:
    images = np.concatenate([glyphs, np.zeros((1, 28, 28), np.uint8)])
    table = tmp_path / "digits.csv"
    header = ",".join(f"pixel{i}" for i in range(784))
    np.savetxt(table, images.reshape(-1, 784), "%d", ",", header=header, comments="")
    told = by_command(table)
    rows = service.http.post("/classify", json={"glyphs": images.tolist()}).json()
    for row in (*told, *rows):
        row.pop("source")
    assert rows == told
    assert [row["status"] for row in rows][-1] == "empty"


def test_the_model_says_what_it_is(service: Served) -> None:
    told = service.http.get("/model").json()
    content = shipped_model("digits").read_bytes()
    assert told["sha256"] == hashlib.sha256(content).hexdigest()
    assert told["labels"] == list("0123456789")
    assert told["digitreader"] == digitreader.__version__
    assert 0 < told["unsure_below"] < 1


def test_everything_is_counted(service: Served) -> None:
    before = metrics(service)
    digits = service.http.post("/read", files=form(POSTCODE)).json()["digits"]
    service.http.get("/no/such/path")
    after = metrics(service)
    new = {key: after[key] - before.get(key, 0) for key in after}
    assert new["digitreader_requests_total", "POST", "/read", "200"] == 1
    assert new["digitreader_requests_total", "GET", "other", "404"] == 1
    assert new["digitreader_request_seconds_count", "/read"] == 1
    assert new["digitreader_readings_total", "ok"] == 1
    counted = sum(new[key] for key in new if key[0] == "digitreader_digits_total")
    assert counted == len(digits) == 5
    assert after["digitreader_requests_inside",] == after["digitreader_held_bytes",] == 0


def test_the_log_has_a_line_for_each_request_and_nothing_of_it(service: Served) -> None:
    content = TINY.read_bytes()
    before = len(service.requests())
    service.http.post("/read?layout=page", json=in_base64(content, name="a-secret.png"))
    until = time.monotonic() + PATIENCE
    told: set[tuple[Any, ...]] = set()
    while ("POST", "/read", 200) not in told:  # a line is written when its answer is out
        assert time.monotonic() < until
        rows = service.requests()[before:]
        told = {(row["method"], row["path"], row["status"]) for row in rows}
    assert set(rows[-1]) == {"time", "client", "method", "path", "status", "ms"}
    text = service.log.read_text()
    assert "a-secret" not in text
    assert base64.b64encode(content).decode()[:20] not in text


SQUARE = [[0] * 28] * 28
REFUSED: dict[str, tuple[str, dict[str, Any], int, str]] = {
    "nothing": ("/read", {"headers": PNG}, 400, "empty"),
    "no kind": ("/read", {"content": b"x"}, 415, "expected multipart/form-data"),
    "text": (
        "/read", {"content": b"x", "headers": {"Content-Type": "text/html"}}, 415, "text/html",
    ),
    "compressed": (
        "/read", {"content": gzip.compress(b"x"), "headers": PNG | {"Content-Encoding": "gzip"}},
        415, "compressed",
    ),
    "no file": ("/read", {"files": {"a": (None, "b")}}, 422, "no file"),
    "no boundary": (
        "/read", {"content": b"x", "headers": {"Content-Type": "multipart/form-data"}},
        422, "boundary",
    ),
    "too many files": ("/read", {"files": form(*[TINY] * 21)}, 422, "20"),
    "a path": ("/read", {"json": {"images": [{"path": "/etc/passwd"}]}}, 422, "images.0"),
    "an address": (
        "/read", {"json": in_base64(b"x", url="http://127.0.0.1")}, 422, "never opened or fetched",
    ),
    "an address as data": (
        "/read", {"json": {"images": [{"data": "http://127.0.0.1/7.png"}]}}, 422, "base64",
    ),
    "no images": ("/read", {"json": {"images": []}}, 422, "images"),
    "too many images": ("/read", {"json": {"images": [{"data": ""}] * 21}}, 422, "20 at most"),
    "half JSON": ("/read", {"content": b'{"images": [', "headers": JSON}, 422, "JSON"),
    "deep JSON": ("/read", {"content": b"[" * 900, "headers": JSON}, 422, "JSON"),
    "very deep JSON": ("/read", {"content": b"[" * 500_000, "headers": JSON}, 422, "more values"),
    "wide JSON": (
        "/classify", {"content": b"[1" + b",1" * 999_999 + b"]", "headers": JSON},
        422, "more values",
    ),
    "no layout": ("/read?layout=diagonal", {"content": b"x", "headers": PNG}, 422, "layout"),
    "no glyphs": ("/classify", {"json": {"glyphs": []}}, 422, "glyphs"),
    "narrow": ("/classify", {"json": {"glyphs": [[[0] * 27] * 28]}}, 422, "glyphs.0.0"),
    "bright": ("/classify", {"json": {"glyphs": [[[256] * 28] * 28]}}, 422, "255"),
    "words": ("/classify", {"json": {"glyphs": [[["1"] * 28] * 28]}}, 422, "number"),
    "fractions": ("/classify", {"json": {"glyphs": [[[0.5] * 28] * 28]}}, 422, "multiple of 1"),
    "crowd": ("/classify", {"json": {"glyphs": [SQUARE] * 257}}, 422, "256 at most"),
    "elsewhere": ("/nowhere", {"content": b"x"}, 404, "Not Found"),
    "otherwise": ("/healthz", {"content": b"x"}, 405, "Not Allowed"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_sense_is_refused_in_words(service: Served, case: str) -> None:
    path, sent, status, words = REFUSED[case]
    answer = service.http.post(path, **sent)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])
    assert words in answer.json()["error"]


def test_probes_answer(service: Served) -> None:
    for path in ("/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"):
        assert service.http.get(path).status_code == 200


def test_openapi_has_examples_that_work(service: Served) -> None:
    told = service.http.get("/openapi.json").json()
    assert {"/read", "/classify", "/healthz", "/readyz", "/metrics", "/model"} <= set(told["paths"])
    for path in ("/read", "/classify"):
        body = told["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        assert service.http.post(path, json=body["example"]).status_code == 200
    (example,) = told["components"]["schemas"]["ReadingAnswer"]["examples"]
    ReadingAnswer.model_validate(example)


def test_bodies_that_come_in_pieces_are_read(service: Served) -> None:
    content = TINY.read_bytes()
    pieces = (content[i : i + 50] for i in range(0, len(content), 50))
    row = service.http.post("/read", content=pieces, headers=PNG).json()
    assert row["digits"] == service.http.post("/read", files=form(TINY)).json()["digits"]


def test_many_callers_at_a_time_get_their_own_answers(
    service: Served, glyphs: NDArray[np.uint8]
) -> None:
    alone = service.http.post("/classify", json={"glyphs": glyphs.tolist()}).json()

    def one(i: int) -> Any:
        some = glyphs[i : i + 1 + i % 3].tolist()
        return service.http.post("/classify", json={"glyphs": some}).json()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(one, range(len(glyphs) - 2)))
    for i, rows in enumerate(answers):
        assert [row["page"] for row in rows] == list(range(1, 2 + i % 3))
        for row, expected in zip(rows, alone[i:], strict=False):
            assert row["text"] == expected["text"]
            for digit, same in zip(row["digits"], expected["digits"], strict=True):
                assert digit["probabilities"] == pytest.approx(same["probabilities"], abs=1e-4)
