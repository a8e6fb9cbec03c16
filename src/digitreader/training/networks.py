"""Every network, by name: 28×28 grey in (float32 [N, 28, 28, 1], 0–1, ink bright), logits out.

The heads give raw logits in float32 whatever the precision of the body; softmax belongs to
whoever reads them, with the temperature that calibration finds. Keras is imported where a
network is built, so that the table can be listed in an instant.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import prod
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


def averaged(members: list[keras.Model]) -> keras.Model:
    """Return one network that gives the mean of several networks' logits."""
    import keras

    images = keras.Input(INPUT_SHAPE, name="images")
    said = [_renamed(member, f"member_{i}")(images) for i, member in enumerate(members)]
    logits = keras.layers.Average(name="logits")(said) if len(said) > 1 else said[0]
    return keras.Model(images, logits, name="ensemble")


def _renamed(network: keras.Model, name: str) -> keras.Model:
    network.name = name  # members of one recipe have one name
    return network


def shifted(network: keras.Model, pixels: int) -> keras.Model:
    """Return one that gives the mean of a network's logits over views of its input.

    The views are the image moved by every step of at most so many pixels each way, nine for 1.
    """
    import keras
    from keras import layers

    if not pixels:
        return network
    exact: Any = {"dtype": "float32"}  # whatever precision the network is being trained in
    images = keras.Input(INPUT_SHAPE, name="images")
    padded = layers.ZeroPadding2D(pixels, **exact)(images)
    steps = [(i, 2 * pixels - i) for i in range(2 * pixels + 1)]
    said = [network(layers.Cropping2D((y, x), **exact)(padded)) for y in steps for x in steps]
    logits = layers.Average(name="logits", **exact)(said)
    return keras.Model(images, logits, name=network.name + "_shifted")


def multiply_adds(network: keras.Model) -> int:
    """Count the multiplications that one image takes in convolutions and dense layers."""
    import keras

    total = 0

    def called(layer: keras.Layer, *args: Any, **kwargs: Any) -> Tensor:
        nonlocal total
        output = layer(*args, **kwargs)
        if isinstance(layer, keras.Model):
            total += multiply_adds(layer)
        elif isinstance(layer, keras.layers.DepthwiseConv2D):
            total += prod(output.shape[1:]) * prod(layer.kernel_size)
        elif isinstance(layer, keras.layers.Conv2D):
            total += prod(output.shape[1:3]) * prod(layer.kernel.shape)
        elif isinstance(layer, keras.layers.Dense):
            total += prod(layer.kernel.shape)
        return output

    keras.models.clone_model(network, call_function=called)  # a layer may be called twice
    return total


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


def compact(x: Tensor) -> Tensor:
    """Like `default` with two thirds of its multiply-adds: a wider first look, narrower maps."""
    from keras import layers

    x = layers.Conv2D(16, 5, padding="same", use_bias=False)(x)
    x = _normalised(layers.MaxPooling2D()(x))  # [N, 14, 14, 16]
    x = _normalised(_conv(32)(x))
    x = _normalised(layers.MaxPooling2D()(_conv(32)(x)))  # [N, 7, 7, 32]
    x = _normalised(_conv(64)(x))
    x = layers.Add()([x, _normalised(_conv(64)(x))])  # [N, 7, 7, 64]
    return layers.GlobalMaxPooling2D()(x)  # [N, 64]


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


def residual(x: Tensor, widths: tuple[int, int, int], blocks: int) -> Tensor:
    """A stem on 28×28, then blocks of two convolutions that add to their input (He et al. 2016).

    `widths` are those of the stem, of the blocks on 14×14 and of the blocks on 7×7. Every map is
    blurred a little before it is halved, so that a shift changes it less (Zhang 2019).
    """
    from keras import layers

    stem, middle, last = widths
    x = _normalised(layers.Conv2D(stem, 5, padding="same", use_bias=False)(x))
    for width in (middle, last):
        x = _normalised(_conv(width)(_halved(x)))  # [N, 14, 14, middle], [N, 7, 7, last]
        for _ in range(blocks):
            inner = _normalised(_conv(width)(x))
            inner = layers.BatchNormalization(momentum=0.9)(_conv(width)(inner))
            x = layers.ReLU()(layers.Add()([x, inner]))
    return layers.GlobalMaxPooling2D()(x)  # [N, last]


def tiny(x: Tensor) -> Tensor:
    """Six narrow convolutions, in pairs on 28×28, 14×14 and 7×7: 19,000 parameters."""
    from keras import layers

    for i, (first, second) in enumerate(((12, 16), (16, 24), (24, 24))):
        x = layers.MaxPooling2D()(x) if i else x
        x = _normalised(_conv(second)(_normalised(_conv(first)(x))))
    return layers.GlobalMaxPooling2D()(x)  # [N, 24]


def nano(x: Tensor) -> Tensor:
    """One convolution of 12, used again at every scale and added to its input: 1,800 parameters.

    Only its batch norms differ from use to use (Liang & Hu 2015, recurrent convolutions).
    """
    from keras import layers

    x = _normalised(layers.MaxPooling2D()(_conv(12)(x)))  # [N, 14, 14, 12]
    shared = _conv(12)
    for i in range(5):
        x = layers.MaxPooling2D()(x) if i == 2 else x  # [N, 7, 7, 12]
        norm = layers.BatchNormalization(momentum=0.9)
        x = layers.ReLU()(layers.Add()([x, norm(shared(x))]))
    return layers.GlobalMaxPooling2D()(x)  # [N, 12]


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
    "compact": Network(compact, "5.7 million multiply-adds: the model that ships"),
    "residual": Network(partial(residual, widths=(32, 64, 128), blocks=1), "a ResNet of 32-64-128"),
    "residual-small": Network(
        partial(residual, widths=(16, 32, 64), blocks=1), "a ResNet of 16-32-64"
    ),
    "tiny": Network(tiny, "six narrow convolutions, 19,000 parameters"),
    "nano": Network(nano, "one convolution at every scale, 1,800 parameters"),
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


def _halved(x: Tensor) -> Tensor:
    """The maximum of every pixel and those after it, blurred, every second one kept."""
    from keras import layers

    x = layers.MaxPooling2D(2, strides=1, padding="same")(x)
    return layers.AveragePooling2D(3, strides=2, padding="same")(x)


def _two_convolutions(x: Tensor) -> Tensor:
    from keras import layers

    for filters in (32, 64):
        x = layers.Conv2D(filters, 3, activation="relu")(x)
        x = layers.MaxPooling2D()(x)  # [N, 13, 13, 32], then [N, 5, 5, 64]
    return layers.Flatten()(x)  # [N, 1600]
