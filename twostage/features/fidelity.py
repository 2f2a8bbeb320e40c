"""The Inception of 2015 by torch-fidelity: the papers' FID in one flag."""

from __future__ import annotations

import hashlib
import urllib.error
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from twostage.errors import InputError
from twostage.features.extractor import Extractor, in_color

NAME = "Inception 2015 (torch-fidelity)"
PACKAGE = "torch_fidelity"
URL = (
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth"
)
SIZE = 95_628_359  # bytes
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"


def fid_inception(weights: str | Path | None = None) -> Extractor:
    """The `Extractor` of torch-fidelity's Inception (Obukhov et al. 2020). Its weights
    are those of the graph of 2015; 2,048 features, the output `pool_3`. Needs PyTorch
    and torch-fidelity (extra `fid`).

    Args:
        weights: The file, where it is at hand; None: torch-fidelity fetches it once.

    Raises:
        InputError: torch-fidelity is not installed, the file cannot be fetched, or it
            is another one.

    Example:
        >>> fid_inception()(images).shape  # doctest: +SKIP
        (10000, 2048)
    """
    if find_spec(PACKAGE) is None:
        raise InputError(
            "no torch-fidelity", "it for the FID", "pip install torch-fidelity"
        )
    if weights is not None:
        _check(Path(weights).expanduser())
    network = _network(weights)

    def features(images: np.ndarray) -> np.ndarray:
        import torch

        channels_first = in_color(images).transpose(0, 3, 1, 2)
        with torch.no_grad():
            (pooled,) = network(torch.from_numpy(np.ascontiguousarray(channels_first)))
        return pooled.cpu().numpy()

    return Extractor(NAME, features, SHA256[:16], "FID", {"resize": "tf1"})


def _check(path: Path) -> None:
    if not path.is_file():
        raise InputError(f"received {path}, which does not exist", fix=f"fetch {URL}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != SHA256:
        raise InputError(
            f"{path}, {path.stat().st_size:,} bytes with sha256 {digest}",
            f"{SIZE:,} bytes with sha256 {SHA256}",
            f"fetch {URL}",
        )


def _network(weights: str | Path | None) -> Any:
    """uint8 tensors (n, 3, height, width) -> (features (n, 2048),)."""
    from torch_fidelity import FeatureExtractorInceptionV3

    path = str(Path(weights).expanduser()) if weights is not None else None
    try:
        return FeatureExtractorInceptionV3(
            "inception-v3-compat", ["2048"], feature_extractor_weights_path=path
        )
    except (urllib.error.URLError, OSError) as error:
        raise InputError(
            f"no answer from {URL} ({error})",
            "a network, or the file",
            f"bring it ({SIZE:,} bytes, sha256 {SHA256}) and pass it as `weights`",
        ) from error
