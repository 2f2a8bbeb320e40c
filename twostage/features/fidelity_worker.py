"""Features by torch-fidelity in a process of its own: `python -m
twostage.features.fidelity_worker [WEIGHTS]`.

PyTorch's CUDA libraries and TensorFlow's crash in one process on some machines. Reads
images from standard input and writes their features to standard output, both as a
header of int64 with the shape, then the numbers.
"""

from __future__ import annotations

import sys
from typing import IO, Any

import numpy as np


def send(pipe: IO[bytes], array: np.ndarray) -> None:
    """Writes an array: its number of axes, its shape, its numbers."""
    header = np.array([array.ndim, *array.shape], "<i8")
    pipe.write(header.tobytes() + np.ascontiguousarray(array).tobytes())
    pipe.flush()


def receive(pipe: IO[bytes], dtype: str) -> np.ndarray | None:
    """Reads what `send` wrote; None at the end of the pipe."""
    start = pipe.read(8)
    if len(start) < 8:
        return None
    axes = int.from_bytes(start, "little")
    shape = np.frombuffer(pipe.read(8 * axes), "<i8")
    size = int(shape.prod()) * np.dtype(dtype).itemsize
    return np.frombuffer(pipe.read(size), dtype).reshape(shape)


def main(weights: str | None) -> None:
    """Answers until standard input ends."""
    import torch  # pyright: ignore[reportMissingImports]

    answers, sys.stdout = sys.stdout.buffer, sys.stderr  # what prints goes there
    network = _network(weights)
    while (images := receive(sys.stdin.buffer, "uint8")) is not None:
        channels_first = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        with torch.no_grad():
            (pooled,) = network(torch.from_numpy(channels_first))
        send(answers, pooled.cpu().numpy().astype("<f4"))


def _network(weights: str | None) -> Any:
    """uint8 tensors (n, 3, height, width) -> (features (n, 2048),)."""
    import torch_fidelity  # pyright: ignore[reportMissingImports]

    return torch_fidelity.FeatureExtractorInceptionV3(
        "inception-v3-compat", ["2048"], feature_extractor_weights_path=weights
    )


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
