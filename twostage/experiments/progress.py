"""A progress bar over the epochs of a training that has no bar of Keras's."""

import contextlib
from collections.abc import Iterator

import keras


@contextlib.contextmanager
def epoch_bar(epochs: int, label: str) -> Iterator[keras.callbacks.Callback]:
    """Gives a callback for `fit`, which moves the bar. Only on a terminal.

    Args:
        epochs: Length of the bar.
        label: In front of it.
    """
    from tqdm.auto import tqdm

    with tqdm(total=epochs, desc=label, unit="epoch", disable=None) as bar:
        yield keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: bar.update())
