"""Training by several processes at once, on as many machines: each takes a share of every batch.

Every process runs the same command, and is told who it is by Keras's own variables:

    KERAS_BACKEND=jax KERAS_DISTRIBUTION_JOB_ADDRESSES=10.0.0.1:1234 \\
    KERAS_DISTRIBUTION_NUM_PROCESSES=2 KERAS_DISTRIBUTION_PROCESS_ID=0 digitreader train

Keras's data parallelism on JAX does it (`keras.distribution`), on all devices of each process:
gradients, and the means of batch norm, are those of the whole batch. So the network is that of one
process, but for rounding. The first process writes the run's folder; all read it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import keras

from digitreader.errors import UsageError

ADDRESS = "KERAS_DISTRIBUTION_JOB_ADDRESSES"  # the first process's


@dataclass(frozen=True)
class Team:
    """Which of how many processes this one is."""

    number: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes what comes of the training."""
        return self.number == 0

    def share(self, batch_size: int) -> slice:
        """Which of a batch's images are this process's.

        Raises:
            UsageError: they cannot be shared out evenly.
        """
        on_jax = keras.backend.backend() == "jax"  # others compute on one
        devices = len(keras.distribution.list_devices()) if on_jax else 1
        if batch_size % max(devices, self.size):
            raise UsageError(
                f"batch_size is {batch_size}; expected a multiple of {devices}, the number of "
                f"devices{f' of all {self.size} processes' * (self.size > 1)}"
            )
        own = batch_size // self.size
        return slice(self.number * own, (self.number + 1) * own)


def join() -> Team:
    """Find the other processes, where Keras's variables name them; wait for them all.

    Raises:
        UsageError: Keras does not run on JAX, or the variables make no sense.
    """
    if ADDRESS not in os.environ:
        return Team()
    if keras.backend.backend() != "jax":
        raise UsageError(
            f"{ADDRESS} is set, and several processes train together on JAX alone: set "
            "KERAS_BACKEND=jax, too"
        )
    import jax

    try:
        keras.distribution.initialize()
    except (RuntimeError, ValueError) as error:
        raise UsageError(f"the other processes of this training are not there: {error}") from error
    return Team(jax.process_index(), jax.process_count())


@contextmanager
def together() -> Iterator[None]:
    """Spread what is computed in here over all devices of all processes."""
    before = keras.distribution.distribution()
    if keras.backend.backend() == "jax" and len(keras.distribution.list_devices()) > 1:
        keras.distribution.set_distribution(
            keras.distribution.DataParallel(auto_shard_dataset=False)
        )
    try:
        yield
    finally:
        keras.distribution.set_distribution(before)


@contextmanager
def alone() -> Iterator[None]:
    """Compute what is computed in here in each process for itself."""
    before = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(before)
