"""Images per second of the SavedModel, `decoder.predict` and PyTorch, interleaved, at
batch sizes 1 and 256: `python benchmarks/sampling_speed.py [--torch-python PYTHON]`.

The networks are CIFAR-10's, with random weights. `decode` maps latents to images.
`sample` draws noise and runs both stages; `predict` has no such call. Last comes the
time from a process's start to its first sample.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from side import Side

BATCHES, LATENTS = (1, 256), 64


def write_run(run):
    """A run folder with CIFAR-10's models as they begin."""
    import keras
    import numpy as np

    from twostage import LatentNormalizer, presets
    from twostage.export.saved_model import save
    from twostage.models import build
    from twostage.models.two_stage_models import TwoStageModels

    stage1 = build.build_stage1(presets.resolve(1, "cifar10"), (32, 32, 3))
    stage2 = build.build_stage2(presets.resolve(2, "cifar10"), LATENTS)
    normalizer = LatentNormalizer()
    normalizer.adapt(np.random.default_rng(0).standard_normal((10_000, LATENTS)))
    for name, model in (("stage1", stage1), ("stage2", stage2)):
        (run / name).mkdir(parents=True, exist_ok=True)
        model.save(run / name / "model.keras")
    chain = keras.Sequential([keras.Input((LATENTS,)), normalizer])
    save(run / "saved_model", TwoStageModels(stage1, stage2, chain))


def saved_model(run):
    import numpy as np

    from twostage.export import load

    model = load(f"{run}/saved_model")
    z = {
        batch: (
            np.random.default_rng(0).standard_normal((batch, LATENTS), dtype="float32")
        )
        for batch in BATCHES
    }
    return {
        "decode": lambda batch: model.decode(z[batch]),
        "sample": lambda batch: model.sample(batch, 0),
    }


def predict(run):
    import keras
    import numpy as np

    import twostage

    _ = twostage.VAE  # registers the classes
    decoder = keras.saving.load_model(
        f"{run}/stage1/model.keras", compile=False
    ).decoder
    z = {
        batch: (
            np.random.default_rng(0).standard_normal((batch, LATENTS), dtype="float32")
        )
        for batch in BATCHES
    }
    return {
        "decode": lambda batch: decoder.predict(z[batch], batch_size=batch, verbose=0)
    }


def torch_eager(run):
    import torch
    from torch_networks import DenseDecoder, ResNetDecoder

    decoder = ResNetDecoder(32, 3, LATENTS).eval().to(memory_format=torch.channels_last)
    second = DenseDecoder(LATENTS, 2048).eval()
    z = {batch: torch.randn(batch, LATENTS) for batch in BATCHES}

    def decode(z):
        with torch.inference_mode():
            return decoder(z).numpy()

    return {
        "decode": lambda batch: decode(z[batch]),
        "sample": lambda batch: decode(second(torch.randn(batch, LATENTS)).detach()),
    }


KINDS = {
    "tensorflow SavedModel": saved_model,
    "tensorflow predict": predict,
    "torch": torch_eager,
}


def work(options):
    """A side: reads "decode 256 SECONDS", answers with images per second."""
    calls = KINDS[options.side](options.run)
    print(json.dumps(sorted(calls)), flush=True)
    for line in sys.stdin:
        name, batch, seconds = line.split()
        call, batch = calls[name], int(batch)
        call(batch)
        made, begun = 0, time.perf_counter()
        while time.perf_counter() < begun + float(seconds):
            call(batch)
            made += batch
        print(json.dumps(made / (time.perf_counter() - begun)), flush=True)


def first_sample(run, python):
    """Prints the seconds from the start of a process to its first sample."""
    here = str(Path(__file__).parent)
    ours = f"from twostage.export import load; load('{run}/saved_model').sample(1, 0)"
    theirs = (
        f"import sys; sys.path.insert(0, {here!r}); import sampling_speed;"
        " sampling_speed.torch_eager('')['sample'](1)"
    )
    for name, command in (
        ("SavedModel", [sys.executable, "-c", ours]),
        ("PyTorch", [python, "-c", theirs]),
    ):
        found = []
        for _ in range(3):
            begun = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            found.append(time.perf_counter() - begun)
        print(
            f"from start to the first sample, {name}: {statistics.median(found):.2f} s"
        )


def main(options):
    with tempfile.TemporaryDirectory() as run:
        write_run(Path(run))
        sides = {
            name: Side(name, [__file__, "--run", run], options.torch_python)
            for name in KINDS
        }
        for name in ("decode", "sample"):
            for batch in BATCHES:
                found = {
                    side: []
                    for side, process in sides.items()
                    if name in process.greeting
                }
                for _ in range(options.rounds):
                    for side in found:
                        found[side].append(
                            sides[side].ask(f"{name} {batch} {options.seconds}")
                        )
                medians = {
                    side: statistics.median(each) for side, each in found.items()
                }
                best = max(
                    medians[side] for side in medians if side != "tensorflow SavedModel"
                )
                rates = ", ".join(
                    f"{side.removeprefix('tensorflow ')} {each:.1f}"
                    for side, each in medians.items()
                )
                print(
                    f"{name}, batch {batch}, images per second: {rates}; SavedModel"
                    f" {medians['tensorflow SavedModel'] / best:.2f} of the best other",
                    flush=True,
                )
        first_sample(run, options.torch_python)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--run", help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="per round")
    parser.add_argument(
        "--torch-python", default=sys.executable, help="an interpreter that has PyTorch"
    )
    given = parser.parse_args()
    work(given) if given.side else main(given)
