"""A service attacked: requests made to break it are refused in words, and all others go on.

Ten thousand connections: `python -m pytest -m slow tests/test_service_attacked.py`
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from digitreader.doors.service.app import create
from digitreader.doors.service.settings import Settings
from service_server import PATIENCE, Served, received, serving

EXAMPLES = Path(__file__).parent.parent / "examples"
TINY = (EXAMPLES / "tiny_28x28.png").read_bytes()
PAGE = (EXAMPLES / "page.jpg").read_bytes()
PNG = {"Content-Type": "image/png"}
JSON = {"Content-Type": "application/json"}
INFER = "/v2/models/digits/infer"
DOORS = ("/read", "/classify", INFER)
CROWD = 20  # slow clients at a time


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("attacked")
    with serving(folder, "--receive-seconds", 3, "--idle-seconds", 1) as service:
        yield service
        assert service.complaints == []


@pytest.fixture(autouse=True)
def goes_on(served: Served) -> Iterator[None]:
    """After each attack others are answered as before."""
    yield
    answer = served.http.post("/read", content=TINY, headers=PNG)
    assert answer.json()["digits"]


def first_line(served: Served, sent: bytes) -> str:
    """What a bare connection is answered first."""
    with served.connect() as connection:
        with suppress(OSError):  # it may be cut off before all is sent
            connection.sendall(sent)
        try:
            return received(connection).split(b"\r\n")[0].decode()
        except ConnectionResetError:
            return "reset"


# ---------------------------------------------------------------- heads

ASK = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /read HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
TOO_LARGE = "HTTP/1.1 431 Request Header Fields Too Large"
BAD = "HTTP/1.1 400 Bad Request"
HEADS = {
    "one giant header": (ASK + b"X: " + b"x" * 10_000_000, TOO_LARGE),
    "headers without end": (ASK + b"X-A: b\r\n" * 500_000, TOO_LARGE),
    "a giant name": (ASK + b"x" * 100_000 + b": y\r\n\r\n", TOO_LARGE),
    "a giant path": (b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", TOO_LARGE),
    "a giant method": (b"G" * 100_000 + b" / HTTP/1.1\r\n\r\n", TOO_LARGE),
    "two lengths": (POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcde", BAD),
    "a length and pieces": (
        POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", BAD,
    ),
    "a negative length": (POST + b"Content-Length: -1\r\n\r\n", BAD),
    "a length beyond numbers": (POST + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n", BAD),
    "pieces of no size": (POST + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", BAD),
    "a zero byte": (ASK + b"X: a\0b\r\n\r\n", BAD),
}  # fmt: skip


@pytest.mark.parametrize("case", HEADS)
def test_a_head_made_to_do_harm_is_refused(served: Served, case: str) -> None:
    sent, expected = HEADS[case]
    assert first_line(served, sent) in {expected, "reset"}


# ---------------------------------------------------------------- paths

TRICKS = (
    "/../../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd",
    "/docs/../../etc/passwd", "/docs/..%2f..%2fetc%2fpasswd", "/v2/models/../../../etc/passwd",
    "/etc/passwd%00.png",
    "/v2/models/%2e%2e%2f%2e%2e/infer", "file:///etc/passwd", "http://127.0.0.1:9/etc/passwd",
    "/model/..;/etc/passwd", "/..\\..\\etc\\passwd",
)  # fmt: skip


@pytest.mark.parametrize("path", TRICKS)
def test_no_path_leads_to_a_file(served: Served, path: str) -> None:
    with served.connect() as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = received(connection)
    assert answer.split(b" ")[1] in {b"400", b"404", b"405"}
    assert b"root:" not in answer


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "..\\\\..\\\\x.png", "/etc/passwd", "C:\\\\x.png", "%2e%2e%2fx.png",
     "x\0.png", "x.png/../../y.npy", "@list.txt", "*"],
)  # fmt: skip
def test_a_file_s_name_in_a_form_is_only_repeated(served: Served, name: str) -> None:
    head = f'--x\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    body = head.encode() + TINY + b"\r\n--x--\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    row = served.http.post("/read", content=body, headers=kind).json()
    shown = name.replace("\\\\", "\\")
    assert row["source"] in {shown, shown.rpartition("\\")[2]}  # Windows's folders are left out
    assert row["digits"]


# ---------------------------------------------------------------- bodies


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("opened", [b"[", b'{"a":', b'{"images":[', b'{"inputs":[{"data":['])
@pytest.mark.parametrize("depth", [800, 100_000])
def test_deep_json_is_refused(served: Served, door: str, opened: bytes, depth: int) -> None:
    answer = served.http.post(door, content=opened * depth, headers=JSON)
    assert (answer.status_code, list(answer.json())) in [(400, ["error"]), (422, ["error"])]


GOOD = base64.b64encode(TINY).decode()
BAD_BASE64 = {
    "spaces": f" {GOOD} ",
    "lines": "\n".join(GOOD[i : i + 60] for i in range(0, len(GOOD), 60)),
    "too little padding": base64.b64encode(b"abcd").decode().rstrip("="),
    "too much padding": GOOD.rstrip("=") + "====",
    "padding within": "ab==" + GOOD,
    "the alphabet of addresses": "-_-_",
    "an address of data": f"data:image/png;base64,{GOOD}",
    "other letters": "０１２３",
    "half a surrogate": "\\ud800",
    "a zero byte": "\\u0000",
    "stars": "*" * 1000,
}


@pytest.mark.parametrize("case", BAD_BASE64)
def test_bad_base64_is_refused(served: Served, case: str) -> None:
    value = BAD_BASE64[case].replace("\n", "\\n")
    body = f'{{"images": [{{"data": "{value}"}}]}}'.encode()
    answer = served.http.post("/read", content=body, headers=JSON)
    assert answer.status_code == 422
    assert list(answer.json()) == ["error"]


@pytest.mark.parametrize("door", ["/read", "/classify"])
@pytest.mark.parametrize(
    "kind",
    ["text/html", "application/xml", "application/x-www-form-urlencoded", "application/jsonx",
     "multipart/mixed; boundary=x", "image", "*/*", "", ";", "x" * 5000],
)  # fmt: skip
def test_a_body_of_another_kind_is_refused(served: Served, door: str, kind: str) -> None:
    answer = served.http.post(door, content=TINY, headers={"Content-Type": kind})
    assert (answer.status_code, list(answer.json())) == (415, ["error"])


@pytest.mark.parametrize(
    "charset", ["punycode", "undefined", "utf-7", "unicode_escape", "no-such", ""]
)
def test_a_form_in_another_charset_is_refused(served: Served, charset: str) -> None:
    form = b'--x\r\nContent-Disposition: form-data; name="f"; filename="7.png"\r\n\r\n%b\r\n--x--'
    kind = f"multipart/form-data; boundary=x; charset={charset}"
    answer = served.http.post("/read", content=form % TINY, headers={"Content-Type": kind})
    assert (answer.status_code, list(answer.json())) == (422, ["error"])
    kind = "multipart/form-data; boundary=x; charset=UTF-8"
    answer = served.http.post("/read", content=form % TINY, headers={"Content-Type": kind})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "kind", ["image/png", "image/jpeg", "image/svg+xml", "application/pdf", "image/x-none"]
)
def test_what_a_picture_is_decides_its_bytes(served: Served, kind: str) -> None:
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
    for content, status in ((TINY, "ok"), (svg, "error"), (b"%PDF-1.7 " + svg, "error")):
        row = served.http.post("/read", content=content, headers={"Content-Type": kind}).json()
        assert row["status"] in {status, "unsure"} if status == "ok" else row["status"] == status
        assert "root:" not in str(row)


def test_half_sent_bodies_are_let_go(served: Served) -> None:
    """Some break off, some wait: none of them is held, and others are read meanwhile."""
    head = POST + b"Content-Length: %d\r\n\r\n" % len(PAGE)
    with ExitStack() as stack:
        for i in range(2 * CROWD):
            connection = stack.enter_context(served.connect())
            connection.sendall(head + PAGE[: len(PAGE) // 2])
            if i % 2:
                connection.close()
        assert served.http.post("/read", content=TINY, headers=PNG).status_code == 200
        until = time.monotonic() + PATIENCE
        while _metric(served, "digitreader_held_bytes"):
            assert time.monotonic() < until
            time.sleep(0.1)


def test_slow_clients_keep_nobody_waiting(served: Served) -> None:
    """Each sends a byte of its head now and then, until it is cut off; others are read."""
    with ExitStack() as stack:
        crowd = [stack.enter_context(served.connect()) for _ in range(CROWD)]
        left, read = list(crowd), 0
        until = time.monotonic() + PATIENCE
        while left:
            assert time.monotonic() < until
            left = [connection for connection in left if _dribbles(connection)]
            answer = served.http.post("/read", content=TINY, headers=PNG)
            assert answer.status_code == 200
            read += 1
        assert read > 1


def _dribbles(connection: socket.socket) -> bool:
    """Send a byte; whether the connection is open still."""
    connection.setblocking(False)
    try:
        connection.send(b"G")
        connection.recv(65536)  # an answer, or the end
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _metric(served: Served, name: str) -> float:
    text = served.http.get("/metrics").text
    return float(text.split(f"\n{name} ")[1].split()[0])


# ---------------------------------------------------------------- the token


def test_a_token_is_compared_in_a_time_that_tells_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the library's comparison for secrets, all of it each time, however much is right."""
    compared: list[tuple[Any, Any]] = []
    ours = hmac.compare_digest

    def spied(given: Any, expected: Any) -> bool:
        compared.append((given, expected))
        return ours(given, expected)

    monkeypatch.setattr(hmac, "compare_digest", spied)
    (tmp_path / "token").write_text("s3cret")
    app = create(Settings(token_file=tmp_path / "token"))
    tries = [b"", b"s", b"s3cre", b"s3cret", b"s3creT", b"s3cret-and-more", b"\xff\xfe"]

    async def ask() -> list[int]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            answers = [
                await client.get("/model", headers={b"Authorization": b"Bearer " + secret})
                for secret in tries
            ]
        return [answer.status_code for answer in answers]

    assert asyncio.run(ask()) == [401, 401, 401, 200, 401, 401, 401]
    assert compared == [(secret, b"s3cret") for secret in tries]


# ---------------------------------------------------------------- connections


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_connections_beyond_the_limit_cost_nothing(count: int, tmp_path: Path) -> None:
    """As many as are let in stay open, the rest is turned away; all is as before afterwards."""
    most = count // 10
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 2 * most + 100:
        pytest.skip(f"needs {2 * most + 100} open files, ulimit -n says {soft}")
    with serving(tmp_path, "--max-connections", most, "--receive-seconds", 120) as served:
        place = (served.http.base_url.host, served.http.base_url.port or 80)
        served.http.close()  # its connection counts, too
        own = Path(f"/proc/{served.process.pid}")
        before = len(list((own / "fd").iterdir())) if own.exists() else 0
        kept, turned_away = [], 0
        try:
            for i in range(count):
                connection = socket.create_connection(place, PATIENCE)
                if i < most:
                    kept.append(connection)
                    continue
                with connection:
                    turned_away += received(connection).startswith(b"HTTP/1.1 503 ")
        finally:
            for connection in kept:
                connection.close()
        assert turned_away == count - most
        until = time.monotonic() + PATIENCE
        while own.exists() and len(list((own / "fd").iterdir())) > before + 1:
            assert time.monotonic() < until
            time.sleep(0.1)
        assert httpx.get(f"{served.url}/healthz", timeout=PATIENCE).status_code == 200
        assert served.complaints == []
