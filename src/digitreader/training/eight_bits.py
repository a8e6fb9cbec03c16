"""An ONNX file's layers in 8 bits: two to three times as fast on one core, a quarter of the size.

Weights are signed and have a scale for each filter, activations are unsigned and have the range
they take on examples (static quantisation, Jacob et al. 2018). That pair is the one for which
processors have an instruction (VNNI, and its like on Arm); both signed, a network was slower
than in float32. Weights use 7 of their 8 bits, so that a processor without it cannot overflow
the 16 bits it adds up in, and every machine computes the same.

Two kinds of layers stay in float32: convolutions that see the input, whose one or two channels
are too few for that instruction (a stem of 5×5 took three times as long), and whatever gives an
output, which costs next to nothing and carries all of its precision.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

LAYERS = ("Conv", "MatMul", "Gemm")
BETWEEN = ("Add", "MaxPool", "Relu", "Resize")  # that can pass 8 bits on


def write(
    exact: Path,
    path: Path,
    examples: Iterable[NDArray[np.uint8]],
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> None:
    """Write an ONNX file with one input in 8 bits; examples are batches of what comes in.

    `ranges`, by the names of values in the file, are those of a network that learnt them; layers
    and sums that give others then stay in float32.
    """
    with TemporaryDirectory(dir=path.parent) as folder:
        prepared, draft = Path(folder) / "prepared.onnx", Path(folder) / "draft.onnx"
        quant_pre_process(exact, prepared, skip_symbolic_shape=True)
        graph = onnx.load(prepared).graph
        quantize_static(
            prepared,
            draft,
            _Batches(graph.input[0].name, examples),
            op_types_to_quantize=[*LAYERS, *BETWEEN],
            nodes_to_exclude=sorted(
                _first_convolutions(graph) | _last_layers(graph) | _without_range(graph, ranges)
            ),
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={
                "CalibMovingAverage": True,  # of batches' ranges: outliers widen them less
                "TensorQuantOverrides": {
                    name: [{"rmin": np.float32(low), "rmax": np.float32(high)}]
                    for name, (low, high) in (ranges or {}).items()
                },
            },
        )
        draft.replace(path)


class _Batches(CalibrationDataReader):  # type: ignore[misc]  # ONNX Runtime ships no types
    def __init__(self, name: str, batches: Iterable[NDArray[np.uint8]]) -> None:
        self._feeds = ({name: batch} for batch in batches)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        return next(self._feeds, None)


def _first_convolutions(graph: Any) -> set[str]:
    """Names of the convolutions that are reached from the input by way of no other layer."""
    found = set()
    waiting = [value.name for value in graph.input]
    while waiting:
        name = waiting.pop()
        for node in (node for node in graph.node if name in node.input):
            if node.op_type == "Conv":
                found.add(node.name)
            elif node.op_type not in LAYERS:
                waiting += node.output
    return found


def _last_layers(graph: Any) -> set[str]:
    """Names of the layers after which no other comes before an output, and of all after them."""
    makers = {name: node for node in graph.node for name in node.output}
    found = set()
    waiting = [value.name for value in graph.output]
    while waiting:
        node = makers.get(waiting.pop())
        if node is not None and node.name not in found:
            found.add(node.name)
            waiting += [] if node.op_type in LAYERS else node.input
    return found


def _without_range(graph: Any, ranges: Collection[str] | None) -> set[str]:
    """Names of the layers, sums and ReLUs that give no value, rectified or not, with a range."""
    if ranges is None:
        return set()
    rectified = {n.input[0]: n.output[0] for n in graph.node if n.op_type == "Relu"}
    found = set()
    for node in graph.node:
        gives = {node.output[0], rectified.get(node.output[0])}
        if node.op_type in (*LAYERS, "Add", "Relu") and not gives & set(ranges):
            found.add(node.name)
    return found
