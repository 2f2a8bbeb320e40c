"""The Inception of 2015 by torch-fidelity: the papers' FID in one flag."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from twostage.errors import InputError
from twostage.features import fidelity_worker
from twostage.features.extractor import Extractor, in_color
from twostage.features.weights_file import checked_weights

NAME = "Inception 2015 (torch-fidelity)"
PACKAGE = "torch_fidelity"
URL = (
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth"
)
SIZE = 95_628_359  # bytes
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
WORKER = (sys.executable, "-m", fidelity_worker.__name__)


def fid_inception(weights: str | Path | None = None) -> Extractor:
    """The `Extractor` of torch-fidelity's Inception (Obukhov et al. 2020). Its weights
    are those of the graph of 2015; 2,048 features, the output `pool_3`. Needs PyTorch
    and torch-fidelity (extra `fid`), which run in a process of their own.

    Args:
        weights: The file, where it is at hand; None: torch-fidelity fetches it once.

    Raises:
        InputError: torch-fidelity is not installed, or the file is another one; when
            it is called: the file cannot be fetched.

    Example:
        >>> fid_inception()(images).shape  # doctest: +SKIP
        (10000, 2048)
    """
    if find_spec(PACKAGE) is None:
        raise InputError(
            "no torch-fidelity", "it for the FID", "pip install torch-fidelity"
        )
    if weights is not None:
        weights = checked_weights(weights, SHA256, f"fetch {URL}, {SIZE:,} bytes")
    worker = _Worker(weights)
    return Extractor(NAME, worker, SHA256[:16], "FID", {"resize": "tf1"})


class _Worker:
    """Images (n, height, width, 1 or 3) -> features (n, 2048), by a process that starts
    with the first images.
    """

    def __init__(self, weights: str | Path | None):
        path = [] if weights is None else [str(Path(weights).absolute())]
        self.command = [*WORKER, *path]
        self._process: subprocess.Popen | None = None

    def __call__(self, images: np.ndarray) -> np.ndarray:
        if self._process is None:
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(
                self.command, stdin=pipe, stdout=pipe, stderr=pipe
            )
        process = self._process
        try:
            assert process.stdin is not None and process.stdout is not None
            fidelity_worker.send(process.stdin, in_color(images))
            features = fidelity_worker.receive(process.stdout, "<f4")
        except BrokenPipeError:
            features = None
        if features is None:
            raise self._failure(process)
        return features

    def _failure(self, process: subprocess.Popen) -> InputError:
        """What the process printed before it ended."""
        _, said = process.communicate()
        lines = said.decode(errors="replace").strip().splitlines() or ["no message"]
        return InputError(
            f"no features by torch-fidelity ({lines[-1][:120]})",
            "it to run, and its weights",
            f"where there is no network, bring {URL} ({SIZE:,} bytes, sha256 {SHA256})"
            " and pass it as `weights`",
        )

    def __del__(self) -> None:
        if self._process is not None:
            self._process.kill()
