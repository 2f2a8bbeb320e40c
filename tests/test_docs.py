"""The guide's examples run as they stand, and do what they say."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest

GUIDE = (Path(__file__).parents[1] / "docs" / "callbacks.md").read_text()
BLOCKS = re.findall(r"## (.*?)\n.*?```python\n(.*?)```", GUIDE, re.S)


@pytest.mark.parametrize("title, code", BLOCKS, ids=[title[:20] for title, _ in BLOCKS])
def test_example(title, code):
    if "TensorFlow" in title and keras.backend.backend() != "tensorflow":
        pytest.skip("the example's train_step is TensorFlow's")
    keras.config.enable_unsafe_deserialization()
    scope = {}
    exec(code, scope)
    history = scope["history"]
    assert all(len(values) == 3 and np.isfinite(values).all() for values in history.values())
    wanted = {
        "keras.io": "active_latents", "functional": "variance_law", "Heads": "kl_latent_median", "Plain vectors": "posterior_variance_max",
        "this project": "gamma",
    }  # fmt: skip
    assert len([line for line in code.splitlines() if line]) < 20 and ("twostage" in code) == ("this project" in title)
    assert [key for word, key in wanted.items() if word in title][0] in history
    if "gamma" in history:
        assert 0 < history["gamma"][-1] < 1


def test_table_names_every_callback_and_what_it_logs():
    import callbacks

    for name in callbacks.__all__:
        assert f"| `{name}(" in GUIDE
