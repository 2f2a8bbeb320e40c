"""Names in files of earlier versions, and in commands for them, and their names now."""

from typing import Any

_CURRENT = {
    "normalised": "normalized",
    "GEN-2 normalised": "GEN-2 normalized",
    "batch_normalisation": "batch_normalization",
    "batch_normalisation_choice": "batch_normalization_choice",
    "quantisation": "quantization",
    "use_unlabelled": "use_unlabeled",
    "moving averages of training": "as trained",
}
_REMOVED = ("watch_seconds",)
# whose values are names
_KEYS_OF_NAMES = ("method", "kind", "sampling", "batch_normalization", "chosen")


def old_names(name: str) -> list[str]:
    """What a name was called.

    >>> old_names("quantization")
    ['quantisation']
    """
    return [old for old, current in _CURRENT.items() if current == name]


def current_name(name: Any) -> Any:
    """A sampler's or a key's name as it is now; anything else as it is.

    >>> current_name("normalised")
    'normalized'
    """
    return _CURRENT.get(name, name) if isinstance(name, str) else name


def current_names(content: Any) -> Any:
    """The content of a JSON file that an earlier version may have written, with the
    current names, at every depth, and without settings that there are no more.

    >>> current_names({"sampling": {"method": "normalised", "images": 8}})
    {'sampling': {'method': 'normalized', 'images': 8}}
    """
    if isinstance(content, list):
        return [current_names(item) for item in content]
    if not isinstance(content, dict):
        return content
    found = {
        current_name(key): current_names(item)
        for key, item in content.items()
        if key not in _REMOVED
    }
    for key in _KEYS_OF_NAMES:
        if key in found:
            found[key] = current_name(found[key])
    return found
