"""One small training on each of Keras's backends: the same command, the accuracy and the seconds.

    python benchmarks/backends.py [--only tensorflow jax] [--seeds 3]

`digitreader train --recipe fast` runs in a process of its own for each, with all cores, in the
precision that suits the processor, and in float32. A backend that is not installed is passed over,
with the command that brings it. Nothing is chosen by these numbers.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from digitreader.outputs import write_json_file
from machine import describe
from seeds import over_seeds
from sets import add_data

RESULT = Path(__file__).parent / "results" / "backends.json"
COMMAND = "python benchmarks/backends.py"
PACKAGES = {"tensorflow": "tensorflow-cpu", "jax": "jax", "torch": "torch"}
PRECISIONS = ("bfloat16", "float32")


def main() -> None:
    """Train with each, and write down what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data(parser)
    parser.add_argument("--only", nargs="*", choices=PACKAGES, default=list(PACKAGES))
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    rows = json.loads(RESULT.read_text("utf-8"))["backends"] if RESULT.exists() else {}
    for backend in options.only:
        if find_spec(backend) is None:
            print(f"{backend} is not installed: pip install {PACKAGES[backend]}")
            continue
        machine = describe("keras", PACKAGES[backend])
        for precision in PRECISIONS:
            runs = [trained(backend, precision, seed, options.data / "mnist")
                    for seed in range(options.seeds)]  # fmt: skip
            rows[f"{backend}, {precision}"] = row = {
                **over_seeds(runs, "seconds"),
                "command": f"{COMMAND} --seeds {options.seeds}",
                "version": machine[PACKAGES[backend]],
                "machine": machine,
            }
            write_json_file({"recipe": "fast", "backends": rows}, RESULT)
            print(f"{backend}, {precision}: {100 * row['accuracy_mean']:.2f}%, "
                  f"{row['seconds_mean']:.0f} s", flush=True)  # fmt: skip


def trained(backend: str, precision: str, seed: int, data: Path) -> dict[str, Any]:
    """Train in a process of its own; return accuracy and seconds of its run."""
    with TemporaryDirectory() as folder:
        command = [
            sys.executable, "-m", "digitreader", "train", "--recipe", "fast", "--seed", str(seed),
            "--set", f"precision={precision}", "--data-dir", str(data), "--out", f"{folder}/run",
        ]  # fmt: skip
        environment = os.environ | {"KERAS_BACKEND": backend}
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        metrics = json.loads(Path(folder, "run", "metrics.json").read_text("utf-8"))
        return {"accuracy": metrics["test"]["accuracy"], "seconds": metrics["seconds"]}


if __name__ == "__main__":
    main()
