"""Muon turns the steps of convolutions and stretches none; all else is AdamW's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")
pytest.importorskip("tensorflow")

from digitreader.training import networks  # noqa: E402
from digitreader.training.optimizers import optimizer  # noqa: E402
from digitreader.training.recipes import Recipe  # noqa: E402

MUON = Recipe(optimizer="muon", schedule="constant", weight_decay=0.0, learning_rate=0.01)


def stepped(recipe: Recipe, network: Any, gradients: Any) -> list[Any]:
    """What one step adds to each of a network's weights."""
    before = [np.array(v) for v in network.trainable_variables]
    optimizer(recipe, 10).apply_gradients(
        zip(map(keras.ops.convert_to_tensor, gradients), network.trainable_variables, strict=True)
    )
    after = [np.array(v) for v in network.trainable_variables]
    for variable, value in zip(network.trainable_variables, before, strict=True):
        variable.assign(value)
    return [new - old for new, old in zip(after, before, strict=True)]


@pytest.fixture(scope="module")
def steps() -> list[tuple[str, Any, Any, Any]]:
    """Path, gradient, Muon's step and AdamW's of each weight of the default network."""
    keras.utils.set_random_seed(0)
    network = networks.build("default", 10)
    rng = np.random.default_rng(0)
    gradients = [rng.normal(0, 1e-3, v.shape).astype(np.float32)
                 for v in network.trainable_variables]  # fmt: skip
    muon = stepped(MUON, network, gradients)
    adamw = stepped(MUON.with_changes(optimizer="adamw"), network, gradients)
    paths = [v.path for v in network.trainable_variables]
    return list(zip(paths, gradients, muon, adamw, strict=True))


def test_a_convolution_is_turned_as_the_singular_vectors_say(steps: Any) -> None:
    hidden = [row for row in steps if row[1].ndim == 4 and row[1].shape[2] > 1]
    assert len(hidden) == 4
    for _, gradient, step, _ in hidden:
        matrix = gradient.reshape(-1, gradient.shape[3])
        left, _, right = np.linalg.svd(matrix, full_matrices=False)
        size = -0.01 * 0.2 * np.sqrt(max(matrix.shape))
        stretched = np.diag(left.T @ step.reshape(matrix.shape) @ right.T) / size
        assert 0.6 < stretched.min() < stretched.max() < 1.3  # the iteration's own tolerance
        rest = step.reshape(matrix.shape) / size - (left * stretched) @ right
        assert np.abs(rest).max() < 1e-3
        assert 0.5 < np.sqrt(np.mean(step**2)) / (0.01 * 0.2) < 1.5  # the size of AdamW's


def test_all_else_is_stepped_as_adamw_does(steps: Any) -> None:
    others = [row for row in steps if row[1].ndim != 4 or row[1].shape[2] == 1]
    assert len(others) > 8
    for _, _, step, expected in others:
        np.testing.assert_allclose(step, expected, rtol=1e-3, atol=1e-6)


def test_its_weights_decay_by_the_rate() -> None:
    network = networks.build("tiny", 10)
    kernel = next(v for v in network.trainable_variables if v.shape[2:] == (12, 16))
    before = np.array(kernel)
    gradients = [np.zeros(v.shape, np.float32) for v in network.trainable_variables]
    changed = stepped(MUON.with_changes(weight_decay=0.5), network, gradients)
    index = [v.path for v in network.trainable_variables].index(kernel.path)
    np.testing.assert_allclose(changed[index], -0.01 * 0.5 * before, rtol=1e-3, atol=1e-7)
