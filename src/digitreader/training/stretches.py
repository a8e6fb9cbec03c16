"""Many steps of a training as one compiled program, where Keras runs on JAX.

An accelerator is done with a small network's step sooner than Python has begun the next. So a
stretch of an epoch is compiled as a loop (`jax.lax.scan`), which Python starts once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import cycle, islice
from typing import Any

import keras

STRETCH = 50  # steps
State = Any  # weights and what the optimiser and the metrics keep: JAX's arrays in lists
TrainFunction = Callable[[State, Iterator[Any]], tuple[dict[str, Any], State]]


def pay() -> bool:
    """Whether JAX computes on one accelerator; on a processor, XLA's loops take ten times as long.

    Several devices share out a batch (`team.py`), each step by itself.
    """
    if keras.backend.backend() != "jax" or keras.distribution.distribution() is not None:
        return False
    import jax

    return bool(jax.default_backend() != "cpu")


def in_stretches(inputs: Any, outputs: Any, steps: int) -> keras.Model:
    """Return a model that trains so, `steps` an epoch; by single ones where that does not pay."""
    if not pay():
        return keras.Model(inputs, outputs)

    class InStretches(keras.Model):  # type: ignore[misc]  # Keras ships no types
        train_function: TrainFunction | None

        def make_train_function(self, force: bool = False) -> None:
            """Give Keras what it calls for so many steps as `steps_per_execution` says."""
            if self.train_function is None or force:
                self.train_function = _train_function(self.train_step, steps)

        def compile(self, *args: Any, **kwargs: Any) -> None:
            super().compile(*args, **kwargs, steps_per_execution=STRETCH)

    return InStretches(inputs, outputs)


def _train_function(train_step: Callable[..., Any], steps: int) -> TrainFunction:
    """What trains a stretch, which an epoch's end cuts short: state, batches → logs, state."""
    import jax

    def one(state: State, batch: Any) -> tuple[State, dict[str, Any]]:
        logs, trained = train_step(state, batch)
        return jax.tree.unflatten(jax.tree.structure(state), jax.tree.leaves(trained)), logs

    def stretch(state: State, batches: Any) -> tuple[dict[str, Any], State]:
        state, logs = jax.lax.scan(one, state, batches)
        return {name: values[-1] for name, values in logs.items()}, state

    compiled = jax.jit(stretch, donate_argnums=0)
    lengths = cycle(min(STRETCH, steps - start) for start in range(0, steps, STRETCH))

    def train(state: State, batches: Iterator[Any]) -> tuple[dict[str, Any], State]:
        taken = islice(batches, next(lengths))
        together = jax.tree.map(lambda *parts: jax.numpy.stack(parts), *taken)
        logs, state = compiled(state, together)
        return logs, state

    return train
