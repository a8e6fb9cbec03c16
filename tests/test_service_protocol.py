"""The open inference protocol, by a client that was not made for us."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tritonclient import http as triton
from tritonclient.utils import InferenceServerException

from digitreader.reader import Reader
from service_server import Served, serving

EXAMPLES = Path(__file__).parent.parent / "examples"
INFER = "/v2/models/digits/infer"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("protocol"), "--linger-seconds", 0) as served:
        yield served


@pytest.fixture(scope="module")
def client(service: Served) -> Iterator[Any]:
    with triton.InferenceServerClient(service.url.removeprefix("http://").rstrip("/")) as client:
        yield client


@pytest.fixture(scope="module")
def glyphs() -> NDArray[np.uint8]:
    """Noise and blanks, in the classifier's form: uint8 [N, 28, 28]."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (4, 28, 28), np.uint8)
    return np.concatenate([noise, np.zeros((1, 28, 28), np.uint8)])


def tensor(glyphs: NDArray[np.uint8], *, binary: bool = True) -> Any:
    tensor = triton.InferInput("glyphs", list(glyphs.shape), "UINT8")
    tensor.set_data_from_numpy(glyphs, binary_data=binary)
    return tensor


def body(**changed: Any) -> dict[str, Any]:
    blank = {"name": "glyphs", "shape": [1, 28, 28], "datatype": "UINT8", "data": [0] * 784}
    return {"inputs": [{**blank, **changed}]}


def test_the_client_finds_a_live_server_and_its_model(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("digits")
    assert client.is_model_ready("digits", "1")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    told = client.get_model_metadata("digits")
    assert told["inputs"] == [{"name": "glyphs", "datatype": "UINT8", "shape": [-1, 28, 28]}]
    assert told["outputs"] == [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]}]


@pytest.mark.parametrize("sent_binary", [True, False])
@pytest.mark.parametrize("asked", [None, True, False], ids=["default", "bytes", "numbers"])
def test_tensors_are_classified(
    client: Any, glyphs: NDArray[np.uint8], sent_binary: bool, asked: bool | None
) -> None:
    outputs = None
    if asked is not None:
        outputs = [triton.InferRequestedOutput("probabilities", binary_data=asked)]
    sent = [tensor(glyphs, binary=sent_binary)]
    result = client.infer("digits", sent, outputs=outputs, request_id="mine")
    assert result.get_response()["id"] == "mine"
    answer = result.as_numpy("probabilities")
    assert answer.dtype == np.float32
    np.testing.assert_allclose(answer, Reader().classify(glyphs), atol=1e-6)


def test_callers_at_the_same_time_get_their_own_answers(
    client: Any, glyphs: NDArray[np.uint8]
) -> None:
    expected = Reader().classify(glyphs)
    waiting = [client.async_infer("digits", [tensor(glyphs[i % 5 :])]) for i in range(40)]
    for i, request in enumerate(waiting):
        answer = request.get_result().as_numpy("probabilities")
        np.testing.assert_allclose(answer, expected[i % 5 :], atol=1e-5)


def test_another_model_is_not_here(client: Any, glyphs: NDArray[np.uint8]) -> None:
    with pytest.raises(InferenceServerException, match="expected the model 'digits', version 1"):
        client.infer("letters", [tensor(glyphs)])
    assert not client.is_model_ready("digits", "2")


REFUSED = {
    "short": (body(data=[0] * 783), "784 whole numbers"),
    "ragged": (body(data=[[0], [0, 1]]), "784 whole numbers"),
    "bright": (body(data=[256] * 784), "0–255"),
    "huge": (body(data=[10**40] * 784), "0–255"),
    "texts": (body(data=["0"] * 784), "whole numbers"),
    "truths": (body(data=[True] * 784), "whole numbers"),
    "fractions": (body(data=[0.5] * 784), "whole numbers"),
    "no data": (body(data=None), "either data or"),
    "flat": (body(shape=[784]), "shape"),
    "none at all": (body(shape=[0, 28, 28], data=[]), "shape"),
    "negative": (body(shape=[-1, 28, 28]), "shape"),
    "a crowd": (body(shape=[10**12, 28, 28]), "shape"),
    "floats": (body(datatype="FP32"), "UINT8"),
    "another name": (body(name="images"), "glyphs"),
    "nothing": ({"inputs": []}, "inputs"),
    "bytes that did not come": (
        body(data=None, parameters={"binary_data_size": 784}), "784 bytes after the JSON, got 0",
    ),
    "another output": ({**body(), "outputs": [{"name": "maps"}]}, "probabilities"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_tensors_that_make_no_sense_are_refused(service: Served, case: str) -> None:
    sent, words = REFUSED[case]
    answer = service.http.post(INFER, json=sent)
    assert answer.status_code in {400, 422}
    assert words in answer.json()["error"]


@pytest.mark.parametrize("length", ["-1", "x", "99999", "", "9" * 5000])
def test_a_head_of_no_such_length_is_refused(service: Served, length: str) -> None:
    headers = {"Inference-Header-Content-Length": length}
    answer = service.http.post(INFER, content=b"{}", headers=headers)
    assert (answer.status_code, list(answer.json())) == (400, ["error"])
