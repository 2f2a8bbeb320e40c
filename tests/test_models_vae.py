"""The VAE: closed-form bounds, what `predict` gives, saving, and what it refuses."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops
from replica_processes import on_replicas
from scipy import stats
from small_models import linear_vae

import callbacks
import twostage


def test_evaluate_of_a_linear_vae_is_the_closed_form_bound():
    """E_q[S] = |x - W mu - b|^2 + sum_j sigma_j^2 |W_j|^2, everything else is exact."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(20_000, 6)).astype("float32")
    vae = linear_vae(
        log_var=-1.0, likelihood=twostage.GaussianLikelihood(gamma=0.7), seed=3
    )
    vae.compile("adam")
    found = vae.evaluate(x, batch_size=1000, verbose=0, return_dict=True)
    mean = ops.convert_to_numpy(vae.posterior(x)[0])
    kernel = ops.convert_to_numpy(vae.decoder.weights[0])
    error = ((x - ops.convert_to_numpy(vae.decode(mean))) ** 2).sum(1) + np.exp(
        -1.0
    ) * (kernel**2).sum()
    nll = error / (2 * 0.49) + 6 * np.log(0.7) + 3 * np.log(2 * np.pi)
    kl = 0.5 * (mean**2 + np.exp(-1.0) + 1.0 - 1.0).sum(1)
    assert found["kl"] == pytest.approx(kl.mean(), rel=1e-5)
    assert found["loss"] == pytest.approx(
        found["reconstruction"] + found["kl"], rel=1e-5
    )
    standard_error = nll.std() / np.sqrt(len(x))
    assert abs(found["reconstruction"] - nll.mean()) < 4 * standard_error
    assert found["mse"] == pytest.approx(error.mean() / 6, rel=0.02)


def test_the_bound_is_exact_where_the_posterior_is():
    """For x = W z + noise and the true posterior, the bound equals log N(x; 0, W W^T +
    gamma^2 I).
    """
    w = np.array(
        [[2.0, 0.0, 0.0], [0.0, 0.5, 0.0]], "float32"
    )  # orthogonal rows, so that the posterior is diagonal
    gamma, x = 0.6, np.random.default_rng(1).normal(size=(40_000, 3)).astype("float32")
    precision = 1 + (w**2).sum(1) / gamma**2
    vae = linear_vae(3, 2, likelihood=twostage.GaussianLikelihood(gamma=gamma), seed=1)
    vae.encoder.set_weights(
        [
            (w / gamma**2 / precision[:, None]).T,
            np.zeros(2),
            np.zeros((3, 2)),
            -np.log(precision),
        ]
    )
    vae.decoder.set_weights([w, np.zeros(3)])
    vae.compile("adam")
    loss = vae.evaluate(x, batch_size=4000, verbose=0, return_dict=True)["loss"]
    exact = -stats.multivariate_normal(
        np.zeros(3), w.T @ w + gamma**2 * np.eye(3)
    ).logpdf(x)
    assert loss == pytest.approx(exact.mean(), abs=4 * exact.std() / np.sqrt(len(x)))


def test_predict_repeats_and_is_the_mean_at_the_mean():
    x = np.random.default_rng(0).normal(size=(10, 6)).astype("float32")
    vae = linear_vae()
    vae.compile("adam")
    vae.predict_on_batch(x)
    first = vae.predict(x, verbose=0)
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first, vae.predict(x, verbose=0))
    np.testing.assert_allclose(
        first,
        ops.convert_to_numpy(vae.decode(vae.posterior(x)[0])),
        rtol=1e-5,
        atol=1e-6,
    )
    assert not np.allclose(
        ops.convert_to_numpy(vae(x)["z"]), ops.convert_to_numpy(vae(x)["z"])
    )


def test_images_are_scaled_once_and_floats_are_refused():
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), "uint8")
    vae = small_image_vae()
    vae.compile("adam")
    vae.fit(images, batch_size=20, verbose=0)
    np.testing.assert_allclose(
        ops.convert_to_numpy(vae(images)["x"]), images / np.float32(255), rtol=1e-6
    )
    for call in (vae.fit, vae.predict):
        with pytest.raises(
            ValueError,
            match=(
                r"received data of type float(32|64), this model takes uint8: give"
                r" images as uint8"
            ),
        ):
            call(images / 255.0, verbose=0)
    with pytest.raises(ValueError, match="this model takes uint8"):
        vae.posterior(images.astype("int32"))
    vae.fit(images, batch_size=20, verbose=0)  # the refusals cost nothing


def test_sample_weights_and_kl_weight_enter_the_loss():
    x = np.random.default_rng(0).normal(size=(8, 6)).astype("float32")
    vae = linear_vae(log_var=-60.0, kl_weight=2.5)  # no noise
    vae.compile("adam")
    weights = np.arange(8.0)  # Keras drops sample weights where there is no y
    found = vae.evaluate(
        x, x, batch_size=8, sample_weight=weights, verbose=0, return_dict=True
    )
    mean, log_var = (ops.convert_to_numpy(part) for part in vae.posterior(x))
    nll = ((x - ops.convert_to_numpy(vae.decode(mean))) ** 2).sum(1) / 2 + 3 * np.log(
        2 * np.pi
    )
    kl = 0.5 * (mean**2 + np.exp(log_var) - log_var - 1).sum(1)
    assert found["loss"] == pytest.approx((weights * (nll + 2.5 * kl)).mean(), rel=1e-5)
    assert found["kl"] == pytest.approx(np.average(kl, weights=weights), rel=1e-5)


@pytest.mark.slow
def test_saved_files_load_and_training_resumes(tmp_path):
    """In a new process, with gamma, the rule's state and the optimizer; the next step
    equals that of the model that stayed.
    """
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 1), "uint8")
    vae = small_image_vae()
    vae.compile(keras.optimizers.SGD(1e-3, momentum=0.9))
    vae.fit(
        images,
        batch_size=20,
        epochs=2,
        shuffle=False,
        verbose=0,
        callbacks=[callbacks.ComputedGamma()],
    )
    vae.likelihood.decay.assign(0.9)  # as a file written within a fit has it
    vae.save(tmp_path / "vae.keras")
    np.save(tmp_path / "images.npy", images)
    script = (
        "import numpy as np, keras, sys; from twostage import GaussianLikelihood\nvae ="
        " keras.saving.load_model(sys.argv[1] + '/vae.keras'); l ="
        " vae.likelihood\nprint(*(float(v) for v in (vae.gamma, l.batch_mse, l.decay,"
        " l.monotone,"
        " vae.optimizer.iterations)))\n"
        "print(float(np.abs(vae.predict(np.load(sys.argv[1]"
        " + '/images.npy'), verbose=0)).sum()))\nvae.fit(np.load(sys.argv[1] +"
        " '/images.npy'), batch_size=20, verbose=0, shuffle=False);"
        " print(float(vae.optimizer.iterations))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    lines = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    ).stdout.splitlines()
    likelihood = vae.likelihood
    expected = [
        float(v)
        for v in (
            vae.gamma,
            likelihood.batch_mse,
            likelihood.decay,
            likelihood.monotone,
            vae.optimizer.iterations,
        )
    ]
    np.testing.assert_allclose(
        [float(v) for v in lines[0].split()], expected, rtol=1e-6
    )
    assert expected[0] < 1 and expected[2:4] == [pytest.approx(0.9), 1.0]
    assert float(lines[1]) == pytest.approx(
        float(np.abs(vae.predict(images, verbose=0)).sum()), rel=1e-5
    )
    assert float(lines[2]) == 9


@pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="TensorFlow's own is compiled"
)
def test_steps_in_one_call_are_the_same_steps():
    """5 batches of 16 and one of 4, three epochs, a gamma that each step moves."""
    x = np.random.default_rng(0).normal(size=(84, 6)).astype("float32")
    found = {}
    for steps in (1, 4):
        keras.utils.set_random_seed(0)
        vae = linear_vae()
        vae.compile(keras.optimizers.Adam(0.01), steps_per_execution=steps)
        history = vae.fit(
            x,
            batch_size=16,
            epochs=3,
            shuffle=False,
            verbose=0,
            callbacks=[callbacks.ComputedGamma("ema")],
        ).history
        found[steps] = [*vae.get_weights(), *history.values()]
        assert (vae.train_function.__module__ == "twostage.models.multi_step") == (
            steps > 1
        ) and int(vae.optimizer.iterations) == 18
    for a, b in zip(found[1], found[4], strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="MirroredStrategy is TensorFlow's"
)
def test_two_replicas_with_sgd_equal_one():
    script = """
import numpy as np, keras, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)
from small_models import linear_vae
import callbacks
x = np.random.default_rng(0).normal(size=(80, 6)).astype("float32")
def train(strategy):
    with strategy.scope():
        keras.utils.set_random_seed(0)
        vae = linear_vae(log_var=-60.0)
        vae.encoder.layers[1].kernel_regularizer = keras.regularizers.L2(0.1)
        vae.compile(keras.optimizers.SGD(0.01), jit_compile=False)
    history = vae.fit(
        x,
        batch_size=20,
        epochs=3,
        shuffle=False,
        verbose=0,
        callbacks=[callbacks.ComputedGamma("ema")],
    ).history
    return [*vae.get_weights(), history["loss"], history["mse"], history["gamma"]]
one = train(tf.distribute.OneDeviceStrategy("/cpu:0"))
two = train(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
for a, b in zip(one, two):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
def refused(words, batch_size=20, optimizer=lambda: "sgd", **options):
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        vae = linear_vae()
        vae.compile(optimizer(), jit_compile=False, **options)
    try:
        watch = [callbacks.ComputedGamma()]
        vae.fit(x, batch_size=batch_size, verbose=0, callbacks=watch)
    except ValueError as error:
        return words in str(error)
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    vae = linear_vae()
for on_two, alone in zip(vae.posterior_on_batch(x[:7]), vae.posterior(x[:7])):
    np.testing.assert_allclose(on_two, alone, rtol=1e-6)
assert refused("steps_per_execution=2 on 2 replicas, expected 1", steps_per_execution=2)
assert refused(
    "gradient_accumulation_steps=2 on 2 replicas, expected 1",
    optimizer=lambda: keras.optimizers.SGD(gradient_accumulation_steps=2),
)
assert refused("batches of 15, 5 examples on 2 replicas", batch_size=15)
print("equal")
"""
    assert on_replicas("-c", script).strip().endswith("equal")


def small_image_vae():
    encoder = twostage.resnet_encoder((8, 8, 1), 4, num_scale=2, base_dim=4, fc_dim=16)
    return twostage.VAE(
        encoder,
        twostage.resnet_decoder((8, 8, 1), 4, base_dim=4),
        twostage.GaussianLikelihood(),
        seed=0,
    )
