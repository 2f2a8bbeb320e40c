"""The papers' recipes on a GPU that is there for some minutes at a time, on JAX.

    export KERAS_BACKEND=jax
    python benchmarks/accelerator.py steps --configuration cifar10
    python benchmarks/accelerator.py recipe --run RUN --keep SMALL --minutes 9 \
        --stage1 "--preset cifar10 --data cifar10.npz" --stage2 "" \
        --evaluate "--extractor imagenet"

`steps` prints the time of a training step in float32, TF32 and bfloat16, and its share
of the peak: the faster of a large matrix product and a large convolution in the same
precision.

`recipe` trains stage 1, then stage 2, then evaluates, each by the command of the
README. After `--minutes` it interrupts them, and the same command goes on from there.
It copies histories, settings, figures and sample images to `--keep`, and leaves weights
in RUN. Exits with status 0 once everything is finished, with 75 if there is more to do.
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

from training_step import BATCH, CONFIGURATIONS, fastest, ours

ROOT = Path(__file__).parents[1]
PRECISIONS = {  # of products: Keras's type, and JAX's precision for float32
    "float32": ("float32", "highest"),
    "tf32": ("float32", "tensorfloat32"),
    "bfloat16": ("bfloat16", "default"),
}
MORE = 75  # EX_TEMPFAIL: the same command goes on
SMALL = (
    "*/history.csv",
    "*/config.json",
    "*/environment.json",
    "stage2/sampling.json",
    "results.json",
    "evaluation/*.json",
    "evaluation/*.md",
    "evaluation/*/*.png",
)


def peak(dtype, size, repeats):
    """FLOP/s of the faster of a product of square matrices and a 3x3 convolution of
    128 channels, each repeated in one compiled call.
    """
    import jax

    def random(*shape):
        return jax.random.normal(jax.random.key(0), shape, dtype)

    def convolve(x, weights):
        layout = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(
            x, weights, (1, 1), "SAME", dimension_numbers=layout
        )

    def rate(operation, x, weights, flops, scale):
        def once(_, before):
            return operation(before, weights) * scale

        compiled = jax.jit(lambda x: jax.lax.fori_loop(0, repeats, once, x))
        return repeats * flops / fastest(lambda: compiled(x).block_until_ready())

    square = random(size, size)
    product = rate(jax.numpy.matmul, square, square, 2 * size**3, size**-0.5)
    x, kernel = random(BATCH, 32, 32, 128), random(3, 3, 128, 128)
    flops = 2 * BATCH * 32 * 32 * 9 * 128 * 128
    return max(product, rate(convolve, x, kernel, flops, (9 * 128) ** -0.5))


def steps(given):
    """Prints a table, a row as soon as it is measured."""
    import jax

    print(f"{given.configuration}, batch {BATCH}, {jax.devices()[0].device_kind}")
    print("| precision | ms per step | GFLOP per step | TFLOP/s | peak | share |")
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    configuration = CONFIGURATIONS[given.configuration]
    for name, (kind, products) in PRECISIONS.items():
        with jax.default_matmul_precision(products):
            train, flops = ours(configuration, kind, given.per_execution)
            train(2 * given.per_execution)  # compiles
            times = [train(given.steps) / given.steps for _ in range(given.rounds)]
            best = peak(kind, given.size, given.repeats)
            operations = flops()
        rate = operations / min(times)
        print(
            f"| {name} | {1e3 * min(times):.3f} | {operations / 1e9:.1f}"
            f" | {rate / 1e12:.3g} | {best / 1e12:.3g} | {rate / best:.0%} |",
            flush=True,
        )


def commands(given):
    """The commands that are left, by the files of the run; the next one is asked for
    when the one before is finished.
    """
    run = Path(given.run)
    for stage, flags in (("stage1", given.stage1), ("stage2", given.stage2)):
        if flags is None or (run / stage / "model.keras").exists():
            continue
        begun = any((run / stage / "checkpoints").glob("*.npz"))
        flags = ["--resume"] if begun else shlex.split(flags)
        yield [ROOT / f"train_{stage}.py", "--run", run, *flags]
    if given.evaluate is not None and not any((run / "evaluation").glob("*.json")):
        flags = shlex.split(given.evaluate)
        yield ["-m", "twostage", "evaluate", "--run", run, *flags]


def finished(command, seconds):
    """Runs it for so many seconds at most. Returns whether it ended by itself.

    Raises:
        SystemExit: it failed.
    """
    process = subprocess.Popen(
        [sys.executable, *map(str, command)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        status = process.wait(max(0.0, seconds))
    except subprocess.TimeoutExpired:
        process.terminate()  # it saves a checkpoint
        process.wait()
        return False
    if status:
        raise SystemExit(f"{' '.join(map(str, command))} ended with status {status}")
    return True


def keep(run, folder):
    """Copies the run's small files."""
    for pattern in SMALL:
        for path in Path(run).glob(pattern):
            copy = Path(folder) / path.relative_to(run)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)


def recipe(given):
    """Exits with the status of the description."""
    until = time.monotonic() + 60 * given.minutes
    try:
        for command in commands(given):
            if not finished(command, until - time.monotonic()):
                raise SystemExit(MORE)
    finally:
        keep(given.run, given.keep)


def parsed():
    """The arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = parser.add_subparsers(required=True)
    timing = parts.add_parser("steps")
    timing.set_defaults(part=steps)
    timing.add_argument(
        "--configuration", choices=tuple(CONFIGURATIONS), default="cifar10"
    )
    timing.add_argument("--steps", type=int, default=500, help="steps per round")
    timing.add_argument("--rounds", type=int, default=3)
    timing.add_argument("--per-execution", type=int, default=50, help="steps per call")
    timing.add_argument("--size", type=int, default=8192, help="of the matrices")
    timing.add_argument("--repeats", type=int, default=20, help="products per call")
    training = parts.add_parser("recipe")
    training.set_defaults(part=recipe)
    training.add_argument("--run", required=True)
    training.add_argument("--keep", required=True, help="folder for the small files")
    training.add_argument("--minutes", type=float, default=9)
    for part in ("stage1", "stage2", "evaluate"):
        training.add_argument(f"--{part}", help="its flags; without it, left out")
    return parser.parse_args()


if __name__ == "__main__":
    given = parsed()
    given.part(given)
