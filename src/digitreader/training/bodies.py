"""The networks' bodies: images, float32 [N, 28, 28, 1], in; features, [N, F], out.

What a network is called, and the layer of logits after its features, is in `networks.py`. Layers
come from Keras where a body is built, so that the table of them can be listed in an instant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

Tensor = Any  # Keras ships no types


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
    """A wide first look at every second pixel, and most of the work on 7×7, in sixteens.

    Its time is in 8 bits: the pair of 64 takes 19 µs of 32 then, and a first look at every pixel
    would take 9 more. With one, and 1.1 million multiply-adds more, 139 of 20,000 bent digits
    were read wrong in place of 168 (one seed each, half of the digits harmed), in 2.8 times the
    training. Widths that are no multiple of 16 are slower than the next one that is.
    """
    from keras import layers

    x = _normalised(layers.Conv2D(16, 5, strides=2, padding="same", use_bias=False)(x))
    x = _normalised(_conv(16)(x))  # [N, 14, 14, 16]
    x = _normalised(_conv(64, 2)(x))  # [N, 7, 7, 64]
    inner = _norm()(_conv(64)(_normalised(_conv(64)(x))))
    x = layers.ReLU()(layers.Add()([x, inner]))
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
            inner = _norm()(_conv(width)(inner))
            x = layers.ReLU()(layers.Add()([x, inner]))
    return layers.GlobalMaxPooling2D()(x)  # [N, last]


def resnet_20(x: Tensor) -> Tensor:
    """The ResNet of 20 layers that was made for CIFAR-10 (He et al. 2016, section 4.2).

    A shortcut that halves its map is a convolution of 1×1, which they call B.
    """
    from keras import layers

    x = _normalised(_conv(16)(x))
    for width in (16, 32, 64):  # on 28×28, 14×14 and 7×7
        for block in range(3):
            halving = 2 if width > 16 and block == 0 else 1
            inner = _normalised(_conv(width, halving)(x))
            inner = _norm()(_conv(width)(inner))
            if halving == 2:
                x = layers.Conv2D(width, 1, strides=2, use_bias=False)(x)
                x = _norm()(x)
            x = layers.ReLU()(layers.Add()([x, inner]))
    return layers.GlobalAveragePooling2D()(x)  # [N, 64]


def tiny(x: Tensor) -> Tensor:
    """Six narrow convolutions, in pairs on 28×28, 14×14 and 7×7: 19,000 parameters."""
    from keras import layers

    for i, (first, second) in enumerate(((12, 16), (16, 24), (24, 24))):
        x = _conv(second)(_normalised(_conv(first)(x)))
        x = _normalised(layers.MaxPooling2D()(x) if i < 2 else x)
    return layers.GlobalMaxPooling2D()(x)  # [N, 24]


def nano(x: Tensor) -> Tensor:
    """Blocks that convolve each map by itself, mix all and add to their input: 1,900 parameters.

    Such separable convolutions (Chollet 2017) are wider for their parameters than others.
    """
    from keras import layers

    x = _normalised(layers.MaxPooling2D()(_conv(17)(x)))  # [N, 14, 14, 17]
    for i in range(3):
        x = layers.MaxPooling2D()(x) if i == 1 else x  # [N, 7, 7, 17]
        inner = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
        inner = layers.Conv2D(17, 1, use_bias=False)(inner)
        x = layers.ReLU()(layers.Add()([x, _norm()(inner)]))
    return layers.GlobalMaxPooling2D()(x)  # [N, 17]


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


def _conv(filters: int, stride: int = 1) -> keras.Layer:
    from keras import layers

    return layers.Conv2D(filters, 3, strides=stride, padding="same", use_bias=False)


def _norm() -> keras.Layer:
    from keras import layers

    # A short run sees a few hundred steps: the usual momentum of 0.99 would lag behind it.
    return layers.BatchNormalization(momentum=0.9)


def _normalised(x: Tensor) -> Tensor:
    from keras import layers

    return layers.ReLU()(_norm()(x))


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
