"""The rooms of the service one by one, without a process: the pool, batches, bodies, the token."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import threading
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

import httpx
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from digitreader.card import ModelCard
from digitreader.detection import Layout
from digitreader.doors.service.answers import Refusal
from digitreader.doors.service.app import create
from digitreader.doors.service.bodies import is_small
from digitreader.doors.service.settings import Settings
from digitreader.doors.service.state import Service
from digitreader.doors.service.work import Batches, Work, readings
from digitreader.reader import Reader
from digitreader.reading import Reading
from digitreader.sources import Page, Upload

T = TypeVar("T")
EXAMPLES = Path(__file__).parent.parent / "examples"
TINY = (EXAMPLES / "tiny_28x28.png").read_bytes()
PNG = {"Content-Type": "image/png"}


def ask(settings: Settings, calls: Callable[[httpx.AsyncClient], Awaitable[T]]) -> T:
    """Make an application and call it."""

    async def all_of_it() -> T:
        transport = httpx.ASGITransport(create(settings), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await calls(client)

    return asyncio.run(all_of_it())


@pytest.fixture(scope="session")
def with_maps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of one convolution, whose maps are its logits before they are pooled."""
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(10, 1, 7, 7)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["glyphs"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["floats", "axis"], ["image"]),
        helper.make_node("Conv", ["image", "weights"], ["seen"], strides=[7, 7]),
        helper.make_node("GlobalAveragePool", ["seen"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["logits"]),
        helper.make_node("Transpose", ["seen"], ["maps"], perm=[0, 2, 3, 1]),
    ]
    constants = [
        onnx.numpy_helper.from_array(weights / 2550, "weights"),
        onnx.numpy_helper.from_array(np.array([1]), "axis"),
    ]
    glyphs = helper.make_tensor_value_info("glyphs", TensorProto.UINT8, ["n", 28, 28])
    outputs = [
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 10]),
        helper.make_tensor_value_info("maps", TensorProto.FLOAT, ["n", 4, 4, 10]),
    ]
    graph = helper.make_graph(nodes, "tiny", [glyphs], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    card = ModelCard("tiny", tuple("0123456789"), 1.0, 0.5)
    helper.set_model_props(model, {"digitreader": json.dumps(card.as_dict())})
    path = tmp_path_factory.mktemp("maps") / "tiny.onnx"
    onnx.save(model, path)
    return path


def test_what_decided_is_drawn_when_it_is_asked_for(with_maps: Path) -> None:
    async def both(client: httpx.AsyncClient) -> list[Any]:
        paths = ("/read?layout=single&explain=true", "/read?layout=single")
        return [(await client.post(path, content=TINY, headers=PNG)).json() for path in paths]

    explained, plain = ask(Settings(model=with_maps), both)
    picture = base64.b64decode(explained["digits"][0].pop("explanation"))
    assert explained == plain
    reader = Reader(with_maps)
    expected = reader.explain(reader.read(TINY, "single").digits[0])
    shown = Image.open(io.BytesIO(picture))
    np.testing.assert_array_equal(np.asarray(shown), np.asarray(expected))


def test_a_token_opens_all_but_the_probes(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("s3cret\n")
    tries = {
        None: 401, "": 401, "Bearer": 401, "Bearer ": 401, "Bearer S3cret": 401, "s3cret": 401,
        "Basic s3cret": 401, "Bearer s3cret x": 401, "Bearer s3cret": 200, "bearer s3cret": 200,
    }  # fmt: skip

    async def statuses(client: httpx.AsyncClient) -> Any:
        given = [{} if t is None else {"Authorization": t} for t in tries]
        answers = [await client.get("/model", headers=headers) for headers in given]
        probes = [await client.get(p) for p in ("/healthz", "/readyz", "/v2/health/ready")]
        closed = [await client.get(p) for p in ("/metrics", "/openapi.json", "/docs", "/nowhere")]
        return answers, probes, closed

    answers, probes, closed = ask(Settings(token_file=file), statuses)
    assert [answer.status_code for answer in answers] == list(tries.values())
    assert answers[0].headers["WWW-Authenticate"] == "Bearer"
    assert list(answers[0].json()) == ["error"]
    assert {answer.status_code for answer in probes} == {200}
    assert {answer.status_code for answer in closed} == {401}


def test_more_than_may_be_held_is_refused_and_let_go() -> None:
    settings = Settings(max_held_mb=0.001)

    async def large_then_small(client: httpx.AsyncClient) -> list[int]:
        sizes = (bytes(2000), TINY, bytes(2000), TINY)
        return [(await client.post("/read", content=c, headers=PNG)).status_code for c in sizes]

    assert ask(settings, large_then_small) == [503, 200, 503, 200]


def test_a_body_that_breaks_off_is_let_go() -> None:
    settings = Settings(max_held_mb=0.001)

    async def half() -> AsyncIterator[bytes]:
        yield bytes(800)
        raise ConnectionError

    async def broken_then_whole(client: httpx.AsyncClient) -> list[int]:
        bodies = (half(), half(), TINY)
        return [(await client.post("/read", content=b, headers=PNG)).status_code for b in bodies]

    assert ask(settings, broken_then_whole) == [500, 500, 200]


@pytest.mark.parametrize("picture", [TINY, (EXAMPLES / "felt_pen.png").read_bytes()])
def test_a_fault_of_the_program_is_said_and_nothing_more(
    monkeypatch: pytest.MonkeyPatch, picture: bytes
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(Reader, "read_page", broken)
    monkeypatch.setattr(Reader, "read_together", broken)

    async def read(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post("/read", content=picture, headers=PNG)

    answer = ask(Settings(), read)
    assert (answer.status_code, list(answer.json())) == (500, ["error"])
    assert "secret" not in answer.text


def test_the_pool_takes_as_many_as_it_has_room_for() -> None:
    async def crowd() -> list[object]:
        work = Work(Settings(threads=2, queue=3))
        go = threading.Event()
        tasks = [asyncio.create_task(work.do(lambda _: go.wait(60))) for _ in range(8)]
        await asyncio.sleep(0)
        go.set()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        again = await work.do(lambda _: "again")
        work.close()
        return [*done, again]

    *done, again = asyncio.run(crowd())
    assert done[:5] == [True] * 5
    assert [getattr(error, "status", None) for error in done[5:]] == [503] * 3
    assert again == "again"


def test_work_whose_turn_comes_too_late_is_not_done() -> None:
    async def late() -> Refusal:
        work = Work(Settings(answer_seconds=-1))
        with pytest.raises(Refusal) as caught:
            await work.do(lambda _: pytest.fail("was done"))
        work.close()
        return caught.value

    assert asyncio.run(late()).status == 503


def test_small_pictures_do_not_wait_for_the_pages_that_wait() -> None:
    done: list[str] = []

    async def crowd() -> None:
        work = Work(Settings(threads=1))
        go = threading.Event()

        def page(deadline: float) -> bool:
            done.append("page")
            return deadline > 0 and go.wait(60)

        pages = [asyncio.create_task(work.do(page)) for _ in range(3)]
        await asyncio.sleep(0)
        small = asyncio.create_task(work.on_thread(lambda: done.append("small")))
        await asyncio.sleep(0)
        go.set()
        await asyncio.gather(*pages, small)
        work.close()

    asyncio.run(crowd())
    assert done == ["page", "small", "page", "page"]


def test_pages_after_the_deadline_or_beyond_the_limit_are_not_read() -> None:
    read: list[str] = []

    class Watched(Reader):
        def read_page(self, page: Page, layout: Layout = "auto") -> Reading:
            read.append(page.source)
            return super().read_page(page, layout)

    reader = Watched()
    uploads = [Upload(f"{i}.png", TINY) for i in range(4)]

    def rows(most: int, deadline: float) -> list[Reading]:
        read.clear()
        return list(readings(reader, uploads, "auto", Settings(max_pages=most), deadline))

    soon, past = monotonic() + 600, monotonic() - 1
    assert [row.error for row in rows(20, soon)] == [None] * 4
    assert [row.error for row in rows(4, soon)] == [None] * 4
    late = rows(20, past)
    assert [row.source for row in late] == ["0.png", "1.png"]
    assert "the time was over" in str(late[1].error)
    assert read == ["0.png"]
    assert "only 3 pages" in str(rows(3, soon)[3].error)
    assert read == ["0.png", "1.png", "2.png"]


def test_numbers_with_a_text_among_them_take_no_more_room_than_numbers() -> None:
    """NumPy would make room for as many texts, each as long as the longest: 160 MB."""
    tensor = {"name": "glyphs", "shape": [256, 28, 28], "datatype": "UINT8"}
    body = {"inputs": [{**tensor, "data": [0] * (256 * 784 - 1) + ["x" * 200]}]}

    async def infer(client: httpx.AsyncClient) -> httpx.Response:
        tracemalloc.start()
        return await client.post("/v2/models/digits/infer", json=body)

    assert ask(Settings(), infer).status_code == 400
    assert tracemalloc.get_traced_memory()[1] < 50_000_000
    tracemalloc.stop()


def test_what_several_callers_ask_goes_together() -> None:
    runs: list[int] = []

    async def run(things: list[int]) -> Sequence[int]:
        runs.append(len(things))
        await asyncio.sleep(0.01)
        return things

    async def callers() -> list[Sequence[int]]:
        batches = Batches(run, most=10, seconds=60)
        sizes = (1, 3, 6, 1, 4, 25, 2)
        return await asyncio.gather(*(batches.do([i] * size) for i, size in enumerate(sizes)))

    answers = asyncio.run(callers())
    assert answers == [[0], [1] * 3, [2] * 6, [3], [4] * 4, [5] * 25, [6] * 2]
    assert sum(runs) == 42
    assert runs == [10, 5, 25, 2]  # no more than ten together


def test_who_waits_too_long_for_a_run_is_refused() -> None:
    async def run(things: list[int]) -> Sequence[int]:
        await asyncio.sleep(0.1)
        return things

    async def callers() -> list[Any]:
        batches = Batches(run, most=1, seconds=0.05)
        first = asyncio.create_task(batches.do([1]))
        await asyncio.sleep(0)
        return await asyncio.gather(first, *map(batches.do, ([2], [3])), return_exceptions=True)

    first, *late = asyncio.run(callers())
    assert first == [1]
    assert [getattr(error, "status", None) for error in late] == [503, 503]


def test_a_run_that_fails_fails_for_its_callers_alone() -> None:
    async def run(things: list[int]) -> Sequence[int]:
        if any(things):
            raise RuntimeError("broken")
        return things

    async def callers() -> list[Any]:
        batches = Batches(run, most=1, seconds=60)
        return await asyncio.gather(*map(batches.do, ([0], [1], [0])), return_exceptions=True)

    first, second, third = asyncio.run(callers())
    assert (first, third) == ([0], [0])
    assert isinstance(second, RuntimeError)


def test_only_a_small_picture_may_go_with_others() -> None:
    def saved(width: int, height: int, kind: str = "png", **more: Any) -> Upload:
        stream = io.BytesIO()
        Image.new("L", (width, height), 255).save(stream, kind, **more)
        return Upload("x", stream.getvalue())

    assert is_small(saved(28, 28))
    assert is_small(saved(64, 64))
    assert is_small(Upload("cut.png", saved(28, 28).content[:40]))
    assert not is_small(saved(28, 65))
    assert not is_small(saved(10_000, 10_000))
    assert not is_small(saved(28, 28, "gif"))
    frames = [Image.new("L", (28, 28), level) for level in (0, 255)]
    assert not is_small(saved(28, 28, save_all=True, append_images=frames))
    assert not is_small(Upload("x", saved(28, 28).content + bytes(10_000)))
    assert not is_small(Upload("x", b""))


def test_small_pictures_of_many_callers_are_read_as_alone() -> None:
    service = Service(Settings(threads=1))
    sent = [Upload(f"{i}.png", content) for i, content in enumerate([TINY, TINY[:60], TINY] * 5)]

    async def callers() -> list[list[Reading]]:
        return await asyncio.gather(*map(service.read_small, sent))

    for upload, rows in zip(sent, asyncio.run(callers()), strict=True):
        alone = list(service.reader.read_many([upload]))
        assert [row.as_dict() for row in rows] == [row.as_dict() for row in alone]
    service.work.close()


@pytest.mark.parametrize("name", ["workers", "threads", "max_pages", "max_connections"])
def test_settings_that_make_no_sense_are_refused(name: str) -> None:
    from digitreader.errors import UsageError

    with pytest.raises(UsageError, match=f"{name}: expected 1 or more, got 0"):
        replace(Settings(), **{name: 0})  # type: ignore[arg-type]
