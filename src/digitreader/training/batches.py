"""Training batches: shuffled, augmented, and the same again for the same seed."""

from __future__ import annotations

import keras
import numpy as np
from numpy.typing import NDArray

from digitreader.training import augment
from digitreader.training.datasets import Split, one_hot, scaled
from digitreader.training.recipes import Recipe


def steps_of(split: Split, recipe: Recipe) -> int:
    """Whole batches in an epoch; the few images left over take their turn in another."""
    return len(split.targets) // recipe.batch_size


class Batches(keras.utils.PyDataset):  # type: ignore[misc]  # Keras ships no types
    """An endless stream of training batches; batch i depends on the seed and on i alone.

    So a run that was killed goes on with exactly the batches it would have seen.
    """

    def __init__(
        self, split: Split, labels: tuple[str, ...], recipe: Recipe, first_epoch: int
    ) -> None:
        super().__init__()
        self._split = split
        self._one = labels.index("1") if "1" in labels else None
        self._targets = one_hot(split.targets, len(labels))  # [N, K]
        self._augmented = augment.named(recipe.augment)
        self._recipe = recipe
        self._steps = steps_of(split, recipe)
        self._first = first_epoch * self._steps
        self._order: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, np.int64))

    @property
    def num_batches(self) -> None:
        """Endless: Keras is told the steps of an epoch instead."""
        return

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return images, float32 [B, 28, 28, 1], and their one-hot labels, [B, K]."""
        index += self._first
        epoch, step = divmod(index, self._steps)
        size = self._recipe.batch_size
        picked = self._order_of(epoch)[step * size : (step + 1) * size]  # [B]
        rng = np.random.default_rng((self._recipe.seed, 1, index))
        images = self._split.images[picked]  # a copy
        if self._recipe.flagged_ones:
            ones = self._split.targets[picked] == self._one
            ones &= rng.random(size) < self._recipe.flagged_ones
            images[ones] = augment.flagged(images[ones], rng)
        return scaled(self._augmented(images, rng)), self._targets[picked]

    def _order_of(self, epoch: int) -> NDArray[np.int64]:
        if self._order[0] != epoch:
            rng = np.random.default_rng((self._recipe.seed, 0, epoch))
            self._order = epoch, rng.permutation(len(self._split.targets))
        return self._order[1]
