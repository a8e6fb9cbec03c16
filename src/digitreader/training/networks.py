"""Every network, by name: 28×28 grey in (float32 [N, 28, 28, 1], 0–1, ink bright), logits out.

The heads give raw logits in float32 whatever the precision of the body; softmax belongs to
whoever reads them, with the temperature that calibration finds. Keras is imported where a
network is built, so that the table can be listed in an instant.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from digitreader.errors import UsageError

if TYPE_CHECKING:
    import keras

INPUT_SHAPE = (28, 28, 1)
Tensor = Any  # Keras ships no types


@dataclass(frozen=True)
class Network:
    """One row of the table: how it is built, and a line about it."""

    body: Callable[[Tensor], Tensor]
    about: str


def build(name: str, classes: int) -> keras.Model:
    """Return an untrained network.

    Raises:
        UsageError: no network has that name.
    """
    if name not in NETWORKS:
        raise UsageError(f"no network is called {name!r}; there are: {', '.join(NETWORKS)}")
    import keras

    images = keras.Input(INPUT_SHAPE, name="images")
    features = NETWORKS[name].body(images)  # [N, F]
    logits = keras.layers.Dense(classes, dtype="float32", name="logits")(features)  # [N, classes]
    return keras.Model(images, logits, name=name.replace("-", "_"))


def default(x: Tensor) -> Tensor:
    """One convolution, then a block on 14×14 and one on 7×7; the global maximum ends it.

    The first convolutions are narrow because their maps are large: with 16 and 32 filters an
    epoch took 16 s, with 24 and 48 25 s (2 cores, bfloat16). Four epochs of it made 25, 28 and
    31 errors on 5,000 held-out digits, three epochs of the wider one 28 (one seed): in the same
    time there is nothing to choose between them, and this one reads faster. The last maps
    keep 7×7, so that what decided a reading can be seen.
    """
    from keras import layers

    x = layers.MaxPooling2D()(_conv(16)(x))  # [N, 14, 14, 16]
    x = _normalised(_conv(32)(x))
    x = _normalised(layers.MaxPooling2D()(_conv(32)(x)))  # [N, 7, 7, 32]
    x = _normalised(_conv(96)(x))
    x = _normalised(_conv(96)(x))  # [N, 7, 7, 96]
    return layers.GlobalMaxPooling2D()(x)  # [N, 96]


def plain(x: Tensor) -> Tensor:
    """Three convolutions of 32, 64 and 128, with a pool between them, and one dense layer."""
    from keras import layers

    for filters in (32, 64):
        x = layers.Conv2D(filters, 3, activation="relu")(x)
        x = layers.MaxPooling2D()(x)  # [N, 13, 13, 32], then [N, 5, 5, 64]
    x = layers.Conv2D(128, 3, activation="relu")(x)  # [N, 3, 3, 128]
    x = layers.Flatten()(x)
    return layers.Dense(128, activation="relu")(x)


def dense_128(x: Tensor) -> Tensor:
    """Two convolutions of 32 and 64, then a dense layer of 128."""
    from keras import layers

    return layers.Dense(128, activation="relu")(_two_convolutions(x))


def dense_64_dropout(x: Tensor) -> Tensor:
    """Two convolutions of 32 and 64, then a dense layer of 64 with dropout."""
    from keras import layers

    x = layers.Dense(64, activation="relu")(_two_convolutions(x))
    return layers.Dropout(0.5)(x)


def double_conv(x: Tensor) -> Tensor:
    """Pairs of convolutions of 32, 64 and 128 with batch norm and dropout, dense 256 with L2."""
    from keras import layers, regularizers

    for filters in (32, 64, 128):
        for _ in range(2):
            x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
            x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D()(x)  # [N, 14, 14, 32], [N, 7, 7, 64], [N, 3, 3, 128]
        x = layers.Dropout(0.25)(x)
    x = layers.Flatten()(x)  # [N, 1152]
    x = layers.Dense(256, activation="relu", kernel_regularizer=regularizers.L2(1e-3))(x)
    x = layers.BatchNormalization()(x)
    return layers.Dropout(0.5)(x)


def lenet5(x: Tensor) -> Tensor:
    """LeNet-5 as it is taught today: tanh and average pooling (LeCun et al. 1998)."""
    from keras import layers

    x = layers.Conv2D(6, 5, padding="same", activation="tanh")(x)
    x = layers.AveragePooling2D(2)(x)  # [N, 14, 14, 6]
    x = layers.Conv2D(16, 5, activation="tanh")(x)
    x = layers.AveragePooling2D(2)(x)  # [N, 5, 5, 16]
    x = layers.Flatten()(x)  # [N, 400]
    x = layers.Dense(120, activation="tanh")(x)
    return layers.Dense(84, activation="tanh")(x)


def mlp(x: Tensor) -> Tensor:
    """No convolution: two dense layers, the baseline a picture network has to beat."""
    from keras import layers

    x = layers.Flatten()(x)  # [N, 784]
    for units in (512, 256):
        x = layers.Dense(units, activation="relu")(x)
        x = layers.Dropout(0.2)(x)
    return x


NETWORKS: dict[str, Network] = {
    "default": Network(default, "16, blocks of 32 and 96, global max pool: fast and accurate"),
    "plain": Network(plain, "three convolutions 32-64-128, dense 128"),
    "dense-128": Network(dense_128, "two convolutions 32-64, dense 128"),
    "dense-64-dropout": Network(dense_64_dropout, "two convolutions 32-64, dense 64, dropout"),
    "double-conv": Network(double_conv, "pairs of 32-64-128, batch norm, dropout, dense 256"),
    "lenet-5": Network(lenet5, "the network of 1998, two convolutions and three dense layers"),
    "mlp": Network(mlp, "no convolution: dense 512 and 256"),
}


def _conv(filters: int) -> keras.Layer:
    from keras import layers

    return layers.Conv2D(filters, 3, padding="same", use_bias=False)


def _normalised(x: Tensor) -> Tensor:
    from keras import layers

    # A short run sees a few hundred steps: the usual momentum of 0.99 would lag behind it.
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))


def _two_convolutions(x: Tensor) -> Tensor:
    from keras import layers

    for filters in (32, 64):
        x = layers.Conv2D(filters, 3, activation="relu")(x)
        x = layers.MaxPooling2D()(x)  # [N, 13, 13, 32], then [N, 5, 5, 64]
    return layers.Flatten()(x)  # [N, 1600]
