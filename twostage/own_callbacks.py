"""The project's package `callbacks`, also where another module of that name hides it,
such as a `callbacks.py` in a user's own project.
"""

import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from twostage.errors import InputError

OWN = Path(__file__).resolve().parents[1] / "callbacks" / "__init__.py"
OTHER_NAME = "twostage_callbacks"  # of ours, where the user's own has its name


def _load() -> ModuleType:
    """The package beside this one, by its own name where that finds it.

    Raises:
        InputError: another package was installed over it.
    """
    module = _under_another_name() if _is_hidden() else _by_name()
    if not hasattr(module, "ComputedGamma"):
        raise InputError(
            f"{module.__file__}",
            "the package `callbacks` of two-stage-vae",
            "uninstall the other package `callbacks`, and install two-stage-vae again",
        )
    return module


def _is_hidden() -> bool:
    found = find_spec("callbacks")
    is_own = found is not None and found.origin and Path(found.origin).resolve() == OWN
    return OWN.is_file() and not is_own


def _by_name() -> ModuleType:
    import callbacks

    return callbacks


def _under_another_name() -> ModuleType:
    spec = spec_from_file_location(OTHER_NAME, OWN)
    assert spec is not None and spec.loader is not None  # it is a file
    module = sys.modules[OTHER_NAME] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if TYPE_CHECKING:
    import callbacks as callbacks
else:
    callbacks = _load()
