"""Seconds between two epochs of `fit` on TensorFlow, as Keras feeds a PyDataset and as
our batches are fed: `taskset -c 0 python benchmarks/epoch_gap.py [--epochs 50]
[--seconds 4]`.

At an epoch's end the data's iterator is let go, and with it the thread that tunes its
buffers. Now and then this thread does not notice, and sleeps on until it would have
tuned again: longer and longer the longer the epoch has lasted, up to a minute; training
stands still meanwhile. Both sides run at once, each in a process of its own, on a model
that does nothing but wait.
"""

import argparse
import subprocess
import sys
import time


def main(side, epochs, seconds):
    """Prints the longest gaps of one side."""
    import keras
    import numpy as np

    from twostage.data.batches import Batches

    steps, gaps = 200, []

    class Labelled(Batches):
        def __getitem__(self, index):
            return super().__getitem__(index)[0], np.zeros((4, 1), "float32")

    class Clock(keras.callbacks.Callback):
        ended = None

        def on_train_batch_begin(self, batch, logs=None):
            if batch == 0 and self.ended is not None:
                gaps.append(time.monotonic() - self.ended)

        def on_train_batch_end(self, batch, logs=None):
            time.sleep(seconds / steps)
            self.ended = time.monotonic()

    batches = Labelled(np.zeros((4 * steps, 3), "float32"), 4)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(
        batches if side == "Keras" else batches.feed(),
        epochs=epochs,
        verbose=0,
        shuffle=False,
        callbacks=[Clock()],
    )
    longest = ", ".join(f"{gap:.2f}" for gap in sorted(gaps)[::-1][:5])
    print(
        f"{side}: {sum(gap > 1 for gap in gaps)} of {len(gaps)} gaps above 1 s, the"
        f" longest {longest} s; {sum(gaps):.1f} s in all",
        flush=True,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=4.0, help="of an epoch")
    parser.add_argument("--side", choices=("Keras", "ours"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        main(given.side, given.epochs, given.seconds)
    else:
        for side in [
            subprocess.Popen(
                [
                    sys.executable,
                    __file__,
                    "--side",
                    name,
                    "--epochs",
                    str(given.epochs),
                    "--seconds",
                    str(given.seconds),
                ]
            )
            for name in ("Keras", "ours")
        ]:
            side.wait()
