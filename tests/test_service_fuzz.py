"""What the service says of itself in OpenAPI, tried out by a machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import positive_data_acceptance

from service_server import serving

# That a tensor's shape fits its data is beyond what a schema can say.
BEYOND_SCHEMA = [positive_data_acceptance]


@pytest.fixture(scope="module")
def operations(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Any]]:
    folder: Path = tmp_path_factory.mktemp("fuzz")
    with serving(folder, "--linger-seconds", 0) as served:
        described = schemathesis.openapi.from_url(f"{served.url}/openapi.json")
        results = list(described.get_all_operations())
        assert all(isinstance(result, Ok) for result in results)
        yield [result.ok() for result in results if isinstance(result, Ok)]
    assert served.complaints == []


def fuzz(operations: list[Any], mode: GenerationMode, examples: int) -> None:
    """Send so many requests to each operation, and compare every answer with what is said."""
    assert len(operations) > 10
    if mode is GenerationMode.NEGATIVE:  # only a body can be wrong
        operations = [operation for operation in operations if operation.body]
    for operation in operations:

        @seed(0)
        @settings(max_examples=examples, database=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode))
        def agrees(case: Any) -> None:
            excluded = BEYOND_SCHEMA if case.path.endswith("/infer") else []
            case.call_and_validate(excluded_checks=excluded)

        agrees()


MODES = pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])


@MODES
def test_it_does_what_it_says(operations: list[Any], mode: GenerationMode) -> None:
    fuzz(operations, mode, 5)


@pytest.mark.slow
@MODES
def test_it_does_what_it_says_at_length(operations: list[Any], mode: GenerationMode) -> None:
    """Minutes of it: `python -m pytest -m slow tests/test_service_fuzz.py`."""
    fuzz(operations, mode, 300)
