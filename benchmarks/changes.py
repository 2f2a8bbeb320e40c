"""Settings that benchmarks take as `--set base_dim=16 partial=true network=wae`."""

import json


def changes_of(pairs):
    """{name: value} of texts NAME=VALUE, the values in JSON or plain words."""
    split = (pair.split("=") for pair in pairs)
    return {name: _value(text) for name, text in split}


def _value(text):
    try:
        return json.loads(text)
    except ValueError:
        return text
