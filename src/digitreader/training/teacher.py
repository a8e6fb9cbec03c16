"""A teacher: a trained model whose opinion of each varied image is what a smaller one learns.

Hinton et al. 2015, "Distilling the knowledge in a neural network"; the student sees the very
pictures that the teacher judged (Beyer et al. 2022, "A good teacher is patient and consistent").
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from digitreader.classifier import Classifier, softmax
from digitreader.errors import UsageError
from digitreader.training.recipes import Recipe
from digitreader.writing import make_folder, whole


class Teacher:
    """Gives the labels of whole views: every image varied once.

    A view takes a large teacher minutes, so its answers are kept for the next epochs that show
    it. It is asked about what it knows only: about harmed images and flagged ones where it was
    trained on such.

    Args:
        model: an `.onnx` file of ours that was trained for the same classes.
        seen: the network's input as a model of `rows` and `draws`: float32 [B, 28, 28, 1].
        harmed: the same, after the harm that its student's images come to.
        recipe: its student's.
        folder: where its answers are kept.

    Raises:
        ModelError: the file is missing, corrupt, or not one of ours.
        UsageError: another one has answered in the folder.
    """

    def __init__(
        self, model: Path, seen: keras.Model, harmed: keras.Model, recipe: Recipe, folder: Path
    ) -> None:
        self._classifier = Classifier.open(model, threads=0)
        learnt = self._classifier.card.trained.get("recipe", {})
        self.knows_harm = bool(learnt.get("harmed"))
        self.knows_flags = bool(learnt.get("flagged_ones"))
        self._seen = harmed if self.knows_harm else seen
        self._batch = recipe.batch_size
        self._softness = np.float32(recipe.softness)
        self._folder = folder / digest(model)[:16]
        if any(place != self._folder for place in folder.glob("*")):
            raise UsageError(
                f"{folder.parent} was begun with another teacher than {model}: name that one with "
                "--teacher, or choose another --out"
            )

    def opinion(
        self, view: int, rows: NDArray[np.int32], draws: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return its probabilities, uncalibrated, of a view: float32 [N, K or K + 1]."""
        path = self._folder / f"{view:03}.npy"
        if not path.exists():
            make_folder(self._folder)
            with whole(path) as draft, draft.open("wb") as file:
                np.save(file, self._logits(rows, draws).astype(np.float16))
        return softmax(np.load(path).astype(np.float32) / self._softness)

    def _logits(self, rows: NDArray[np.int32], draws: NDArray[np.float32]) -> NDArray[np.float32]:
        said = []
        places = np.arange(-(-len(rows) // self._batch) * self._batch) % len(rows)
        for part in places.reshape(-1, self._batch):  # whole batches: places in them mean harm
            images = self._seen.predict_on_batch({"rows": rows[part], "draws": draws[part]})
            said.append(self._classifier.logits(np.rint(255 * images[..., 0]).astype(np.uint8)))
        return np.concatenate(said)[: len(rows)]


def digest(model: Path) -> str:
    """The SHA-256 of a model's file, in hexadecimal."""
    return sha256(model.read_bytes()).hexdigest()


def softened(
    hard: NDArray[np.float32], soft: NDArray[np.float32], shares: NDArray[np.floating[Any]]
) -> NDArray[np.float32]:
    """Mix one-hot labels, [N, K], with a teacher's opinion, [N, K'], of which K' ≤ K columns are.

    `shares`, [N], are the opinion's. Where the label is a class that the teacher does not know,
    it alone counts.
    """
    known = soft.shape[1]
    share = (shares * hard[:, :known].sum(axis=1)).astype(np.float32)[:, None]  # [N, 1]
    mixed = np.asarray((1 - share) * hard, np.float32)
    mixed[:, :known] += share * soft
    return mixed
