"""The README's code runs as it stands."""

import itertools
import math
import re
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops
from sklearn.datasets import load_digits

from twostage.evaluation import protocol

README = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.S)


class MyVAE(keras.Model):
    """The reader's VAE: `call` gives the decoder's mean and adds the KL."""

    def __init__(self):
        super().__init__()
        self.flatten = keras.layers.Flatten()
        self.encoder = keras.layers.Dense(8)
        self.decoder = keras.layers.Dense(6, dtype="float32")
        self.reshape = keras.layers.Reshape((2, 3, 1), dtype="float32")
        self.seed = keras.random.SeedGenerator(0)

    def call(self, x):
        heads = ops.cast(self.encoder(self.flatten(x)), "float32")
        mean, log_var = ops.split(heads, 2, axis=-1)
        noise = keras.random.normal(ops.shape(mean), seed=self.seed)
        kl = ops.sum(mean**2 + ops.exp(log_var) - log_var - 1, axis=-1) / 2
        self.add_loss(ops.mean(kl))
        return self.reshape(self.decoder(mean + ops.exp(log_var / 2) * noise))


def functional_vae():
    """The same as a functional model, whose weights exist before gamma does."""
    inputs = keras.Input((2, 3, 1))
    return keras.Model(inputs, MyVAE()(inputs))


def trained_with_the_callback(build):
    """The block's names after it was run, and its gamma after each epoch."""
    code = next(block for block in BLOCKS if "ComputedGamma" in block)
    images = np.random.default_rng(0).random((1000, 2, 3, 1), "float32")
    exec(code, names := {"vae": build(), "images": images})
    return names, names["history"].history["gamma"]


@pytest.mark.parametrize("build", [MyVAE, functional_vae])
def test_callback_in_your_own_vae_runs_in_ten_lines(build):
    code = next(block for block in BLOCKS if "ComputedGamma" in block)
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    names, gamma = trained_with_the_callback(build)
    assert (
        len(gamma) == 5
        and all(b <= a for a, b in itertools.pairwise(gamma))
        and gamma[-1] < 0.9
    )
    names["vae"].gamma.assign(0.5)
    loss = names["loss"](ops.ones((2, 5, 3, 1)), ops.zeros((2, 5, 3, 1)))
    np.testing.assert_allclose(
        ops.convert_to_numpy(loss), 15 * (1 / (2 * 0.25) + math.log(0.5)), rtol=1e-6
    )  # of all pixels


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_callback_in_your_own_vae_trains_in_mixed_precision(policy):
    keras.config.set_dtype_policy(policy)
    names, gamma = trained_with_the_callback(MyVAE)
    assert len(gamma) == 5 and 0 < gamma[-1] < 0.9
    assert names["vae"].encoder.compute_dtype == policy.removeprefix("mixed_")


def test_commands_of_the_readme_exist():
    assert (
        README.count(
            "pip install . && python train_stage1.py && python train_stage2.py"
        )
        == 1
    )
    assert README.count('pip install ".[test,jax]" && python -m pytest') == 1
    for name in re.findall(r"docs/[\w./-]+", README):
        assert (Path(__file__).parents[1] / name).exists(), name


@pytest.mark.parametrize(
    "preset", ["digits", "mnist", "fashion_mnist", "cifar10", "celeba"]
)
def test_table_of_presets_matches_the_presets(preset):
    from twostage import presets

    row = next(
        line
        for line in README.splitlines()
        if line.startswith("|") and f"`{preset}`" in line
    )
    one, two = presets.resolve(1, preset), presets.resolve(2, preset)
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[2:6] == [
        str(one.latent_dim),
        f"{one.epochs}, {two.epochs}",
        str(two.width),
        f"{one.kl_weight:g}",
    ]


@pytest.mark.slow
def test_the_two_stage_model_in_python(tmp_path, monkeypatch):
    pytest.importorskip("tensorflow")  # for the export
    code = next(block for block in BLOCKS if "TwoStageVAE" in block)
    assert code.count("epochs=(100, 200)") == 1
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(protocol, "SPLITS", {"fid10k_test": ("test", 100)})
    digits = load_digits().images[:500].repeat(3, 1).repeat(3, 2)
    images = np.pad((digits * 255 / 16).astype("uint8"), ((0, 0), (2, 2), (2, 2)))
    names = {"images": images[:400], "test_images": images[400:]}
    exec(code.replace("(100, 200)", "(1, 1)"), names)
    assert names["samples"].shape == (64, 32, 32, 1)
    assert {"REC", "GEN-1", "GEN-2 normalized"} <= set(names["result"].frechet)
    assert (tmp_path / "saved_model" / "saved_model.pb").exists()
