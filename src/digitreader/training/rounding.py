"""Networks that round, while they train, as their files in 8 bits will.

What rounding costs can be learnt away: kernels are rounded as `eight_bits.write` rounds them,
values to the 256 steps of a range, and gradients pass as if nothing were (Jacob et al. 2018,
"Quantization and training of neural networks for efficient integer-arithmetic-only inference").
The ranges are learnt, too (Jain et al. 2020, "Trained quantization thresholds").
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

Tensor = Any  # Keras ships no types
Ranges = dict[str, tuple[float, float]]  # least and greatest of what layers of these names give

KERNEL_STEPS = 64  # to either side of 0, as `eight_bits.write` has them
VALUE_STEPS = 255
UNIT = 100.0  # in which ranges are kept, so that kernels' learning rate suits them
LATELY = 0.1  # a batch's weight in the ranges to start with
FOLDED, ROUNDED = "_folded", "_rounded"  # at the end of layers' names


def folded(network: keras.Model) -> keras.Model:
    """Return a network that does the same without normalising: its convolutions do it.

    Each normalisation comes after a convolution and before a ReLU.
    """
    norms = {
        _layer_that_gives(layer.input, network).name: layer
        for layer in network.layers
        if isinstance(layer, layers.BatchNormalization)
    }

    def copied(layer: keras.Layer) -> keras.Layer:
        config = layer.get_config() | {"name": layer.name + FOLDED}
        normalised = {"use_bias": True, "activation": "relu"} if layer.name in norms else {}
        return type(layer).from_config(config | normalised)

    def called(layer: keras.Layer, *values: Tensor, **options: Any) -> Tensor:
        done = isinstance(layer, layers.BatchNormalization | layers.ReLU)
        return values[0] if done else layer(*values, **options)

    copy = keras.models.clone_model(network, clone_function=copied, call_function=called)
    for layer in _convolutions(network):
        weights = layer.get_weights()
        if layer.name in norms:
            weights = _normalised(weights[0], norms[layer.name])
        copy.get_layer(layer.name + FOLDED).set_weights(weights)
    return copy


def rounded(
    network: keras.Model, exact: Collection[str], examples: Iterable[Tensor]
) -> keras.Model:
    """Return a copy of a folded network that rounds what its file in 8 bits will round.

    These are the kernels of convolutions, but of those that see the network's input, and what
    convolutions and sums give; nothing of the layers called `exact`. Its ranges are those on the
    examples, batches of what the network is given.
    """
    rounds = [
        layer.name
        for layer in network.layers
        if isinstance(layer, layers.Conv2D | layers.Add) and layer.name not in exact
    ]

    def copied(layer: keras.Layer) -> keras.Layer:
        within = isinstance(layer, layers.Conv2D) and layer.input is not network.input
        kind = RoundedConv2D if within and layer.name in rounds else type(layer)
        return kind.from_config(layer.get_config())

    def called(layer: keras.Layer, *values: Tensor, **options: Any) -> Tensor:
        value = layer(*values, **options)
        return Rounded(name=layer.name + ROUNDED)(value) if layer.name in rounds else value

    copy = keras.models.clone_model(network, clone_function=copied, call_function=called)
    for layer in _convolutions(network):
        copy.get_layer(layer.name).set_weights(layer.get_weights())
    for name, bounds in _ranges_on(examples, network, rounds).items():
        copy.get_layer(name + ROUNDED).bounds.assign(np.array(bounds) / UNIT)
    return copy


def ranges_of(network: keras.Model) -> Ranges:
    """The ranges of a network that rounds, by the names of the layers that give the values."""
    return {
        layer.name.removesuffix(ROUNDED): layer.range()
        for layer in network.layers
        if isinstance(layer, Rounded)
    }


class RoundedConv2D(layers.Conv2D):  # type: ignore[misc]  # Keras ships no types
    """A convolution whose kernel has the same steps to either side of 0, for each filter."""

    def convolution_op(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        greatest = ops.max(ops.abs(kernel), axis=(0, 1, 2), keepdims=True)
        step = ops.stop_gradient(greatest) / KERNEL_STEPS + keras.config.epsilon()
        return super().convolution_op(inputs, _straight(ops.round(kernel / step) * step, kernel))


class Rounded(layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """Values in steps of a range that holds 0, and that is learnt."""

    def build(self, _shape: tuple[int | None, ...]) -> None:
        self.bounds = self.add_weight(shape=(2,), name="bounds")  # in UNIT

    def call(self, values: Tensor) -> Tensor:
        low = ops.minimum(self.bounds[0] * UNIT, 0.0)
        high = ops.maximum(self.bounds[1] * UNIT, keras.config.epsilon())
        step = (high - low) / VALUE_STEPS
        zero = _rounded(-low / step)
        return (ops.clip(_rounded(values / step) + zero, 0, VALUE_STEPS) - zero) * step

    def range(self) -> tuple[float, float]:
        """The least and the greatest value."""
        low, high = ops.convert_to_numpy(self.bounds) * UNIT
        return min(0.0, float(low)), max(0.0, float(high))


def _rounded(values: Tensor) -> Tensor:
    return _straight(ops.round(values), values)


def _straight(rounded: Tensor, exact: Tensor) -> Tensor:
    """What is rounded, with the gradient of what is not."""
    return exact + ops.stop_gradient(rounded - exact)


def _ranges_on(examples: Iterable[Tensor], network: keras.Model, names: list[str]) -> Ranges:
    """The ranges of what layers give on batches, a moving average: rare values widen it less."""
    watched = keras.Model(network.input, [network.get_layer(name).output for name in names])
    ranges: NDArray[np.float64] | None = None  # [names, 2]
    for batch in examples:
        given = [ops.convert_to_numpy(value) for value in watched.predict_on_batch(batch)]
        newest = np.array([(value.min(), value.max()) for value in given], np.float64)
        ranges = newest if ranges is None else ranges + LATELY * (newest - ranges)
    if ranges is None:
        raise ValueError("no examples; expected at least one batch")
    return {name: (low, high) for name, (low, high) in zip(names, ranges, strict=True)}


def _convolutions(network: keras.Model) -> list[layers.Conv2D]:
    return [layer for layer in network.layers if isinstance(layer, layers.Conv2D)]


def _layer_that_gives(value: Tensor, network: keras.Model) -> keras.Layer:
    return next(layer for layer in network.layers if layer.output is value)


def _normalised(
    kernel: NDArray[np.float32], norm: layers.BatchNormalization
) -> list[NDArray[np.float32]]:
    """Kernel and bias of a convolution that does what its normalisation did, too."""
    gamma, beta, mean, variance = norm.get_weights()
    factor = gamma / np.sqrt(variance + norm.epsilon)  # [filters]
    return [kernel * factor, beta - mean * factor]
