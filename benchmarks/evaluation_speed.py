"""What compiled graphs save in an evaluation: `python benchmarks/evaluation_speed.py
--run RUN [--rounds 5]`.

Interleaved, in one process: stage 1's decoder and encoder and EfficientNet-Lite0, each
by its graph and one operation after the other, 250 rows. Prints milliseconds and the
ratio of medians.
"""

import argparse
import statistics
import time

import numpy as np

from twostage.features import efficientnet
from twostage.features.torch_weights import read_torch_weights
from twostage.models.compilation import compiled
from twostage.models.tensors import to_numpy
from twostage.runs.models import load_models

ROWS = 250


def pairs_of(run):
    """Of each network (by its graph, one operation after the other), without
    arguments.
    """
    vae = load_models(run)[0].stage1
    generator = np.random.default_rng(0)
    z = generator.standard_normal((ROWS, vae.decoder.input_shape[-1]), "float32")
    shape = vae.encoder.input_shape[1:]
    images = generator.integers(0, 256, (ROWS, *shape), "uint8")
    network = efficientnet._Network(read_torch_weights(efficientnet._packaged()))
    graph = compiled(network)
    side = efficientnet.SIDE
    scaled = generator.uniform(-1, 1, (ROWS, side, side, 3)).astype("float32")
    return {
        "decoder": (lambda: vae.decode_on_batch(z), lambda: to_numpy(vae.decode(z))),
        "encoder": (
            lambda: vae.posterior_on_batch(images),
            lambda: [to_numpy(part) for part in vae.posterior(images)],
        ),
        efficientnet.NAME: (
            lambda: to_numpy(graph(scaled)),
            lambda: to_numpy(network(scaled)),
        ),
    }


def main(run, rounds):
    """Prints a Markdown table, a row per network."""
    print("| network | graph, ms | operations, ms | graph / operations |")
    print("| --- | --- | --- | --- |")
    for name, sides in pairs_of(run).items():
        taken = [[], []]
        for turn in range(rounds + 1):
            for side, seconds in zip(sides, taken, strict=True):
                start = time.perf_counter()
                side()
                if turn:  # the first compiles
                    seconds.append(time.perf_counter() - start)
        graph, operations = (1000 * statistics.median(seconds) for seconds in taken)
        ratio = graph / operations
        print(f"| {name} | {graph:.0f} | {operations:.0f} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    main(options.run, options.rounds)
