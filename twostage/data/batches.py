"""Shuffled training batches that depend on (seed, epoch, index) and on nothing else."""

import keras
import numpy as np

from twostage.errors import InputError

AHEAD = 2  # batches made while a step is at work, on TensorFlow


def flip(batch, generator):
    """Each image (batch, height, width, channels) mirrored left to right with
    probability one half. A transform for `Batches`.
    """
    mirrored = generator.random(len(batch)) < 0.5
    found = batch.copy()
    found[mirrored] = batch[mirrored, :, ::-1]
    return found


def check_count(examples, batch_size):
    """Raises `InputError` where there is less than one batch."""
    if examples < batch_size:
        raise InputError(
            f"received {examples} examples, expected at least one batch of"
            f" {batch_size}: lower --batch-size"
        )


class Batches(keras.utils.PyDataset):
    """Full batches of an array (memory-mapped or not), in a new order every epoch; an
    epoch's remainder is dropped.

    Keras's own array adapter is not used: on TensorFlow with a global seed it repeats
    one order every epoch, it copies a memory map into memory, and it cannot start at a
    given epoch.

    Args:
        data: Array (N, ...).
        batch_size: Examples a batch.
        seed: Seed of the order and of the transform's generator.
        transform: `transform(batch, generator)` -> batch, with a
            `numpy.random.Generator` of this (seed, epoch, index); where several
            processes share a batch, one with `random` and `standard_normal` alone.

    The attribute `first` is the step that an epoch begins with: 0, unless the rest of a
    stopped epoch is to be done.

    Give `fit` the callback `batches.follow_epochs()` beside it, and `shuffle=False`. A
    model that is no `VAE` wants `fit(batches.feed(), ...)`.

    Where `keras.distribution` spreads the work over several processes, each gets its
    own part of every batch, and all of them together
    get what one would: `batch_size` is that of the whole.

    Raises:
        InputError: fewer examples than one batch, or a batch that does not divide by
            the processes.
    """

    def __init__(self, data, batch_size, seed=0, transform=None):
        super().__init__()
        check_count(len(data), batch_size)
        self.data, self.batch_size, self.seed, self.transform, self.first = (
            data,
            batch_size,
            seed,
            transform,
            0,
        )
        self.part, self.parts = _this_process()
        if batch_size % self.parts:
            raise InputError(
                f"received batches of {batch_size} for {self.parts} processes, expected"
                " a multiple: choose such a --batch-size"
            )
        self.set_epoch(0)

    def set_epoch(self, epoch):
        self.epoch = epoch
        self.order = np.random.default_rng((self.seed, epoch)).permutation(
            len(self.data)
        )

    def follow_epochs(self):
        """The callback that tells the batches which epoch it is. Keras's own hooks on
        the data set come at other moments.
        """
        return keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs: self.set_epoch(epoch)
        )

    def feed(self):
        """What Keras is to be given, anew for each `fit`: the batches themselves, on
        TensorFlow as a `tf.data.Dataset`.

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
        return (
            dataset.apply(tf.data.experimental.assert_cardinality(steps))
            .prefetch(AHEAD)
            .with_options(options)
        )

    def __len__(self):
        return len(self.data) // self.batch_size - self.first

    def __getitem__(self, index):
        index += self.first
        own = self.batch_size // self.parts
        first = index * self.batch_size + self.part * own
        batch = self.data[self.order[first : first + own]]
        if self.transform is not None:
            generator = np.random.default_rng((self.seed, self.epoch, index))
            batch = self.transform(
                batch,
                (
                    generator
                    if self.parts == 1
                    else _OwnPart(generator, self.part, self.parts)
                ),
            )
        return (batch,)


class _OwnPart:
    """Draws for a whole batch and gives the part of one process, so that all together
    get what one process would.
    """

    def __init__(self, generator, part, parts):
        self.generator, self.part, self.parts = generator, part, parts

    def random(self, count):
        return self.generator.random(count * self.parts)[self.part * count :][:count]

    def standard_normal(self, shape, dtype=np.float64):
        count, *rest = shape
        return self.generator.standard_normal((count * self.parts, *rest), dtype=dtype)[
            self.part * count :
        ][:count]


def _this_process():
    """(number, count) of the processes that feed data, as Keras's distribution says."""
    distribution = keras.distribution.distribution()
    if distribution is None or distribution.num_processes == 1:
        return 0, 1
    if distribution.auto_shard_dataset:
        raise InputError(
            "received a distribution that shards tf.data alone, expected one that"
            " leaves it to the batches: give it auto_shard_dataset=False"
        )
    return distribution.data_shard_id, min(
        distribution.num_processes, distribution.num_model_replicas
    )
