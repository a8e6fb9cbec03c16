"""Every network, by name: 28×28 grey in (float32 [N, 28, 28, 1], 0–1, ink bright), logits out.

`module:function` names a network of one's own: the function takes the images, as a Keras tensor,
and gives features, [N, F]; the layer of logits comes after them, as after all of these.

The heads give raw logits in float32 whatever the precision of the body; softmax belongs to
whoever reads them, with the temperature that calibration finds. Keras is imported where a
network is built, so that the table can be listed in an instant.
"""

from __future__ import annotations

import importlib
import json
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from digitreader.errors import UsageError, first_line
from digitreader.training import bodies
from digitreader.training.bodies import Tensor

if TYPE_CHECKING:
    import keras

INPUT_SHAPE = (28, 28, 1)
ON_THE_WAY = (__file__, importlib.__file__, "<frozen")  # files between a name and its module


@dataclass(frozen=True)
class Network:
    """One row of the table: how it is built, and a line about it."""

    body: Callable[[Tensor], Tensor]
    about: str


def build(name: str, classes: int) -> keras.Model:
    """Return an untrained network.

    Raises:
        UsageError: no network has that name, it fails, or it does not give features.
    """
    body = _body(name)
    import keras

    images = keras.Input(INPUT_SHAPE, name="images")
    with _told(f"the network {name} fails"):
        features = body(images)  # [N, F]
    if len(getattr(features, "shape", ())) != 2:
        raise UsageError(f"{name} gives {features!r}; expected features, a Keras tensor [N, F]")
    logits = keras.layers.Dense(classes, dtype="float32", name="logits")(features)  # [N, classes]
    return keras.Model(images, logits, name=name.rpartition(":")[2].replace("-", "_"))


def _body(name: str) -> Callable[[Tensor], Tensor]:
    """Find a network in the table, or import one from where the command is run."""
    if name in NETWORKS:
        return NETWORKS[name].body
    module, _, function = name.partition(":")
    if not function:
        raise UsageError(
            f"no network is called {name!r}; there are: {', '.join(NETWORKS)}, "
            "and module:function for one of your own"
        )
    if "" not in sys.path:
        sys.path.insert(0, "")  # the folder that the command is run in
    with _told(f"the network {name} cannot be imported"):
        body = getattr(importlib.import_module(module), function)
    if not callable(body):
        raise UsageError(f"{name} is {body!r}; expected a function of the images")
    found: Callable[[Tensor], Tensor] = body
    return found


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Turn whatever somebody's own module raises into one line that names its file and line."""
    try:
        yield
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        theirs = [frame for frame in frames if not frame.filename.startswith(ON_THE_WAY)]
        # What they call fails further down, in Keras, where no line tells them anything.
        place = [frame for frame in theirs if frame.filename == theirs[0].filename][-1:]
        where = "".join(f" ({Path(frame.filename).name}, line {frame.lineno})" for frame in place)
        raise UsageError(f"{what}: {first_line(error)}{where}") from error


def measured() -> dict[str, Any]:
    """What `benchmarks/networks.py` measured of each network of the table."""
    text = files("digitreader.training").joinpath("networks.json").read_text(encoding="utf-8")
    told: dict[str, Any] = json.loads(text)
    return told


def accuracy_of(row: dict[str, Any]) -> str:
    """What a row of these reached, for people: the mean, and the deviation of several seeds."""
    mean, deviation = row["accuracy_mean"], row["accuracy_sd"]
    return f"{100 * mean:.2f}%" + ("" if deviation is None else f" ± {100 * deviation:.2f}")


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
    views = [layers.Cropping2D((y, x), **exact)(padded) for y in steps for x in steps]
    views[len(views) // 2] = images  # not moved
    logits = layers.Average(name="logits", **exact)([network(view) for view in views])
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


NETWORKS: dict[str, Network] = {
    "default": Network(
        bodies.default, "16, blocks of 32 and 96, global max pool: fast and accurate"
    ),
    "compact": Network(bodies.compact, "4.6 million multiply-adds, most on 7×7: to ship"),
    "residual": Network(
        partial(bodies.residual, widths=(32, 64, 128), blocks=1), "a ResNet of 32-64-128"
    ),
    "residual-small": Network(
        partial(bodies.residual, widths=(16, 32, 64), blocks=1), "a ResNet of 16-32-64"
    ),
    "resnet-20": Network(bodies.resnet_20, "the ResNet of 20 layers made for CIFAR-10"),
    "tiny": Network(bodies.tiny, "six narrow convolutions, 19,000 parameters"),
    "nano": Network(bodies.nano, "three separable convolutions, 1,900 parameters"),
    "plain": Network(bodies.plain, "three convolutions 32-64-128, dense 128"),
    "dense-128": Network(bodies.dense_128, "two convolutions 32-64, dense 128"),
    "dense-64-dropout": Network(
        bodies.dense_64_dropout, "two convolutions 32-64, dense 64, dropout"
    ),
    "double-conv": Network(
        bodies.double_conv, "pairs of 32-64-128, batch norm, dropout, dense 256"
    ),
    "lenet-5": Network(
        bodies.lenet5, "the network of 1998, two convolutions and three dense layers"
    ),
    "mlp": Network(bodies.mlp, "no convolution: dense 512 and 256"),
}
