"""One picture by a whole process, from its start to its end, in turn with one that uses Keras.

Keras's does what the starting projects do: import Keras, load the model, predict. Wall time and
peak memory come from the operating system.
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from digitreader.reader import Reader
from speed_clock import OURS, PICTURE, Plan, whole_process
from speed_glyphs import same_network

KERAS_SCRIPT = """
import sys
import numpy as np
from PIL import Image
import keras
model = keras.saving.load_model(sys.argv[1])
pixels = np.asarray(Image.open(sys.argv[2]).convert("L"), np.float32) / 255
print(model.predict(pixels[None, ..., None], verbose=0).argmax())
"""


def cold(plan: Plan) -> dict[str, Any]:
    """Seconds and memory of each, after one round to warm up."""
    with TemporaryDirectory() as folder:
        network, script = Path(folder) / "model.keras", Path(folder) / "keras_read.py"
        same_network(Reader()).save(network)
        script.write_text(KERAS_SCRIPT)
        commands = {
            OURS: (str(Path(sys.executable).with_name("digitreader")), "read", str(PICTURE)),
            "keras": (sys.executable, str(script), str(network), str(PICTURE)),
        }
        samples: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _ in range(plan.runs + 1):
            for name, command in commands.items():
                samples[name].append(whole_process(*command))
    rows = {name: _row(own[1:]) for name, own in samples.items()}
    ratio = rows["keras"]["seconds_median"] / rows[OURS]["seconds_median"]
    return {"runs": plan.runs, **rows, "ratio_of_seconds": ratio}


def _row(samples: list[tuple[float, float]]) -> dict[str, Any]:
    seconds, megabytes = zip(*samples, strict=True)
    return {
        "seconds_median": median(seconds),
        "seconds_min_max": [min(seconds), max(seconds)],
        "peak_mb_median": median(megabytes),
    }
