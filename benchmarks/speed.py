"""One glyph in process, and one picture from a cold start, each beside Keras.

    python benchmarks/speed.py [--runs 11]

In process: the median of many calls of `classify` on one glyph, and of Keras's `predict` on the
same network. Cold start: `digitreader read` on one drawn digit as a whole process, in turn with a
script that does what the starting projects do: import Keras, load the model, predict. Wall time
and peak memory come from the operating system. Written to `benchmarks/results/speed.json`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from digitreader.outputs import write_json_file
from digitreader.reader import Reader
from digitreader.training import networks
from machine import describe

HERE = Path(__file__).parent
PICTURE = HERE.parent / "examples" / "tiny_28x28.png"
KERAS_SCRIPT = """
import sys
import numpy as np
from PIL import Image
import keras
model = keras.saving.load_model(sys.argv[1])
pixels = np.asarray(Image.open(sys.argv[2]).convert("L"), np.float32) / 255
print(model.predict(pixels[None, ..., None], verbose=0).argmax())
"""

STOPWATCH = """
import json, os, subprocess, sys, time
start = time.perf_counter()
nothing = subprocess.DEVNULL
process = subprocess.Popen(sys.argv[1:], stdout=nothing, stderr=nothing)
_, status, usage = os.wait4(process.pid, 0)
seconds = time.perf_counter() - start
print(json.dumps([seconds, usage.ru_maxrss, os.waitstatus_to_exitcode(status)]))
"""


def main() -> None:
    """Measure, print and write down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=11)
    parser.add_argument("--output", type=Path, default=HERE / "results" / "speed.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        network, script = Path(folder) / "model.keras", Path(folder) / "keras_read.py"
        script.write_text(KERAS_SCRIPT)
        one_glyph = in_process(network)
        ours = [str(Path(sys.executable).with_name("digitreader")), "read", str(PICTURE)]
        theirs = [sys.executable, str(script), str(network), str(PICTURE)]
        cold = in_turn(ours, theirs, options.runs)
    result = {
        "command": "python benchmarks/speed.py",
        "machine": describe("onnxruntime", "keras", "tensorflow-cpu"),
        "one glyph in process, ms": one_glyph,
        "one picture, cold": cold,
    }
    for name in ("one glyph in process, ms", "one picture, cold"):
        print(name, result[name])
    write_json_file(result, options.output)


def in_process(network: Path) -> dict[str, Any]:
    """Time one glyph through `classify` and through Keras; save the network for the cold start."""
    keras_network = networks.build("default", 10)  # the time does not depend on the weights
    keras_network.save(network)
    reader = Reader()
    glyph = np.random.default_rng(0).integers(0, 256, (1, 28, 28), dtype=np.uint8)
    scaled = glyph[..., None].astype(np.float32) / 255
    ours = median_ms(lambda: reader.classify(glyph), 2000)
    predict = median_ms(lambda: keras_network.predict(scaled, verbose=0), 50)
    return {"digitreader": ours, "keras predict": predict, "ratio": predict / ours}


def median_ms(call: Callable[[], object], calls: int) -> float:
    times = []
    for _ in range(calls + calls // 10):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times[calls // 10 :])


def in_turn(ours: list[str], theirs: list[str], runs: int) -> dict[str, Any]:
    """Run both commands in turn, after one warm-up each."""
    samples: dict[str, list[tuple[float, float]]] = {"digitreader": [], "keras": []}
    for _ in range(runs + 1):
        samples["digitreader"].append(whole_process(ours))
        samples["keras"].append(whole_process(theirs))
    result: dict[str, Any] = {"runs": runs}
    for name, pairs in samples.items():
        seconds, megabytes = zip(*pairs[1:], strict=True)
        result[name] = {
            "seconds_median": statistics.median(seconds),
            "seconds_min_max": [min(seconds), max(seconds)],
            "peak_mb_median": statistics.median(megabytes),
        }
    result["ratio_of_seconds"] = (
        result["keras"]["seconds_median"] / result["digitreader"]["seconds_median"]
    )
    return result


def whole_process(command: list[str]) -> tuple[float, float]:
    """Wall seconds and peak memory, MB, of a process, by the operating system's own account."""
    # A small process stands between: a child is charged with the peak of the one it is forked from.
    done = subprocess.run(
        [sys.executable, "-c", STOPWATCH, *command], capture_output=True, check=True
    )
    seconds, kilobytes, code = json.loads(done.stdout)
    if code:
        raise SystemExit(f"{' '.join(command)} ended with {code}")
    return seconds, kilobytes / 1024


if __name__ == "__main__":
    main()
