"""The default recipe beside the best of the starting projects, on MNIST, in one run.

    python benchmarks/training.py [--seeds 3] [--peer-epochs 30]

Trains the default recipe with several seeds, then the double-conv network under its own recipe
(Adam at 1e-3, batches of 128, rotation 10°, shift and zoom 0.1) until it first passes 99.3% on
the test images, and writes accuracy, seconds of training and the machine to
`benchmarks/results/training.json`, with a plot beside it. Nothing is chosen by these numbers.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
from matplotlib import pyplot as plt

from digitreader.outputs import write_json_file
from digitreader.training import export, networks, warps
from digitreader.training.batches import Batches, fed, varied_images
from digitreader.training.datasets import Dataset, Split, load
from digitreader.training.recipes import RECIPES
from digitreader.training.train import compile_network, train
from machine import describe
from seeds import over_seeds

RESULTS = Path(__file__).parent / "results"
PEER_BAR = 0.993


def main() -> None:
    """Train, measure, write down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--peer-epochs", type=int, default=30)
    parser.add_argument("--output", type=Path, default=RESULTS / "training.json")
    options = parser.parse_args()
    runs = [default_run(seed) for seed in range(options.seeds)]
    peer = peer_run(load("mnist"), options.peer_epochs)
    result = {
        "command": "python " + " ".join(["benchmarks/training.py", *sys.argv[1:]]),
        "machine": describe(),
        "default": {
            "runs": runs,
            **over_seeds(runs),
            "seconds_max": max(run["seconds"] for run in runs),
        },
        "double-conv": peer,
        "seconds_of_peer_to_bar_over_ours": (
            peer["seconds_to_bar"] and peer["seconds_to_bar"] / max(r["seconds"] for r in runs)
        ),
    }
    write_json_file(result, options.output)
    draw(result, options.output.with_suffix(".png"))


def default_run(seed: int) -> dict[str, Any]:
    """Train the default recipe as `digitreader train --seed N` does."""
    with TemporaryDirectory() as folder:
        run = train(RECIPES["default"].with_changes(seed=seed), Path(folder) / "run")
    assert run.test is not None
    print(f"default, seed {seed}: {run.test.summary()}, {run.seconds:.1f} s", flush=True)
    return {"seed": seed, "accuracy": run.test.accuracy, "loss": run.test.loss,
            "n": run.test.n, "seconds": run.seconds}  # fmt: skip


def peer_run(dataset: Dataset, epochs: int) -> dict[str, Any]:
    """Train the starting project's network on all its images, and look at the test after each."""
    assert dataset.test is not None
    recipe = RECIPES["double-conv"].with_changes(epochs=epochs)
    keras.utils.set_random_seed(0)
    network = networks.build(recipe.network, 10)  # float32, as the project trains it
    steps = len(dataset.train) // recipe.batch_size
    seen = varied_images(dataset.train.images, warps.named(recipe.augment))
    trainer = fed(network, seen, steps)
    compile_network(trainer, recipe, steps)
    log = PassedBar(network, dataset.test)
    trainer.fit(
        Batches(dataset.train, dataset.labels, recipe),
        steps_per_epoch=steps,
        epochs=epochs,
        callbacks=[log],
        shuffle=False,
        verbose=0,
    )
    return {"epochs": log.epochs, "bar": PEER_BAR, "seconds_to_bar": log.passed}


class PassedBar(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Notes accuracy and training seconds of each epoch, and stops at the bar."""

    def __init__(self, network: keras.Model, test: Split) -> None:
        super().__init__()
        self._network, self._test = network, test
        self.epochs: list[dict[str, float]] = []
        self.passed: float | None = None
        self._spent = self._started = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start the clock."""
        self._started = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Count training only, not the look at the test images."""
        now = time.perf_counter()
        self._spent, self._started = self._spent + now - self._started, now

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Note the epoch."""
        said = export.logits_of(self._network, self._test.images).argmax(axis=1)
        accuracy = float((said == self._test.targets).mean())
        self.epochs.append({"seconds": self._spent, "accuracy": accuracy})
        print(f"double-conv, {epoch + 1}: {100 * accuracy:.2f}%, {self._spent:.0f} s", flush=True)
        if accuracy >= PEER_BAR:
            self.passed = self._spent
            self.model.stop_training = True


def draw(result: dict[str, Any], path: Path) -> None:
    """Plot accuracy over seconds of training."""
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    peer = result["double-conv"]["epochs"]
    axes.plot([e["seconds"] for e in peer], [100 * e["accuracy"] for e in peer], "o-",
              color="#888", label="double-conv, its own recipe, after each epoch")  # fmt: skip
    runs = result["default"]["runs"]
    axes.plot([r["seconds"] for r in runs], [100 * r["accuracy"] for r in runs], "*",
              ms=14, color="#1f5fa8", label=f"digitreader train, {len(runs)} seeds")  # fmt: skip
    axes.set(xlabel="Seconds of training", ylabel="MNIST test accuracy, %", ylim=(98, 99.8), xlim=0)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
