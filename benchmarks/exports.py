"""Every form of model file beside the model: how close, how large, how fast; what 8 bits cost.

    python benchmarks/exports.py runs/mnist-default-0 runs/accuracy/nano-0

The runs are those of `digitreader train` and of `python benchmarks/accuracy.py`. All 10,000 test
images of MNIST are counted for the model and for its file of 8 bits. Milliseconds are for 1,000
images in batches of 250, the fastest of five runs or of those a second holds.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from digitreader.outputs import write_json_file
from digitreader.training.evaluate import evaluate
from digitreader.training.formats import FORMATS
from digitreader.training.model_files import export, open_original, report
from machine import describe

RESULTS = Path(__file__).parent / "results" / "exports.json"


def measured(run: Path) -> dict[str, Any]:
    """Export a run in every format, and count the errors that 8 bits make."""
    original = open_original(run)
    with TemporaryDirectory() as folder:
        rows = report(original, list(export(original, list(FORMATS), Path(folder))))
        files = {"onnx": run / "model.onnx", "onnx-int8": Path(folder) / f"{run.name}-int8.onnx"}
        errors = {name: evaluate(file, "mnist").errors for name, file in files.items()}
    return {**rows, "recipe": original.model.card.trained["recipe"], "errors_of_10000": errors}


if __name__ == "__main__":
    packages = ("keras", "tensorflow-cpu", "onnxruntime", "ai-edge-litert", "openvino")
    busy = {
        "load_before": f"{os.getloadavg()[0]:.1f}"
    }  # above the number of cores, times mean little
    results = [measured(Path(run)) for run in sys.argv[1:]]
    command = " ".join(["python benchmarks/exports.py", *sys.argv[1:]])
    machine = describe(*packages) | busy
    write_json_file({"command": command, "machine": machine, "runs": results}, RESULTS)
    for result in results:
        print(result["model"], result["errors_of_10000"])
        for row in result["formats"]:
            print(*row.values(), sep="\t")
