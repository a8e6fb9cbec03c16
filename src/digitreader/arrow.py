"""Readings as an Arrow table, a row a page: what Parquet files hold, here and from a batch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from digitreader.errors import needs_extra
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

    Column by column: from a dictionary of each reading it would take several times as long.
    """
    import pyarrow as pa

    own = schema()
    digits = _digits([digit for reading in readings for digit in reading.digits], own)
    lines = pa.array([list(reading.lines) for reading in readings], own.field("lines").type)
    return pa.table(
        [
            pa.array([reading.source for reading in readings], pa.string()),
            pa.array([reading.page for reading in readings], pa.int64()),
            *(pa.array([getattr(reading, name) for reading in readings], pa.string())
              for name in TEXTS),
            lines,
            _listed(digits, [len(reading.digits) for reading in readings]),
        ],
        schema=own,
    )  # fmt: skip


def _digits(digits: list[Digit], own: pa.Schema) -> pa.StructArray:
    import pyarrow as pa

    kind = own.field("digits").type.value_type
    top3 = [pair for digit in digits for pair in digit.top3]
    likely = pa.StructArray.from_arrays(
        [pa.array([label for label, _ in top3], pa.string()), _rounded([p for _, p in top3])],
        fields=list(kind.field("top3").type.value_type),
    )
    probabilities = [digit.probabilities for digit in digits]
    flat = np.concatenate(probabilities) if digits else np.empty(0, np.float32)
    return pa.StructArray.from_arrays(
        [
            pa.array([digit.label for digit in digits], pa.string()),
            _rounded([digit.confidence for digit in digits]),
            _listed(_rounded(flat), [len(row) for row in probabilities]),
            _listed(likely, [len(digit.top3) for digit in digits]),
            _listed(pa.array(np.array([d.box for d in digits], np.int64).ravel()),
                    [4] * len(digits)),
            pa.array([digit.status for digit in digits], pa.string()),
        ],
        fields=list(kind),
    )  # fmt: skip


def _listed(values: pa.Array, lengths: list[int]) -> pa.ListArray:
    """Cut an array into lists of these lengths."""
    import pyarrow as pa

    return pa.ListArray.from_arrays(
        pa.array(list(accumulate(lengths, initial=0)), pa.int32()), values
    )


def _rounded(values: Any) -> pa.Array:
    import pyarrow as pa

    return pa.array(np.round(np.asarray(values, np.float64), DECIMALS))
