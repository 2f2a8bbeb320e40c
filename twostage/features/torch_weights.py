"""Weights from a file of `torch.save`, without PyTorch."""

from __future__ import annotations

import dataclasses
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import IO, Any

import numpy as np

from twostage.errors import InputError

_FAILURES = (
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
)
MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001  # of the format before PyTorch 1.6


def read_torch_weights(path: str | Path) -> dict[str, np.ndarray]:
    """{name: array} of a state dict of float32 and int64 tensors.

    The file holds pickles. The four names that a state dict needs are known, and any
    other is refused, so that no code of the file runs.

    Args:
        path: In the format that `torch.save` wrote before PyTorch 1.6.

    Raises:
        InputError: the file is of another format, or truncated.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            return _read(file)
    except _FAILURES as error:
        raise InputError(
            f"{path}, which is no state dict ({error})",
            "one that torch.save wrote before PyTorch 1.6",
            "fetch it again",
        ) from error


def _read(file: IO[bytes]) -> dict[str, np.ndarray]:
    if _Unpickler(file).load() != MAGIC or _Unpickler(file).load() != VERSION:
        raise ValueError("another format")
    _Unpickler(file).load()  # of the machine that wrote it
    unpickler = _Unpickler(file)
    tensors = unpickler.load()
    for key in _Unpickler(file).load():
        unpickler.storages[key].fill(file)
    return {name: tensor.array() for name, tensor in tensors.items()}


@dataclasses.dataclass
class _Storage:
    """Numbers that tensors are views of; they come behind the pickles."""

    dtype: np.dtype
    count: int
    numbers: np.ndarray = dataclasses.field(default_factory=lambda: np.empty(0))

    def fill(self, file: IO[bytes]) -> None:
        count = int.from_bytes(file.read(8), "little")
        content = file.read(count * self.dtype.itemsize)
        if count != self.count or len(content) != count * self.dtype.itemsize:
            raise ValueError("truncated")
        self.numbers = np.frombuffer(content, self.dtype)


@dataclasses.dataclass
class _Tensor:
    """The arguments of PyTorch's `_rebuild_tensor_v2`; strides count numbers."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    requires_grad: bool
    hooks: Any

    def array(self) -> np.ndarray:
        numbers = self.storage.numbers[self.offset :]
        last = sum(
            (n - 1) * step for n, step in zip(self.shape, self.strides, strict=True)
        )
        if min(self.shape, default=1) > 0 and not 0 <= last < len(numbers):
            raise ValueError("a tensor beyond its storage")
        steps = [step * numbers.itemsize for step in self.strides]
        return np.lib.stride_tricks.as_strided(numbers, self.shape, steps).copy()


_KNOWN = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _Tensor,
    ("torch", "FloatStorage"): np.dtype("<f4"),
    ("torch", "LongStorage"): np.dtype("<i8"),
}


class _Unpickler(pickle.Unpickler):
    """Attributes:
    storages: {key: `_Storage`} that were named.
    """

    def __init__(self, file: IO[bytes]):
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return _KNOWN[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        _, dtype, key, _, count, *_ = pid
        return self.storages.setdefault(key, _Storage(dtype, count))
