"""Seconds per training step, ours on TensorFlow and JAX and the same in PyTorch,
interleaved: `python benchmarks/training_step.py --configuration cifar10 [--precision
bfloat16]`.

Each side is a process of its own, which trains so many steps per round and sleeps
meanwhile. PyTorch may live in another environment: --torch-python
/path/to/python. It prints each round, the medians, ours over the best PyTorch's, and
what share that is of the machine's peak, the faster of a large convolution and a large
matrix product in either framework.
"""

import argparse
import json
import statistics
import sys
import time

from side import Side

SIDES = ("tensorflow", "jax", "torch", "torch channels-last", "torch compile")
CONFIGURATIONS = {  # side, scales, latents; or latents, width
    "cifar10": {"side": 32, "scales": 3, "latents": 64},
    "celeba": {"side": 64, "scales": 4, "latents": 64},
    "stage2": {"latents": 64, "width": 2048},
    "stage2-large": {"latents": 64, "width": 4096},
}
BATCH = 100


def data(configuration, count=10):
    import numpy as np

    shape = (
        (configuration["side"], configuration["side"], 3)
        if "side" in configuration
        else (configuration["latents"],)
    )
    generator = np.random.default_rng(0)
    if len(shape) == 1:
        return generator.standard_normal((count * BATCH, *shape), dtype="float32")
    return generator.integers(0, 256, (count * BATCH, *shape), "uint8")


def ours(configuration, precision, steps_per_execution):
    """`train(steps)` -> seconds, by `fit` with our batches and rule; and the floating
    point operations of a step (on JAX).
    """
    import keras
    import numpy as np

    import callbacks
    from twostage import presets
    from twostage.data.batches import Batches
    from twostage.models import build
    from twostage.training.fit import compile_vae

    keras.config.set_dtype_policy(
        "mixed_bfloat16" if precision == "bfloat16" else "float32"
    )
    x = data(configuration)
    if "side" in configuration:
        made = presets.resolve(
            1,
            "cifar10",
            num_scale=configuration["scales"],
            steps_per_execution=steps_per_execution,
        )
        vae = build.build_stage1(made, x.shape[1:])
    else:
        made = presets.resolve(
            2,
            "cifar10",
            width=configuration["width"],
            steps_per_execution=steps_per_execution,
        )
        vae = build.build_stage2(made, configuration["latents"])
    compile_vae(made, vae)

    def train(steps):
        rows = np.arange(steps * BATCH) % len(x)
        batches = Batches(x[rows], BATCH, 0)
        rule = callbacks.ComputedGamma("ratchet")
        rule.async_safe = True
        clock = Clock()
        vae.fit(batches, epochs=1, verbose=0, callbacks=[rule, clock])
        return clock.seconds

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.begun = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            # the logs are numbers, so the last step is done; letting go of the data,
            # once a `fit`, may take another second on TensorFlow
            self.seconds = time.perf_counter() - self.begun

    return train, lambda: step_flops(vae, x[:BATCH])


def step_flops(vae, batch):
    """Of our training step on JAX, as XLA counts them before it optimizes."""
    import jax

    state = vae._get_jax_state(
        trainable_variables=True,
        non_trainable_variables=True,
        optimizer_variables=True,
        metrics_variables=True,
    )
    return jax.jit(vae.train_step).lower(state, batch).cost_analysis()["flops"]


def torch_networks_of(configuration, layout):
    """(encoder, decoder) in PyTorch."""
    import torch_networks as networks

    latents = configuration["latents"]
    if "side" in configuration:
        pair = (
            networks.ResNetEncoder(3, latents, configuration["scales"]),
            networks.ResNetDecoder(configuration["side"], 3, latents),
        )
    else:
        kinds = networks.DenseEncoder, networks.DenseDecoder
        pair = [kind(latents, configuration["width"]) for kind in kinds]
    return [network.to(memory_format=layout) for network in pair]


def torchs(configuration, precision, variant):
    """The same in PyTorch; `flops` of a step are counted here."""
    import torch
    import torch_networks as networks
    from torch.utils.flop_counter import FlopCounterMode

    torch.manual_seed(0)
    has_images = "side" in configuration
    last = variant == "channels-last" and has_images
    layout = torch.channels_last if last else torch.contiguous_format
    encoder, decoder = torch_networks_of(configuration, layout)
    x = torch.from_numpy(data(configuration))
    x = x.permute(0, 3, 1, 2) if has_images else x
    x = x.contiguous(memory_format=layout)
    weights = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.Adam(weights, 1e-4, fused=True)
    state = {"gamma": 1.0}

    def forward(batch, gamma):
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            return networks.loss(encoder, decoder, batch, gamma)

    is_compiled = variant == "compile"
    compiled = torch.compile(forward) if is_compiled else forward

    def step(i, forward=compiled):
        first = i * BATCH % len(x)
        batch = x[first : first + BATCH]
        batch = batch.float() / 255 if has_images else batch
        optimizer.zero_grad()
        # a new constant would be compiled again
        value, mse = forward(batch, 1.0 if is_compiled else state["gamma"])
        value.backward()
        optimizer.step()
        variance = state["gamma"] ** 2
        mean = 0.99 * variance + 0.01 * float(mse.detach())
        state["gamma"] = min(variance, mean) ** 0.5

    def train(steps):
        begun = time.perf_counter()
        for i in range(steps):
            step(i)
        return time.perf_counter() - begun

    def flops():
        with FlopCounterMode(display=False) as counter:
            step(0, forward)
        return counter.get_total_flops()

    return train, flops


def peak_of(side, precision, seconds=2.0):
    """FLOP/s of a large convolution and a large matrix product."""
    size, images, width = 2048, BATCH, 128
    work = {
        "matrix": 2 * size**3,
        "convolution": 2 * images * 32 * 32 * 9 * width * width,
    }
    if side.startswith("torch"):
        import torch

        kind = torch.bfloat16 if precision == "bfloat16" else torch.float32
        a = torch.randn(size, size, dtype=kind)
        x = torch.randn(images, width, 32, 32, dtype=kind).contiguous(
            memory_format=torch.channels_last
        )
        w = torch.randn(width, width, 3, 3, dtype=kind).contiguous(
            memory_format=torch.channels_last
        )
        operations = {
            "matrix": lambda: a @ a,
            "convolution": lambda: torch.nn.functional.conv2d(x, w, padding=1),
        }
    else:
        import keras

        kind = "bfloat16" if precision == "bfloat16" else "float32"

        def random(*shape):
            return keras.ops.cast(keras.random.normal(shape), kind)

        a = random(size, size)
        x, w = random(images, 32, 32, width), random(3, 3, width, width)

        def done(number):
            return float(keras.ops.cast(number, "float32"))

        operations = {
            "matrix": lambda: done(keras.ops.matmul(a, a)[0, 0]),
            "convolution": lambda: done(
                keras.ops.conv(x, w, padding="same")[0, 0, 0, 0]
            ),
        }
    return {
        name: work[name] / fastest(run, seconds) for name, run in operations.items()
    }


def fastest(run, seconds=2.0):
    """Seconds of the fastest call, of as many as fit; the first is left out."""
    run()
    times, until = [], time.perf_counter() + seconds
    while time.perf_counter() < until:
        begun = time.perf_counter()
        run()
        times.append(time.perf_counter() - begun)
    return min(times)


def work(options):
    """A side: reads "train N", "flops" or "peak" from standard input, writes JSON."""
    configuration = CONFIGURATIONS[options.configuration]
    if options.side.startswith("torch"):
        train, flops = torchs(
            configuration, options.precision, options.side.removeprefix("torch").strip()
        )
    else:
        train, flops = ours(
            configuration,
            options.precision,
            options.steps_per_execution if options.side == "jax" else 1,
        )
    train(options.steps)  # compiles
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        word, *number = line.split()
        answer = (
            train(int(number[0])) / int(number[0])
            if word == "train"
            else (
                flops() if word == "flops" else peak_of(options.side, options.precision)
            )
        )
        print(json.dumps(answer), flush=True)


def main(options):
    flags = [
        f"--{flag.replace('_', '-')}={getattr(options, flag)}"
        for flag in ("configuration", "precision", "steps", "steps_per_execution")
    ]
    sides = {
        name: Side(name, [__file__, *flags], options.torch_python)
        for name in options.sides
    }
    times = {name: [] for name in sides}
    for _ in range(options.rounds):
        for name, side in sides.items():
            times[name].append(side.ask(f"train {options.steps}"))
        print(
            ", ".join(f"{name} {1000 * times[name][-1]:.1f} ms" for name in sides),
            flush=True,
        )
    medians = {name: statistics.median(found) for name, found in times.items()}
    peaks = {
        name: max(sides[name].ask("peak").values())
        for name in sides
        if name in ("tensorflow", "torch", "jax")
    }
    torch = {
        name: seconds for name, seconds in medians.items() if name.startswith("torch")
    }
    flops = sides[next(iter(torch))].ask("flops") if torch else None
    print(
        f"\n{options.configuration}, {options.precision}, batch {BATCH}, medians of"
        f" {options.rounds} rounds of {options.steps} steps"
        + (f"; {flops / 1e9:.1f} GFLOP per step" if flops else "")
    )
    peak = max(peaks.values())
    for name, seconds in medians.items():
        ratio = (
            f", {seconds / min(torch.values()):.3f} of the best PyTorch's"
            if torch
            else ""
        )
        share = (
            f", {flops / seconds / 1e9:.0f} GFLOP/s, {flops / seconds / peak:.0%} of"
            " the peak"
            if flops
            else ""
        )
        print(f"{name}: {1000 * seconds:.1f} ms{ratio}{share}")
    print(
        "peak, GFLOP/s: "
        + ", ".join(f"{name} {value / 1e9:.0f}" for name, value in peaks.items())
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--configuration", choices=tuple(CONFIGURATIONS), default="cifar10"
    )
    parser.add_argument(
        "--precision", choices=("float32", "bfloat16"), default="float32"
    )
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, default=5, help="steps per round")
    parser.add_argument("--steps-per-execution", type=int, default=1, help="of JAX")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--torch-python", default=sys.executable, help="an interpreter that has PyTorch"
    )
    given = parser.parse_args()
    work(given) if given.side else main(given)
