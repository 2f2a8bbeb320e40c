"""Mutated image files: each is refused with a reason, or read as Pillow reads it to
one gray level; none hangs or crashes.

`python tests/fuzz_images.py [--count 10000] [--seed 0] [--folder FACES]` prints how
many of each kind were read and refused, the largest difference, the longest decode, and
every hang (more than two seconds) and crash. The mutants are a function of the seed and
their number; they are of files of our own and, with `--folder`, of its JPEGs. A process
decodes them, so that a crash can be counted.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from twostage.data.decode import Broken, decode

HANG = 2.0  # seconds


def bases(folder=None):
    """{name: bytes} of whole files of every kind."""
    generator = np.random.default_rng(0)
    noise = Image.fromarray(generator.integers(0, 256, (60, 48, 3), "uint8")).filter(
        ImageFilter.GaussianBlur(2)
    )
    alpha = Image.fromarray(generator.integers(0, 256, (60, 48), "uint8"))
    exif = Image.Exif()
    exif[0x0112] = 6
    with_alpha = noise.copy()
    with_alpha.putalpha(alpha)
    made = {
        "rgb.jpg": (noise, {"quality": 90}),
        "progressive.jpg": (noise, {"progressive": True}),
        "gray.jpg": (noise.convert("L"), {}),
        "cmyk.jpg": (noise.convert("CMYK"), {}),
        "turned.jpg": (noise, {"exif": exif}),
        "444.jpg": (noise, {"subsampling": 0}),
        "rgb.png": (noise, {}),
        "palette.png": (noise.quantize(40), {}),
        "alpha.png": (with_alpha, {}),
        "gray_alpha.png": (with_alpha.convert("LA"), {}),
        "deep.png": (
            Image.fromarray(generator.integers(0, 65536, (30, 40), "uint16")),
            {},
        ),
        "bit.png": (noise.convert("1"), {}),
        "lossy.webp": (noise, {}),
        "lossless.webp": (with_alpha, {"lossless": True}),
        "still.gif": (noise.quantize(60), {}),
        "moving.gif": (
            noise.quantize(60),
            {
                "save_all": True,
                "append_images": [noise.rotate(90, expand=False).quantize(60)],
            },
        ),
        "rgb.bmp": (noise, {}),
        "palette.bmp": (noise.quantize(200), {}),
    }
    found = {}
    for name, (image, options) in made.items():
        file = io.BytesIO()
        image.save(
            file, {"jpg": "jpeg"}.get(name.split(".")[1], name.split(".")[1]), **options
        )
        found[name] = file.getvalue()
    real = sorted(Path(folder).rglob("*.jpg"))[:50] if folder else []
    return {**found, **{path.name: path.read_bytes() for path in real}}


def mutant(files, seed, number):
    """(name, bytes) of a file with one to four wounds; every twentieth is whole."""
    generator = np.random.default_rng((seed, number))
    names = list(files)
    name = names[number % len(names)]
    content = bytearray(files[name])
    for _ in range(generator.integers(1, 5) if number % 20 else 0):
        at, long = (
            int(generator.integers(len(content) + 1)),
            int(min(generator.geometric(0.1), len(content))),
        )
        if generator.random() < 0.4:
            at %= 200  # headers are where decoders trust
        wound = generator.integers(7)
        if wound == 0:
            content[at : at + long] = generator.bytes(long)
        elif wound == 1 and at < len(content):
            content[at] ^= 1 << int(generator.integers(8))
        elif wound == 2:
            content[at : at + long] = (
                bytes([int(generator.choice([0, 1, 127, 128, 255]))]) * long
            )
        elif wound == 3:
            del content[at : at + long]
        elif wound == 4:
            content[at:at] = generator.bytes(long)
        elif wound == 5 and generator.random() < 0.5:
            del content[max(at, 1) :]
        elif wound == 6:
            other = files[names[int(generator.integers(len(names)))]]
            content[at : at + long] = other[at : at + long]
    return name, bytes(content)


def pillows(content):
    """What Pillow makes of the bytes, on white and in 8 bits, by other means than ours:
    floats (height, width, 1 or 3).
    """
    with Image.open(io.BytesIO(content)) as image:
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I"):
            return np.asarray(image).astype("float64")[..., None] / 257
        gray = image.mode in ("1", "L", "LA", "La")
        if image.has_transparency_data:
            pixels = np.asarray(image.convert("RGBA")).astype("float64")
            opacity = pixels[..., 3:] / 255
            colors = opacity * pixels[..., :3] + (1 - opacity) * 255
            return colors[..., :1] if gray else colors
        pixels = np.asarray(image.convert("L" if gray else "RGB")).astype("float64")
        return pixels if pixels.ndim == 3 else pixels[..., None]


def judge(name, content):
    """What became of a mutant, in JSON's types: seconds, and either the reason of the
    refusal or the difference from Pillow in gray levels.
    """
    begun = time.perf_counter()
    try:
        image = decode(content, name)
    except Broken as error:
        return {"seconds": time.perf_counter() - begun, "refused": str(error)}
    seconds, pixels = time.perf_counter() - begun, np.asarray(image).astype("float64")
    expected = pillows(content)
    pixels = pixels if pixels.ndim == 3 else pixels[..., None]
    return {
        "seconds": seconds,
        "difference": (
            float(np.abs(pixels - expected).max())
            if pixels.shape == expected.shape
            else float("inf")
        ),
    }


def run(count, seed=0, folder=None):
    """Yields (number, name, what became of it) of each mutant; a crash is {"crash":
    exit status}.
    """
    files, number = bases(folder), 0
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    while number < count:
        command = [
            sys.executable,
            __file__,
            "--from",
            str(number),
            "--count",
            str(count),
            "--seed",
            str(seed),
            *(["--folder", str(folder)] if folder else []),
        ]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=environment
        ) as process:
            for line in process.stdout:
                yield number, mutant(files, seed, number)[0], json.loads(line)
                number += 1
        if number < count:
            yield number, mutant(files, seed, number)[0], {"crash": process.returncode}
            number += 1


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder")
    parser.add_argument(
        "--from", type=int, default=None, dest="first", help=argparse.SUPPRESS
    )
    options = parser.parse_args()
    if options.first is not None:  # the process that decodes
        warnings.simplefilter("ignore")
        files = bases(options.folder)
        for number in range(options.first, options.count):
            print(json.dumps(judge(*mutant(files, options.seed, number))), flush=True)
        return
    read, refused, worst, longest, bad = Counter(), Counter(), 0.0, 0.0, []
    for number, name, found in run(options.count, options.seed, options.folder):
        kind = name.rsplit(".")[-1]
        (refused if "refused" in found else read)[kind] += 1
        worst, longest = (
            max(worst, found.get("difference", 0.0)),
            max(longest, found.get("seconds", 0.0)),
        )
        if (
            "crash" in found
            or found["seconds"] > HANG
            or found.get("difference", 0.0) > 1
        ):
            bad.append((number, name, found))
    print(
        f"{options.count} mutants, seed {options.seed}: read {sum(read.values())}"
        f" ({dict(read)}), refused {sum(refused.values())} ({dict(refused)})"
    )
    print(
        f"largest difference from Pillow {worst:.2f} gray levels, longest decode"
        f" {longest:.3f} s; hangs, crashes and differences above 1: {len(bad)}"
    )
    for case in bad:
        print(*case)


if __name__ == "__main__":
    main()
