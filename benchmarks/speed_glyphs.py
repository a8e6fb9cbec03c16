"""Glyphs in process: many on one core, and one alone, by ours and by other runtimes.

Time does not depend on weights, so the other networks are not trained.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digitreader.card import ModelCard
from digitreader.classifier import Classifier
from digitreader.reader import Reader
from digitreader.reading import DIGIT_LABELS
from digitreader.training import networks
from digitreader.training.export import write_onnx
from digitreader.training.runtimes import RUNTIMES
from speed_clock import OURS, Plan, in_turn, rate_of, seconds_of, told

KERAS, LITERT = "Keras predict, double-conv", "LiteRT, double-conv"
M3 = "ONNX Runtime, M3"
COUNTS = {OURS: 10_000, KERAS: 1000, LITERT: 1000, M3: 250}  # glyphs of a run
CALLS = {OURS: 2000, "keras predict": 50}


def together(plan: Plan) -> dict[str, Any]:
    """Glyphs a second."""
    every = plan.digits(max(COUNTS.values())).images
    with TemporaryDirectory() as folder:
        readers = {OURS: Reader(threads=1).classify, **_peers(Path(folder))}
    some = {name: every[: plan.count(COUNTS[name])] for name in readers}
    contestants = {
        name: partial(rate_of, partial(classify, some[name]), len(some[name]))
        for name, classify in readers.items()
    }
    samples = in_turn(contestants, plan.runs)
    glyphs = {name: len(own) for name, own in some.items()}
    return {"glyphs": glyphs, **told(samples, "per_second")}


def _peers(folder: Path) -> dict[str, Any]:
    """What reads uint8 [N, 28, 28], ink bright, by name."""
    double = networks.build("double-conv", len(DIGIT_LABELS))
    double.save(folder / "double.keras")
    double.export(str(folder / "double.tflite"), format="litert", verbose=False)
    card = ModelCard("m3", DIGIT_LABELS, temperature=1.0, unsure_below=0.5)
    write_onnx(networks.build("speed_m3:body", len(DIGIT_LABELS)), folder / "m3.onnx", card)
    return {
        KERAS: RUNTIMES["keras"](folder / "double.keras"),
        LITERT: RUNTIMES["tflite"](folder / "double.tflite"),
        M3: Classifier.open(folder / "m3.onnx").probabilities,
    }


def alone(plan: Plan) -> dict[str, Any]:
    """One digit after the other, in ms: ours, and Keras's `predict` on the same network."""
    reader = Reader()
    glyphs = plan.digits(max(CALLS.values())).images
    scaled = glyphs[..., None].astype(np.float32) / 255  # [N, 28, 28, 1]
    calls: dict[str, tuple[Any, NDArray[Any]]] = {
        OURS: (reader.classify, glyphs),
        "keras predict": (partial(same_network(reader).predict, verbose=0), scaled),
    }
    contestants = {name: partial(_median_ms, call, images[: plan.count(CALLS[name])])
                   for name, (call, images) in calls.items()}  # fmt: skip
    samples = in_turn(contestants, plan.runs)
    times = {name: median(own) for name, own in samples.items()}
    return {**times, "ratio": times["keras predict"] / times[OURS]}


def same_network(reader: Reader) -> Any:
    """A Keras network as the one that reads most digits, with other weights."""
    return networks.build(reader.card.trained["quick"]["recipe"]["network"], len(reader.labels))


def _median_ms(call: Any, images: NDArray[Any]) -> float:
    times = [seconds_of(partial(call, images[i : i + 1])) for i in range(len(images))]
    return 1000 * median(times)
