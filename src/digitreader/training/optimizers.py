"""Optimisers by name, from a recipe's knobs."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from digitreader.training.recipes import Recipe

Tensor = Any  # Keras ships no types


class Muon(keras.optimizers.Muon):  # type: ignore[misc]
    """Muon for convolutions, AdamW for the rest.

    Momentum's step for a layer is replaced by the nearest one that turns and does not stretch
    (Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"), at a size
    at which AdamW's learning rates fit (Liu et al. 2025, "Muon is scalable for LLM training").
    Keras applies it to matrices alone; here a kernel is one, [height · width · maps in, maps
    out]. The convolutions of the image itself, and those of each map alone, stay with AdamW.
    """

    def _should_use_adamw(self, variable: keras.Variable) -> bool:
        shape = variable.shape
        return len(shape) != 4 or shape[2] == 1 or shape[3] == 1

    def _muon_update_step(
        self, gradient: Tensor, variable: keras.Variable, lr: Tensor, m: keras.Variable
    ) -> None:
        self.assign_add(m, gradient + (self.momentum - 1) * m)
        ahead = gradient + self.momentum * m  # Nesterov's
        matrix = ops.reshape(ahead, (-1, variable.shape[3]))
        turned = self.lr_adjust(self.zeropower_via_newtonschulz5(matrix, self.ns_steps))
        self.assign_sub(variable, lr * ops.reshape(turned, variable.shape))


def optimizer(recipe: Recipe, steps: int) -> keras.optimizers.Optimizer:
    """Make the recipe's optimiser, with its schedule; `steps` are those of an epoch."""
    total = steps * recipe.epochs
    warm = round(recipe.warm_up * total)
    rate: Any = recipe.learning_rate
    if recipe.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(
            0.0 if warm else rate, max(1, total - warm), warmup_target=rate, warmup_steps=warm
        )
    average: dict[str, Any] = {}
    if recipe.averaged:
        average = {"use_ema": True, "ema_momentum": recipe.averaged}
    decay = recipe.weight_decay
    if recipe.optimizer == "adam":
        return keras.optimizers.Adam(rate, **average)
    if recipe.optimizer == "adamw":
        return keras.optimizers.AdamW(rate, weight_decay=decay, **average)
    return Muon(rate, weight_decay=decay, adam_weight_decay=decay, **average)
