"""Shuffled training batches that depend on (seed, epoch, index) and on nothing else."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from twostage.errors import InputError

PREFETCHED_BATCHES = 2  # made during a step, on TensorFlow


def flip(batch: np.ndarray, generator: Any) -> np.ndarray:
    """Each image (batch, height, width, channels) mirrored left to right with
    probability one half. A transform for `Batches`.
    """
    is_mirrored = generator.random(len(batch)) < 0.5
    flipped = batch.copy()
    flipped[is_mirrored] = batch[is_mirrored, :, ::-1]
    return flipped


def check_count(examples: int, batch_size: int) -> None:
    """Raises `InputError` where there is less than one batch, or one example, whose
    latents have no variance.
    """
    if examples == 1:
        raise InputError("one example", "at least two", "give more")
    if examples < batch_size:
        raise InputError(
            f"{examples} examples",
            f"at least one batch of {batch_size}",
            f"lower `batch_size`, to {examples} at most" if examples else "give some",
        )


class Batches(keras.utils.PyDataset):
    """Full batches of an array (memory-mapped or not), in a new order every epoch; an
    epoch's remainder is dropped.

    Keras's own array adapter is not used: on TensorFlow with a global seed it repeats
    one order every epoch, it copies a memory map into memory, and it cannot start at a
    given epoch.

    Args:
        data: Array (N, ...).
        batch_size: Examples per batch.
        seed: Seed of the order and of the transform's generator.
        transform: `transform(batch, generator)` -> batch, with a
            `numpy.random.Generator` of this (seed, epoch, index); where several
            processes share a batch, one with `random` and `standard_normal` alone.

    The attribute `first` is the step that an epoch begins with: 0, unless the rest of a
    stopped epoch is to be done.

    `VAE.fit` follows the epochs by itself. Another model needs `fit(batches.feed(),
    shuffle=False, callbacks=[batches.follow_epochs(), ...])`.

    Where `keras.distribution` spreads the work over several processes, each gets its
    own part of every batch, and all of them together get what one would: `batch_size`
    is that of the whole.

    Raises:
        InputError: fewer examples than one batch, or a batch that does not divide by
            the processes.
    """

    def __init__(
        self,
        data: np.ndarray,
        batch_size: int,
        seed: int = 0,
        transform: Callable[[np.ndarray, Any], np.ndarray] | None = None,
    ):
        super().__init__()
        check_count(len(data), batch_size)
        self.data = data
        self.batch_size = batch_size
        self.seed = seed
        self.transform = transform
        self.first = 0
        self.part, self.parts = _this_process()
        if batch_size % self.parts:
            raise InputError(
                f"batches of {batch_size} for {self.parts} processes",
                f"a multiple of {self.parts}",
                "choose another `batch_size`",
            )
        self.epoch = 0
        self.order = self._order(0)

    def _order(self, epoch: int) -> np.ndarray:
        return np.random.default_rng((self.seed, epoch)).permutation(len(self.data))

    def set_epoch(self, epoch: int) -> None:
        """Takes the order of an epoch, counted from 0."""
        self.epoch = epoch
        self.order = self._order(epoch)

    def follow_epochs(self) -> keras.callbacks.Callback:
        """The callback that sets the epoch of the batches. Keras's own hooks on the
        data set come at other moments.
        """
        return keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs: self.set_epoch(epoch)
        )

    def feed(self) -> Any:
        """The argument of one `fit`: the batches themselves, on TensorFlow as a
        `tf.data.Dataset`, another for each.

        Keras makes one of them, too, but lets tf.data tune its buffers. When the
        iterator is let go, once an epoch, the tuner's thread now and then does not
        notice and sleeps on, and training stands still for up to a minute
        (benchmarks/epoch_gap.py).
        """
        if keras.backend.backend() != "tensorflow":
            return self
        import tensorflow as tf

        options = tf.data.Options()
        options.autotune.enabled = False
        steps = len(self)
        signature = tuple(
            tf.TensorSpec((None, *part.shape[1:]), part.dtype) for part in self[0]
        )  # any length, as Keras has it: another graph rounds otherwise
        dataset = tf.data.Dataset.from_generator(
            lambda: (self[i] for i in range(steps)), output_signature=signature
        )
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(steps))
        return dataset.prefetch(PREFETCHED_BATCHES).with_options(options)

    def __len__(self) -> int:
        return len(self.data) // self.batch_size - self.first

    def __getitem__(self, index: int) -> tuple[np.ndarray]:
        index += self.first
        size = self.batch_size // self.parts
        start = index * self.batch_size + self.part * size
        batch = self.data[self.order[start : start + size]]
        if self.transform is not None:
            batch = self.transform(batch, self._generator(index))
        return (batch,)

    def _generator(self, index: int) -> Any:
        generator = np.random.default_rng((self.seed, self.epoch, index))
        if self.parts == 1:
            return generator
        return _OwnPart(generator, self.part, self.parts)


class _OwnPart:
    """Draws for a whole batch and gives the part of one process, so that all together
    get what one process would.
    """

    def __init__(self, generator: np.random.Generator, part: int, parts: int):
        self.generator = generator
        self.part = part
        self.parts = parts

    def random(self, count: int) -> np.ndarray:
        whole = self.generator.random(count * self.parts)
        return whole[self.part * count :][:count]

    def standard_normal(
        self, shape: tuple[int, ...], dtype: Any = np.float64
    ) -> np.ndarray:
        count, *rest = shape
        whole = self.generator.standard_normal((count * self.parts, *rest), dtype=dtype)
        return whole[self.part * count :][:count]


def _this_process() -> tuple[int, int]:
    """(number, count) of the processes that feed data, as Keras's distribution says."""
    distribution: Any = keras.distribution.distribution()
    if distribution is None or distribution.num_processes == 1:
        return 0, 1
    if distribution.auto_shard_dataset:
        raise InputError(
            "a distribution that shards tf.data alone",
            "one that leaves it to the batches",
            "give it `auto_shard_dataset=False`",
        )
    count = min(distribution.num_processes, distribution.num_model_replicas)
    return distribution.data_shard_id, count
