"""What compiled graphs and fused batch normalization save in an evaluation: `python
benchmarks/evaluation_speed.py --run RUN [--rounds 5]`.

Interleaved, in one process, 250 rows: stage 1's decoder and encoder and
EfficientNet-Lite0, each by its graph and one operation after the other; then decoder
and encoder by graphs with our batch normalization and with Keras's own. Prints
milliseconds and the ratio of medians.
"""

import argparse

import numpy as np
from interleaved import medians

from twostage.features import efficientnet
from twostage.features.torch_weights import read_torch_weights
from twostage.models.compilation import compiled
from twostage.models.layers.batch_normalization import BatchNormalization
from twostage.models.tensors import to_numpy
from twostage.runs.models import load_models

ROWS = 250


def pairs_of(run):
    """Of each network (the faster way, the slower), without arguments."""
    vae, unfused = (load_models(run)[0].stage1 for _ in range(2))
    for network in (unfused.encoder, unfused.decoder):
        for layer in network._flatten_layers():
            if isinstance(layer, BatchNormalization):
                layer._is_fusible = lambda inputs: False
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
        "decoder, batch normalization": (
            lambda: vae.decode_on_batch(z),
            lambda: unfused.decode_on_batch(z),
        ),
        "encoder, batch normalization": (
            lambda: vae.posterior_on_batch(images),
            lambda: unfused.posterior_on_batch(images),
        ),
    }


def main(run, rounds):
    """Prints a Markdown table, a row per network."""
    print("| network | by graph or fused, ms | without, ms | ratio |")
    print("| --- | --- | --- | --- |")
    for name, sides in pairs_of(run).items():
        fast, slow = (1000 * seconds for seconds in medians(sides, rounds))
        print(f"| {name} | {fast:.0f} | {slow:.0f} | {fast / slow:.2f} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    main(options.run, options.rounds)
