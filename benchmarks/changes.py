"""Settings that benchmarks take as `--set base_dim=16 partial=true`."""

import json


def changes_of(pairs):
    """{name: value} of texts NAME=VALUE, the values in JSON."""
    split = (pair.split("=") for pair in pairs)
    return {name: json.loads(value) for name, value in split}
