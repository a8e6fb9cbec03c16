"""The finder's network and its loss: every cell of a page says what stands there."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from digitreader.cells import CLASSES, NOTHING
from digitreader.finder import REACH

Tensor = Any  # Keras ships no types
FOCUS = 1.5  # Lin et al. 2017: cells that are sure already count less
BOX_SHARE = 1.0  # of the loss


def build(width: float = 1.0) -> keras.Model:
    """Return an untrained network: ink float32 [N, H, W, 2] in 0–1 → [N, H/4, W/4, CLASSES + 4].

    The ink is what `finder.shown_of` gives. H and W are multiples of 16. A small U
    (Ronneberger et al. 2015): what is there is decided on the coarse maps, that see some
    200 px around, and where on the fine ones.
    """

    def wide(filters: int) -> int:
        return max(8, 8 * round(filters * width / 8))

    ink = keras.Input((None, None, 2), name="ink")
    x = _conv(ink, wide(16), kernel=5, strides=2)  # [N, H/2, W/2, 16]
    x = _conv(x, wide(32))
    quarter = _residual(_conv(layers.MaxPooling2D()(x), wide(48)))  # [N, H/4, W/4, 48]
    eighth = _residual(_residual(_conv(layers.MaxPooling2D()(quarter), wide(96))))
    x = _residual(_conv(layers.MaxPooling2D()(eighth), wide(128)))  # [N, H/16, W/16, 128]
    x = _residual(_residual(_raised(x, eighth, wide(96))))
    x = _residual(_residual(_raised(x, quarter, wide(48))))  # [N, H/4, W/4, 48]
    classes = layers.Conv2D(CLASSES, 1, dtype="float32", name="classes")(x)
    edges = layers.Conv2D(4, 1, dtype="float32", activation="softplus", name="edges")(x)
    return keras.Model(ink, layers.Concatenate(dtype="float32")([classes, edges]), name="finder")


def loss(truth: Tensor, said: Tensor) -> Tensor:
    """Focal cross-entropy of each cell's class, and of digits and letters 1 − IoU of the box."""
    expected, weight = truth[..., :CLASSES], truth[..., CLASSES]
    log_p = ops.log_softmax(said[..., :CLASSES])
    log_p = ops.sum(expected * log_p, axis=-1)  # [N, h, w]
    focal = -weight * (1 - ops.exp(log_p)) ** FOCUS * log_p
    something = weight * (1 - expected[..., NOTHING])
    boxes = something * (1 - _overlap(truth[..., CLASSES + 1 :], said[..., CLASSES:] * REACH))
    return ops.sum(focal + BOX_SHARE * boxes) / (ops.sum(something) + 100)


def _overlap(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of boxes around the same point: distances to the four sides."""
    shared = ops.minimum(a, b)
    both = _area(shared)
    return (both + 1) / (_area(a) + _area(b) - both + 1)


def _area(edges: Tensor) -> Tensor:
    width = ops.maximum(edges[..., 0] + edges[..., 2], 0)
    height = ops.maximum(edges[..., 1] + edges[..., 3], 0)
    return width * height


def _conv(x: Tensor, filters: int, kernel: int = 3, strides: int = 1) -> Tensor:
    x = layers.Conv2D(filters, kernel, strides=strides, padding="same", use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization()(x))


def _residual(x: Tensor) -> Tensor:
    """A convolution that adds to what it is given (He et al. 2016)."""
    return layers.Add()([x, _conv(x, x.shape[-1])])


def _raised(x: Tensor, finer: Tensor, filters: int) -> Tensor:
    """Add a coarse map, enlarged, to a fine one."""
    coarse = layers.UpSampling2D()(layers.Conv2D(filters, 1)(x))
    return layers.Add()([coarse, layers.Conv2D(filters, 1)(finer)])
