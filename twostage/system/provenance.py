"""What a run depends on beside its config: data, versions, platform."""

import platform
import sys
import time
import zlib
from importlib import metadata
from typing import Any

import numpy as np

PACKAGES = (
    "two-stage-vae",
    "keras",
    "tensorflow",
    "jax",
    "numpy",
    "pillow",
    "scikit-learn",
)


def fingerprint(array: np.ndarray) -> dict[str, Any]:
    """What identifies a data set: shape and checksum."""
    return {
        "shape": list(array.shape),
        "crc32": zlib.crc32(np.ascontiguousarray(array)),
    }


def provenance() -> dict[str, Any]:
    """What a result depends on beside its config."""
    import keras

    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    return {
        "backend": keras.backend.backend(),
        "versions": versions,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "command": " ".join(sys.argv),
        "started": time.strftime("%Y-%m-%d %H:%M:%S %z"),
    }
