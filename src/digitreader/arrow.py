"""Readings as an Arrow table, a row a page: what Parquet files hold, here and from a batch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from digitreader.errors import AS_ESCAPES, needs_extra
from digitreader.reading import Digit, Reading

if TYPE_CHECKING:
    import pyarrow as pa

DECIMALS = 6  # of probabilities, as in JSON
TEXTS = ("status", "text", "model", "error")


@cache
def schema() -> pa.Schema:
    """Columns of a page: those of JSON; the three likeliest labels are pairs with names."""
    with needs_extra("Parquet", "parquet"):
        import pyarrow as pa
    likely = pa.struct([("label", pa.string()), ("confidence", pa.float64())])
    digit = pa.struct(
        [
            ("label", pa.string()),
            ("confidence", pa.float64()),
            ("probabilities", pa.list_(pa.float64())),
            ("top3", pa.list_(likely)),
            ("box", pa.list_(pa.int64())),
            ("status", pa.string()),
        ]
    )
    return pa.schema(
        [
            ("source", pa.string()),
            ("page", pa.int64()),
            *((name, pa.string()) for name in TEXTS),
            ("lines", pa.list_(pa.string())),
            ("digits", pa.list_(digit)),
        ]
    )


def table_of(readings: Sequence[Reading]) -> pa.Table:
    """Return readings as a table of `schema`.

    Column by column: from a dictionary of each reading it would take several times as long. And
    from buffers: `pa.array` imports pandas where it is installed, 0.2 s and 36 MB of each process.
    """
    import pyarrow as pa

    own = schema()
    lines = _texts([line for reading in readings for line in reading.lines])
    digits = _digits([digit for reading in readings for digit in reading.digits], own)
    return pa.table(
        [
            _texts([reading.source for reading in readings]),
            _numbers([reading.page for reading in readings], np.int64),
            *(_texts([getattr(reading, name) for reading in readings]) for name in TEXTS),
            _listed(lines, [len(reading.lines) for reading in readings]),
            _listed(digits, [len(reading.digits) for reading in readings]),
        ],
        schema=own,
    )


def _digits(digits: list[Digit], own: pa.Schema) -> pa.StructArray:
    import pyarrow as pa

    kind = own.field("digits").type.value_type
    top3 = [pair for digit in digits for pair in digit.top3]
    likely = pa.StructArray.from_arrays(
        [_texts([label for label, _ in top3]), _rounded([p for _, p in top3])],
        fields=list(kind.field("top3").type.value_type),
    )
    probabilities = [digit.probabilities for digit in digits]
    flat = np.concatenate(probabilities) if digits else np.empty(0, np.float32)
    boxes = _numbers([side for digit in digits for side in digit.box], np.int64)
    return pa.StructArray.from_arrays(
        [
            _texts([digit.label for digit in digits]),
            _rounded([digit.confidence for digit in digits]),
            _listed(_rounded(flat), [len(row) for row in probabilities]),
            _listed(likely, [len(digit.top3) for digit in digits]),
            _listed(boxes, [len(digit.box) for digit in digits]),
            _texts([digit.status for digit in digits]),
        ],
        fields=list(kind),
    )


def _texts(texts: Sequence[str | None]) -> pa.StringArray:
    import pyarrow as pa

    encoded = [(text or "").encode(errors=AS_ESCAPES) for text in texts]
    ends = np.fromiter(accumulate(map(len, encoded), initial=0), np.int32)
    there = np.fromiter((text is not None for text in texts), np.bool_)
    bits = np.packbits(there, bitorder="little")
    buffers = (pa.py_buffer(part) for part in (ends, b"".join(encoded), bits))
    return pa.StringArray.from_buffers(len(texts), *buffers)


def _listed(values: pa.Array, lengths: list[int]) -> pa.ListArray:
    """Cut an array into lists of these lengths."""
    import pyarrow as pa

    ends = _numbers(list(accumulate(lengths, initial=0)), np.int32)
    return pa.ListArray.from_arrays(ends, values)


def _rounded(values: Any) -> pa.Array:
    return _numbers(np.round(np.asarray(values, np.float64), DECIMALS), np.float64)


def _numbers(values: Any, kind: type[np.generic]) -> pa.Array:
    import pyarrow as pa

    numbers = np.asarray(values, kind)
    dtype = pa.from_numpy_dtype(numbers.dtype)
    return pa.Array.from_buffers(dtype, len(numbers), [None, pa.py_buffer(numbers)])
