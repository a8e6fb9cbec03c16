"""A trained finder in 8 bits: twice as fast, and taught to find what it found.

Rounded as it is, a finder loses characters that it was in doubt about. So it learns, rounding
(`rounding.rounded`), to say of every cell what it said before: it is its own teacher (Hinton et
al. 2015, "Distilling the knowledge in a neural network").
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np
import onnx
from keras import ops
from numpy.typing import NDArray

import digitreader
from digitreader.cells import CLASSES, NOTHING
from digitreader.classifier import session_of
from digitreader.errors import ModelError, UsageError
from digitreader.training import eight_bits, export
from digitreader.training.rounding import Ranges, folded, ranges_of, rounded
from digitreader.training.runtimes import load_any
from digitreader.training.synthetic.windows import batches
from digitreader.training.synthetic.writers import writers
from digitreader.training.train_finder import Reporter, shown_in, taught
from digitreader.writing import make_folder, whole

Tensor = Any  # Keras ships no types

STEPS = 600
SEED = 1  # a finder trained by another has not seen these pages
BATCH = 16  # windows
WATCHED = 24  # batches from which ranges start
HELD = 8  # batches on which the file is compared
LEARNING_RATE = 3e-5  # at its start, then a cosine down to zero; with 1e-4 it forgets
EDGES = 0.5  # of the loss
FEWEST = 0.05  # that a cell counts, of one that surely shows something


@dataclass(frozen=True)
class Quantized:
    """A finder in 8 bits, and how often it says of a cell what it said in float32."""

    path: Path
    cells: int  # of windows that it did not learn from, in which something is written
    same: float  # share of those that it gives the same class

    def summary(self) -> str:
        """What is said of it, in a line."""
        return f"of {self.cells:,} cells with something in them {self.same:.2%} are seen as before"


def quantize_finder(  # noqa: PLR0913 (all but the first two by name)
    exact: Path,
    path: Path,
    *,
    steps: int = STEPS,
    seed: int = SEED,
    fonts: Path | None = None,
    dataset: str = "mnist",
    data_dir: Path | None = None,
    workers: int = 1,
    report: Reporter | None = None,
) -> Quantized:
    """Teach the finder in a run's `finder.keras` to compute in 8 bits, and write it as ONNX.

    It sees windows of synthetic pages, as `train_finder` shows them; the dataset's training
    digits write them. The file appears under its name only when whole.

    Raises:
        UsageError: there are no steps.
        ModelError: the file holds no finder, or one that finds nothing.
        DataError: the dataset or the fonts are missing.
    """
    if steps < 1:
        raise UsageError(f"steps is {steps}; expected 1 or more")
    teacher = _finder(exact)
    make_hands = partial(writers, fonts, "train", data_dir, dataset)
    make_hands()  # what is missing is said now, not by a worker
    make_folder(path.parent)
    end = WATCHED + steps
    held = np.concatenate(
        [ink for ink, _ in batches(make_hands, seed, end, end + HELD, BATCH, workers)]
    )  # [windows, SIDE, SIDE, 2]
    truth = ops.convert_to_numpy(teacher.predict(shown_in(held), batch_size=BATCH, verbose=0))
    # Said before it is taught for minutes: of no cells there is no share that is seen as before.
    if (truth[..., :CLASSES].argmax(axis=-1) == NOTHING).all():
        raise ModelError(f"{exact} finds nothing in {len(held)} windows: train it for longer")
    seen = (ink for ink, _ in batches(make_hands, seed, 0, end, BATCH, workers))
    watched = list(islice(seen, WATCHED))
    student = rounded(teacher, _finest(teacher), map(shown_in, watched))
    for step, loss in enumerate(_steps(student, teacher, seen, steps), 1):
        if report is not None:
            report(step, loss)
    ranges = ranges_of(student)
    for layer in teacher.layers:  # its teaching is done: it becomes the student, unrounded
        layer.set_weights(student.get_layer(layer.name).get_weights())
    quantized = {"dataset": dataset, "steps": steps, "seed": seed}
    card = {"quantized": quantized, "digitreader": digitreader.__version__}
    with TemporaryDirectory(dir=path.parent) as folder, whole(path) as draft:
        unrounded = export.write_finder(teacher, Path(folder) / "unrounded.onnx", card)
        # All ranges are known: what it would find on more examples is not used.
        eight_bits.write(unrounded, draft, watched[:1], by_value(ranges, unrounded))
        same, cells = _same(draft, held, truth)
    return Quantized(path, cells, same / cells)


def _finder(path: Path) -> keras.Model:
    network = load_any(path)
    if network.input_shape != (None, None, None, 2) or network.output_shape[-1] != CLASSES + 4:
        raise ModelError(
            f"{path} is no finder; expected the finder.keras of a run of 'digitreader train-finder'"
        )
    return folded(network)


def _finest(network: keras.Model) -> set[str]:
    """Names of the layers after the last enlargement and its sum: rounded, they find less."""
    names = [layer.name for layer in network.layers]
    kinds = [type(layer).__name__ for layer in network.layers]
    enlarged = len(kinds) - kinds[::-1].index("UpSampling2D")
    return set(names[kinds.index("Add", enlarged) + 1 :])


def _steps(
    student: keras.Model, teacher: keras.Model, seen: Iterator[NDArray[np.uint8]], steps: int
) -> Iterator[float]:
    """Teach step by step; yield the loss of late."""
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps))
    optimizer.build(student.trainable_variables)  # else TensorFlow traces the first step twice
    student.compile(optimizer, unlike)
    shown = map(shown_in, seen)
    yield from taught(student, ((ink, teacher.predict_on_batch(ink)) for ink in shown))


def unlike(truth: Tensor, said: Tensor) -> Tensor:
    """How unlike what the teacher says of cells is: divergence of classes, distance of edges."""
    classes, log_p, log_q = (
        of(cells[..., :CLASSES])
        for of, cells in ((ops.softmax, truth), (ops.log_softmax, truth), (ops.log_softmax, said))
    )
    something = 1 - classes[..., NOTHING]  # [N, h, w]
    divergence = ops.sum(classes * (log_p - log_q), axis=-1)
    edges = ops.sum(ops.abs(truth[..., CLASSES:] - said[..., CLASSES:]), axis=-1)
    return ops.sum(divergence + EDGES * something * edges) / ops.sum(something + FEWEST)


def by_value(ranges: Ranges, path: Path) -> Ranges:
    """Ranges by the names that a file gives what the layers give."""
    named = Ranges()
    values = [name for node in onnx.load(path).graph.node for name in node.output]
    for layer, bounds in ranges.items():
        own = re.compile(rf"/{layer}(_\d+)?/(convolution|BiasAdd|Relu|Add):0$")
        names = [name for name in values if own.search(name)]
        if not names:
            raise ModelError(f"{path}: no value of {layer!r}, of which the range is known")
        named[names[-1]] = bounds  # after its activation
    return named


def _same(path: Path, windows: NDArray[np.uint8], truth: NDArray[np.float32]) -> tuple[int, int]:
    """Of how many cells with something in them a file says what the truth does; their number."""
    session = session_of(path.read_bytes(), path, threads=0)
    (said,) = session.run(["cells"], {"ink": windows})  # [windows, h, w, CLASSES + 4]
    classes = truth[..., :CLASSES].argmax(axis=-1)
    something = classes != NOTHING
    agreed = classes == said[..., :CLASSES].argmax(axis=-1)
    return int((something & agreed).sum()), int(something.sum())
