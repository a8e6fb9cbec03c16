"""A service under those who are slow, greedy, many, or who end it: it stays small and answers."""

from __future__ import annotations

import io
import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import onnx
import pytest
from PIL import Image

from digitreader.classifier import shipped_model
from digitreader.doors.cli import run
from service_server import PATIENCE, Served, received, serving

EXAMPLES = Path(__file__).parent.parent / "examples"
TINY = (EXAMPLES / "tiny_28x28.png").read_bytes()
PAGE = (EXAMPLES / "page.jpg").read_bytes()
PNG = {"Content-Type": "image/png"}
STRICT = {
    "--threads": 1,
    "--queue": 1,
    "--max-body-mb": 0.2,
    "--max-megapixels": 0.1,
    "--max-pages": 3,
    "--max-connections": 30,
    "--max-head-kb": 4,
    "--receive-seconds": 2,
    "--idle-seconds": 1,
}


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("strict")
    with serving(folder, *(word for option in STRICT.items() for word in option)) as served:
        yield served


def head_and_error(raw: bytes) -> tuple[bytes, str]:
    """First line of a raw answer and the error in its body; its connection is to be closed."""
    head, _, body = raw.partition(b"\r\n\r\n")
    assert b"connection: close" in head.lower()
    return head.split(b"\r\n")[0], json.loads(body)["error"]


def test_a_body_that_is_too_large_is_refused(strict: Served) -> None:
    large = bytes(300_000)
    declared = strict.http.post("/read", content=large, headers=PNG)
    assert (declared.status_code, "0.2 MB" in declared.json()["error"]) == (413, True)
    in_pieces = strict.http.post("/read", content=iter([large]), headers=PNG)
    assert in_pieces.status_code == 413
    assert strict.http.post("/read", content=TINY, headers=PNG).status_code == 200


def test_a_picture_with_too_many_pixels_is_a_row(strict: Served) -> None:
    bomb = io.BytesIO()
    Image.new("1", (4000, 4000)).save(bomb, "PNG")
    files = [("file", ("bomb.png", bomb.getvalue())), ("file", ("7.png", TINY))]
    rows = strict.http.post("/read", files=files).json()
    assert rows[0]["error"] == "bomb.png: more than 0.1 million pixels; make it smaller first"
    assert rows[1]["digits"]


def test_pages_beyond_the_limit_are_not_read(strict: Served) -> None:
    frames = [Image.new("L", (30, 30), 255 - i) for i in range(8)]
    stack = io.BytesIO()
    frames[0].save(stack, "TIFF", save_all=True, append_images=frames[1:])
    headers = {"Content-Type": "image/tiff"}
    rows = strict.http.post("/read", content=stack.getvalue(), headers=headers).json()
    assert [(row["page"], row["status"]) for row in rows] == [
        (1, "empty"), (2, "empty"), (3, "empty"), (4, "error"),
    ]  # fmt: skip
    assert "only 3 pages" in rows[-1]["error"]


@pytest.mark.parametrize(
    ("sent", "first"),
    [
        (b"POST /read HTTP/1.1\r\nHost: x\r\nX-Slow: ", b"HTTP/1.1 408 Request Timeout"),
        (
            b"POST /read HTTP/1.1\r\nContent-Type: image/png\r\nContent-Length: 9\r\n\r\nhalf",
            b"HTTP/1.1 408 Request Timeout",
        ),
        (b"", b"HTTP/1.1 408 Request Timeout"),
        (
            b"GET /healthz HTTP/1.1\r\nX-Large: " + b"x" * 5000 + b"\r\n\r\n",
            b"HTTP/1.1 431 Request Header Fields Too Large",
        ),
    ],
    ids=["slow head", "half a body", "nothing", "large head"],
)
def test_a_connection_that_holds_things_up_is_cut_off(
    strict: Served, sent: bytes, first: bytes
) -> None:
    with strict.connect() as connection:
        connection.sendall(sent)
        line, error = head_and_error(received(connection))
    assert line == first
    assert error


def test_an_empty_line_keeps_no_connection_open(strict: Served) -> None:
    with strict.connect() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b""
        while not answer.endswith(b"}"):
            answer += connection.recv(65536)
        connection.sendall(b"\r\n")
        line, _ = head_and_error(received(connection))
    assert line == b"HTTP/1.1 408 Request Timeout"


def test_a_head_whose_end_comes_in_two_parts_is_small_still(strict: Served) -> None:
    head = b"POST /read HTTP/1.1\r\nContent-Type: image/png\r\nContent-Length: 20000\r\n\r"
    with strict.connect() as connection:
        connection.sendall(head)
        time.sleep(0.2)  # so that it is read by itself
        connection.sendall(b"\n" + bytes(20_000))
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")


def test_what_is_no_http_is_refused(strict: Served) -> None:
    with strict.connect() as connection:
        connection.sendall(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
        assert received(connection).startswith(b"HTTP/1.1 400 ")


def test_a_body_that_dribbles_is_cut_off(strict: Served) -> None:
    with strict.connect() as connection:
        connection.sendall(b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        connection.settimeout(0.1)
        ended = False
        until = time.monotonic() + PATIENCE
        while not ended and time.monotonic() < until:
            try:
                connection.sendall(b"x")
                ended = connection.recv(65536) == b""
            except TimeoutError:
                continue
            except OSError:
                ended = True
    assert ended


def test_an_answer_that_is_not_taken_is_given_up(strict: Served) -> None:
    with strict.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        ask = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
        connection.sendall(400 * ask)  # some 12 MB of answers, more than lies in any buffer
        until = time.monotonic() + PATIENCE
        while 'why="answer not taken"' not in strict.http.get("/metrics").text:
            assert time.monotonic() < until
            time.sleep(0.1)


def test_one_connection_too_many_is_turned_away(strict: Served) -> None:
    idle = [strict.connect() for _ in range(30)]
    try:
        with strict.connect() as connection:
            raw = received(connection)
        line, _ = head_and_error(raw)
        assert line == b"HTTP/1.1 503 Service Unavailable"
        assert b"retry-after: 1\r\n" in raw.lower()
    finally:
        for connection in idle:
            connection.close()
    with httpx.Client(transport=httpx.HTTPTransport(retries=3)) as client:
        assert client.get(f"{strict.url}/healthz").status_code == 200


def test_a_full_queue_refuses_and_recovers(strict: Served) -> None:
    def read(_: int) -> httpx.Response:
        return strict.http.post("/read", content=PAGE, headers=PNG)

    answers: list[httpx.Response] = []
    until = time.monotonic() + PATIENCE
    while {answer.status_code for answer in answers} != {200, 503}:  # they must come at once
        assert time.monotonic() < until
        with ThreadPoolExecutor(8) as pool:
            answers += pool.map(read, range(8))
    for answer in answers:
        if answer.status_code == 503:
            assert answer.headers["Retry-After"] == "1"
            assert "waiting" in answer.json()["error"]
    assert read(0).status_code == 200


def test_nothing_grows(strict: Served) -> None:
    """Handles, threads and memory are what they were, after requests of all kinds."""

    def use() -> tuple[int, int, int]:
        own = Path(f"/proc/{strict.process.pid}")
        status = dict(line.split(":", 1) for line in (own / "status").read_text().splitlines())
        return (
            len(list((own / "fd").iterdir())),
            int(status["Threads"]),
            int(status["VmRSS"].split()[0]),
        )

    def some() -> None:
        for content in (TINY, b"broken", b""):
            strict.http.post("/read", content=content, headers=PNG)
        with strict.connect() as connection:
            connection.sendall(b"POST /read HTTP/1.1\r\nContent-Length: 5\r\n\r\nab")

    if not Path("/proc/self").exists():
        pytest.skip("needs /proc")
    for _ in range(10):
        some()
    time.sleep(1.5)
    handles, threads, memory = use()
    for _ in range(30):
        some()
    time.sleep(1.5)
    later = use()
    assert later[0] <= handles + 1
    assert later[1] <= threads
    assert later[2] <= 1.1 * memory


@pytest.fixture
def terminal() -> Iterator[None]:
    """As a program on a terminal is told of its end; under `nohup` nobody is."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda each: each.name)
def test_a_signal_finishes_what_was_accepted_and_refuses_the_rest(
    number: signal.Signals, tmp_path: Path
) -> None:
    rest = threading.Event()
    with (
        serving(tmp_path, "--threads", 1, "--linger-seconds", 4) as served,
        httpx.Client(base_url=served.url, timeout=PATIENCE) as late,
        ThreadPoolExecutor(6) as pool,
    ):
        assert late.get("/healthz").status_code == 200  # it is connected

        def in_two_halves() -> Iterator[bytes]:
            yield PAGE[:20_000]
            rest.wait(PATIENCE)
            yield PAGE[20_000:]

        def read() -> httpx.Response:
            return served.http.post("/read", content=in_two_halves(), headers=PNG)

        accepted = [pool.submit(read) for _ in range(6)]
        held = 0.0
        while held < 6 * 20_000:
            text = served.http.get("/metrics").text
            held = float(text.split("\ndigitreader_held_bytes ")[1].split()[0])
        served.process.send_signal(number)
        until = time.monotonic() + PATIENCE
        while (ready := served.http.get("/readyz")).status_code == 200:
            assert time.monotonic() < until
        refused = late.post("/read", content=TINY, headers=PNG)
        time.sleep(0.5)  # the door is open still
        again = httpx.post(f"{served.url}/read", content=TINY, headers=PNG)
        rest.set()
        answers = [future.result() for future in accepted]
        assert served.process.wait(PATIENCE) == 0
    assert [each.status_code for each in (ready, refused, again)] == [503] * 3
    assert refused.headers["Retry-After"] == "1"
    assert refused.headers["Connection"] == "close"
    assert [answer.status_code for answer in answers] == [200] * 6
    assert all(answer.json()["text"] for answer in answers)
    assert served.complaints == []


def _read_by(served: Served) -> float:
    """How many requests to read were counted."""
    text = served.http.get("/metrics").text
    counts = [x.split()[-1] for x in text.splitlines() if 'method="POST",path="/read"' in x]
    return float(counts[0]) if counts else 0


def test_several_workers_count_together_and_end_together(tmp_path: Path) -> None:
    with serving(tmp_path, "--workers", 2, "--linger-seconds", 0) as served:
        for _ in range(20):
            answer = httpx.post(f"{served.url}/read", content=TINY, headers=PNG, timeout=PATIENCE)
            assert answer.status_code == 200
        until = time.monotonic() + PATIENCE
        while _read_by(served) != 20:  # the last is counted when its answer is out
            assert time.monotonic() < until
        assert served.end() == 0
    assert served.complaints == []
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{served.url}/healthz")


def test_workers_are_changed_for_a_new_model_while_others_read(tmp_path: Path) -> None:
    """Each when its successor is ready; what meets one at its end is to be tried again."""
    path = tmp_path / "model.onnx"
    model = onnx.load(shipped_model("digits"))
    onnx.save(model, path)
    options = ("--workers", 2, "--model", path, "--linger-seconds", 0.5)
    with serving(tmp_path, *options) as served:
        (card,) = model.metadata_props
        card.value = json.dumps(json.loads(card.value) | {"name": "newer"})
        onnx.save(model, tmp_path / "newer.onnx")
        (tmp_path / "newer.onnx").replace(path)
        served.process.send_signal(signal.SIGHUP)
        by: list[str] = []
        until = time.monotonic() + PATIENCE
        while by[-20:] != ["newer"] * 20:
            assert time.monotonic() < until, by
            answer = httpx.post(f"{served.url}/read", content=TINY, headers=PNG, timeout=PATIENCE)
            assert answer.status_code in (200, 503), answer.text
            by += [answer.json()["model"]] if answer.status_code == 200 else []
        assert "digits" in by
        assert served.end() == 0
    assert served.complaints == []


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--port", "{taken}"), 2, "cannot listen at 127.0.0.1, port {taken}"),
        (("--model", "{folder}/no.onnx"), 3, "there is no model file"),
        (("--token-file", "{folder}/empty"), 2, "expected a token"),
        (("--threads", "0"), 2, "threads: expected 1 or more"),
        (("--max-megapixels", "inf"), 2, "max_megapixels: expected a finite number"),
        (("--answer-seconds", "nan"), 2, "answer_seconds: expected a finite number"),
    ],
    ids=["port", "model", "token", "number", "endless", "no number"],
)
def test_what_cannot_be_served_is_told_at_once(
    tmp_path: Path,
    options: tuple[str, str],
    code: int,
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty").touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        known = {"taken": taken.getsockname()[1], "folder": tmp_path}
        name, value = options
        assert run(["serve", name, value.format(**known)]) == code
    assert words.format(**known) in capsys.readouterr().err
