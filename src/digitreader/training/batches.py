"""Training batches: which images, and how each is varied; the same again for the same seed.

A batch is row numbers, random numbers and labels. The images themselves lie where the network
computes, and `Varied` makes its input of them there.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from digitreader.training import harms
from digitreader.training.augment import HARM, NUMBERS, draw, vary
from digitreader.training.datasets import Split, one_hot
from digitreader.training.flags import flagged
from digitreader.training.recipes import Recipe
from digitreader.training.stretches import in_stretches
from digitreader.training.teacher import Teacher, softened
from digitreader.training.team import Team
from digitreader.training.warps import Warp

Tensor = Any  # Keras ships no types
Shape = tuple[int | None, ...]
FLAGS = 2  # flagged forms of each one that take turns

Batch = tuple[dict[str, NDArray[Any]], NDArray[np.float32]]


def steps_of(split: Split, recipe: Recipe) -> int:
    """Whole batches in an epoch; the few images left over take their turn in another."""
    return len(split) // recipe.batch_size


class Batches(keras.utils.PyDataset):  # type: ignore[misc]  # Keras ships no types
    """An endless stream of batches; batch i depends on the seed and on i alone.

    So a run that was killed goes on with exactly the batches it would have seen. A process of a
    team is given its share of each. `images` are uint8 [M, 28, 28]: those of the split, in order,
    then flagged forms of its ones.
    """

    def __init__(
        self, split: Split, labels: tuple[str, ...], recipe: Recipe, team: Team | None = None
    ) -> None:
        super().__init__()
        self.first_epoch = 0  # of a run that goes on
        self.images = split.images
        self._hard = one_hot(split.targets, len(labels))  # [N, K]
        self._targets = self._hard
        self._flagged = np.empty((len(split), 0), np.int64)
        if recipe.flagged_ones:
            ones = np.flatnonzero(split.targets == labels.index("1") if "1" in labels else [])
            self._flag(ones, np.random.default_rng((recipe.seed, 3)))
        self.teacher: Teacher | None = None
        self._recipe = recipe
        self._share = (team or Team()).share(recipe.batch_size)
        self._steps = steps_of(split, recipe)
        self._epoch = -1
        self._order = np.empty(0, np.int64)
        self._rows = np.empty(0, np.int32)
        self._draws = np.empty((0, 0), np.float32)

    def _flag(self, ones: NDArray[np.int64], rng: np.random.Generator) -> None:
        """Append flagged forms of the ones; `_flagged`, [N, FLAGS], says where they are, or -1."""
        forms = flagged(np.repeat(self.images[ones], FLAGS, axis=0), rng)
        self._flagged = np.full((len(self.images), FLAGS), -1)
        self._flagged[ones] = len(self.images) + np.arange(len(forms)).reshape(-1, FLAGS)
        self.images = np.concatenate([self.images, forms])

    @property
    def num_batches(self) -> None:
        """Endless: Keras is told the steps of an epoch instead."""
        return

    def __getitem__(self, index: int) -> Batch:
        """Return `rows`, int32 [B], `draws`, float32 [B, NUMBERS], and labels, [B, K]."""
        epoch, step = divmod(index, self._steps)
        epoch += self.first_epoch
        if epoch != self._epoch:
            self._begin(epoch)
        size = self._recipe.batch_size
        picked = self._order[step * size : (step + 1) * size][self._share]
        return (
            {"rows": self._rows[picked], "draws": self._draws[picked]},
            self._targets[picked],
        )

    def _begin(self, epoch: int) -> None:
        """Draw an epoch's order, and how each image is varied."""
        n, recipe = len(self._hard), self._recipe
        self._epoch = epoch
        view = epoch % recipe.views if recipe.views else epoch
        rng = np.random.default_rng((recipe.seed, 1, view))
        self._draws = draw(n, rng)  # [N, NUMBERS]
        self._rows = np.arange(n, dtype=np.int32)
        swapped = np.zeros(n, bool)
        if self._flagged.size:
            form = self._flagged[:, rng.integers(FLAGS)]  # [N]
            swapped = (form >= 0) & (rng.random(n) < recipe.flagged_ones)
            self._rows = np.where(swapped, form, self._rows).astype(np.int32)
        shown, kinds = np.arange(n), np.zeros(n, np.int64)
        if self.teacher is not None:
            if self.teacher.knows_harm:
                shown = rng.permutation(n)
                kinds = np.resize(harms.kinds(recipe.batch_size, recipe.harmed), n)
            soft = self.teacher.opinion(view, self._rows[shown], self._draws[shown])
            # A teacher that never saw a flagged one takes it for a seven.
            asked = self.teacher.knows_flags | ~swapped[shown]
            self._targets = np.empty_like(self._hard)
            self._targets[shown] = softened(self._hard[shown], soft, recipe.taught * asked)
        self._order = _shuffled(shown, kinds, np.random.default_rng((recipe.seed, 0, epoch)))


def _shuffled(
    order: NDArray[np.int64], kinds: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Shuffle images among places of the same kind, so that each is harmed as its teacher saw."""
    order = order.copy()
    for kind in np.unique(kinds):
        order[kinds == kind] = rng.permutation(order[kinds == kind])
    return order


class Varied(keras.layers.Layer):  # type: ignore[misc]
    """Images that lie on the device, looked up and varied: rows and draws → [B, 28, 28, 1]."""

    def __init__(self, images: NDArray[np.uint8], warp: Warp) -> None:
        super().__init__(dtype="float32", trainable=False)
        self._stock = self.add_weight(
            shape=images.shape, dtype="uint8", initializer="zeros", trainable=False
        )
        self._stock.assign(images)
        self._warp = warp

    def call(self, rows: Tensor, draws: Tensor) -> Tensor:
        """Return float32 [B, 28, 28, 1] in 0–1, ink bright."""
        images = ops.cast(ops.take(self._stock, rows, axis=0), "float32") / 255
        return vary(self._warp, images, draws)[..., None]


class Harmed(keras.layers.Layer):  # type: ignore[misc]
    """A share of each batch harmed: images and their draws → images."""

    def __init__(self, share: float) -> None:
        super().__init__(dtype="float32", trainable=False)
        self._share = share

    def call(self, images: Tensor, draws: Tensor) -> Tensor:
        """Return float32 [B, 28, 28, 1] in 0–1, ink bright."""
        return harms.harmed(images[..., 0], draws[:, HARM], self._share)[..., None]

    def compute_output_shape(self, images_shape: Shape, draws_shape: Shape) -> Shape:
        """Say what JAX cannot work out, for a batch of a size that is not known yet."""
        del draws_shape
        return images_shape


def fed(network: keras.Model, seen: keras.Model, steps: int) -> keras.Model:
    """The network with what feeds it, to train so many steps an epoch: rows, draws → logits."""
    return in_stretches(seen.input, network(seen.output), steps)


def varied_images(images: NDArray[np.uint8], warp: Warp) -> keras.Model:
    """What feeds a network: `rows` and `draws` in, float32 [B, 28, 28, 1] out."""
    rows = keras.Input((), dtype="int32", name="rows")
    draws = keras.Input((NUMBERS,), name="draws")
    return keras.Model({"rows": rows, "draws": draws}, Varied(images, warp)(rows, draws))


def harmed_images(seen: keras.Model, share: float) -> keras.Model:
    """What feeds a network, and a share of it harmed."""
    if not share:
        return seen
    return keras.Model(seen.input, Harmed(share)(seen.output, seen.input["draws"]))
