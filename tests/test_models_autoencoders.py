"""Autoencoders as parts of the one VAE: deterministic and constant posteriors, RAE's
penalties, MMD; saved and loaded.
"""

import json
import math

import keras
import numpy as np
import pytest
from keras import layers, ops
from small_models import linear_vae

import twostage
from twostage.cli.main import COMMANDS
from twostage.config import Stage2Config
from twostage.evaluation import protocol
from twostage.models.compilation import jit_compile
from twostage.models.divergences import MaximumMeanDiscrepancy, squared_length
from twostage.models.gradient_penalty import GradientPenalty
from twostage.models.held_out_loss import held_out_loss
from twostage.models.layers.batch_normalization import BatchNormalization
from twostage.training.best_epoch import BestEpoch
from twostage.training.held_out import HeldOut
from twostage.training.normalizer import normalizer_target


def autoencoder(norm=False, **options):
    """Dense, on 6 dimensions and 3 latents; the encoder gives z alone."""
    inputs, z = keras.Input((6,)), keras.Input((3,))
    h = (
        BatchNormalization()(layers.Dense(5)(z))
        if norm
        else layers.Dense(5, activation="tanh")(z)
    )
    decoder = keras.Model(z, layers.Dense(6)(h))
    return twostage.VAE(
        keras.Model(inputs, layers.Dense(3)(inputs)),
        decoder,
        twostage.GaussianLikelihood(0.5**0.5),
        **{"posterior_std": 0.0, "seed": 0, **options},
    )


def data(count=40):
    return np.random.default_rng(0).normal(size=(count, 6)).astype("float32")


def numbers(tensor):
    return ops.convert_to_numpy(tensor).astype("float64")


def test_an_autoencoder_has_no_noise_and_raes_loss():
    """S + beta |z|^2, up to the constants of sigma^2 = 1/2."""
    x, vae = data(), autoencoder(kl_weight=0.3, divergence=squared_length)
    vae.compile("sgd")
    mean = numbers(vae.encoder(x))
    squared = ((x - numbers(vae.decoder(mean))) ** 2).sum(1)
    expected = squared + 3 * math.log(math.pi) + 0.3 * (mean**2).sum(1)
    results = vae.evaluate(x, batch_size=40, verbose=0, return_dict=True)
    assert results["loss"] == pytest.approx(expected.mean(), rel=1e-5) and results[
        "kl"
    ] == pytest.approx((mean**2).sum(1).mean(), rel=1e-5)
    found, log_var = vae.posterior(x)
    np.testing.assert_allclose(numbers(found), mean, rtol=1e-5)
    assert np.isneginf(numbers(log_var)).all()
    np.testing.assert_allclose(
        vae.predict(x, verbose=0), numbers(vae.decoder(mean)), rtol=1e-4, atol=1e-5
    )
    assert np.isfinite(vae.fit(x, epochs=3, verbose=0).history["loss"]).all()


def test_a_constant_posterior_draws_its_noise():
    x, vae = np.repeat(data(1), 20_000, 0), autoencoder(posterior_std=0.7)
    mean, log_var = (numbers(part) for part in vae.posterior(x[:1]))
    np.testing.assert_allclose(log_var, 2 * math.log(0.7), rtol=1e-6)
    z = numbers(vae(x)["z"])
    np.testing.assert_allclose(z.mean(0), mean[0], atol=0.02)
    np.testing.assert_allclose(z.std(0), 0.7, rtol=0.02)
    vae.compile("sgd")
    kl = vae.evaluate(x[:100], verbose=0, return_dict=True)["kl"]
    assert kl == pytest.approx(
        0.5 * (mean**2 + 0.49 - math.log(0.49) - 1).sum(), rel=1e-4
    )


@pytest.mark.parametrize("norm", [False, True])
def test_the_gradient_penalty_is_the_derivatives(norm):
    """Against central differences; the moving averages move once per step."""
    x, vae = data(), autoencoder(norm=norm)
    z = numbers(vae.encoder(x)).astype("float32")

    def total(z):
        return (numbers(vae.decoder(z.astype("float32"))) ** 2).sum(1)

    step = 1e-2
    by_hand = np.stack(
        [
            (total(z + step * row) - total(z - step * row)) / (2 * step)
            for row in np.eye(3)
        ],
        1,
    )
    found = float(GradientPenalty(0.5)(vae.decoder, ops.convert_to_tensor(z)))
    assert found == pytest.approx(0.5 * (by_hand**2).mean(), rel=2e-3)
    if norm:
        plain, penalized = (
            autoencoder(norm=True, decoder_penalty=penalty)
            for penalty in (None, GradientPenalty(0.5))
        )
        penalized.set_weights(plain.get_weights())
        for model in (plain, penalized):
            model.compile(keras.optimizers.SGD(0.0))
            model.fit(x, batch_size=40, epochs=2, verbose=0)
        for a, b in zip(
            plain.decoder.get_weights(), penalized.decoder.get_weights(), strict=True
        ):
            np.testing.assert_allclose(a, b, atol=1e-6)


def test_the_gradient_penalty_trains_and_flattens_the_decoder(tmp_path):
    x, sizes = data(200), {}
    for name, penalty in (("none", None), ("penalty", GradientPenalty(1.0))):
        keras.utils.set_random_seed(1)
        vae = autoencoder(
            divergence=squared_length, kl_weight=0.01, decoder_penalty=penalty
        )
        vae.compile(keras.optimizers.Adam(1e-2), jit_compile=jit_compile())
        assert np.isfinite(
            vae.fit(x, batch_size=50, epochs=15, verbose=0).history["loss"]
        ).all()
        sizes[name] = float(GradientPenalty(1.0)(vae.decoder, vae.posterior(x)[0]))
    assert sizes["penalty"] < 0.5 * sizes["none"]
    vae.save(tmp_path / "vae.keras")
    again = keras.saving.load_model(tmp_path / "vae.keras")
    np.testing.assert_allclose(
        again.predict(x, verbose=0), vae.predict(x, verbose=0), atol=1e-6
    )
    assert (
        again.posterior_std == 0
        and again.decoder_penalty.weight == 1
        and again.divergence is squared_length
    )


def test_the_discrepancy_is_unbiased_and_sees_a_shift():
    layer = MaximumMeanDiscrepancy(seed=1)
    generator = np.random.default_rng(0)

    def draws(shift):
        return [
            float(
                numbers(
                    layer(
                        None,
                        None,
                        ops.convert_to_tensor(
                            (generator.normal(size=(64, 4)) + shift).astype("float32")
                        ),
                    )
                )[0, 0]
            )
            for _ in range(60)
        ]

    same, shifted = np.array(draws(0.0)), np.array(draws(1.0))
    assert abs(same.mean()) < 4 * same.std() / 60**0.5 and same.min() < 0 < same.max()
    assert shifted.min() > same.max()
    z = generator.normal(size=(5, 4)).astype("float32")
    c = 2 * 4 * np.array(MaximumMeanDiscrepancy.SCALES)
    squared = ((z[:, None] - z) ** 2).sum(-1)
    np.testing.assert_allclose(
        numbers(layer._kernel(ops.convert_to_tensor(z), ops.convert_to_tensor(z))),
        (c / (c + squared[..., None])).sum(-1),
        rtol=1e-4,
    )
    vae = autoencoder(divergence=MaximumMeanDiscrepancy(), kl_weight=10.0)
    vae.compile(keras.optimizers.Adam(1e-2), jit_compile=jit_compile())
    assert np.isfinite(
        vae.fit(data(200), batch_size=50, epochs=3, verbose=0).history["loss"]
    ).all()


def wae():
    return autoencoder(divergence=MaximumMeanDiscrepancy(), kl_weight=10.0)


def test_the_held_out_loss_of_a_wae_depends_on_its_weights_alone():
    """The draws of the prior are those of the seed, and training's own stay as they
    are.
    """
    vae, x = wae(), data(260)
    state = numbers(vae.divergence.seed_generator.state)
    found = [held_out_loss(vae, x, seed=1) for _ in range(2)]
    assert found[0] == found[1] != held_out_loss(vae, x, seed=2)
    np.testing.assert_array_equal(numbers(vae.divergence.seed_generator.state), state)


def test_a_single_row_has_no_discrepancy():
    """250 rows go through the networks at once, so 251 leave one over."""
    x = data(251)
    vae, held_out = wae(), HeldOut(x)
    whole, first = (held_out_loss(vae, part)["val_kl"] for part in (x, x[:250]))
    assert whole == pytest.approx(first * 250 / 251, rel=1e-5)
    best = BestEpoch(held_out, 3)
    vae.compile(keras.optimizers.Adam(1e-2), jit_compile=jit_compile())
    history = vae.fit(x, batch_size=25, epochs=4, verbose=0, callbacks=[held_out, best])
    assert np.isfinite(history.history["loss"]).all() and best.epoch > 0


def test_a_loss_that_is_never_finite_keeps_the_start_and_is_reported(caplog):
    vae, x = wae(), data(40)
    held_out = HeldOut(np.full_like(x, np.nan))
    best = BestEpoch(held_out, 9)
    vae.compile("sgd")
    before = [numbers(weight) for weight in vae.weights]
    vae.fit(x, epochs=2, verbose=0, callbacks=[held_out, best])
    assert best.restore(vae, [])["epoch"] == 0
    assert "no epoch has a finite held-out loss" in caplog.text
    for weight, start in zip(vae.weights, before, strict=True):
        np.testing.assert_array_equal(numbers(weight), start)


def test_normalized_latents_have_the_variance_of_a_prior_that_shaped_them():
    """1 where the KL, or WAE's discrepancy, asks for it; else that of the law."""
    x = data(40)
    moments = np.stack([np.full((40, 3), 0.0), np.full((40, 3), np.log(0.04))], 1)
    for options, target in (
        ({"posterior_std": None}, 1.0),
        ({"posterior_std": None, "kl_weight": 0.0}, 0.2),
        ({"posterior_std": None, "divergence": squared_length}, 0.2),
        ({"posterior_std": 0.0, "divergence": squared_length}, 0.2),
        ({"posterior_std": 0.0, "divergence": MaximumMeanDiscrepancy()}, 1.0),
    ):
        vae = linear_vae(dimensions=x.shape[1], **options)
        found = normalizer_target(Stage2Config(), vae, moments)
        assert found == pytest.approx(target), options
    by_the_law = Stage2Config(normal_target="variance_law")
    assert normalizer_target(by_the_law, linear_vae(), moments) == pytest.approx(0.2)


AUTOENCODER = [
    *("--network", "convolutional", "--posterior", "none", "--divergence", "l2"),
    *("--gamma", "fixed", "--kl-weight", "0.01", "--gradient-penalty", "1e-3"),
    *("--limit", "200", "--epochs", "1", "--latent-dim", "4"),
]
FEW = ["--bound-images", "10", "--half-samples", "2", "--importance-samples", "2"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Both stages of an autoencoder, by the commands, evaluated."""
    run = tmp_path_factory.mktemp("autoencoder") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(protocol.SPLITS, "fid10k_test", ("test", 100))
        patch.setattr("sys.argv", ["train_stage1.py"])
        COMMANDS["train-stage1"](["--run", str(run), *AUTOENCODER])
        COMMANDS["train-stage2"](["--run", str(run), "--epochs", "1", "--width", "16"])
        COMMANDS["evaluate"](["--run", str(run), "--extractor", "random", *FEW])
    return run


@pytest.mark.slow
def test_no_likelihood_is_claimed_for_an_autoencoder(run):
    path = run / "evaluation" / "random_network-fid10k_test.json"
    found = json.loads(path.read_text())
    assert list(found["likelihood"]) == ["mse"] and len(found["distances"]) == 7
    posterior = found["latents"]["posterior"]
    assert posterior["kl_per_latent"] == [None] * 4
    assert posterior["posterior_variance"] == [0] * 4
    words = "An autoencoder has no likelihood bound"
    assert words in path.with_suffix(".md").read_text()
    # no prior says how far the latents reach
    model = keras.saving.load_model(run / "stage2" / "normalizer.keras")
    target = model.layers[-1].target
    deviation = posterior["variance_law"] ** 0.5
    assert target == pytest.approx(deviation, rel=0.05) and target != 1


@pytest.mark.slow
def test_an_autoencoder_cannot_be_recalibrated(run):
    with pytest.raises(SystemExit) as ended:
        flags = ["--extractor", "random", "--recalibrate"]
        COMMANDS["evaluate"](["--run", str(run), *flags])
    assert ended.value.code == 2


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a SavedModel")
def test_the_export_of_a_linear_output_is_clipped(run):
    from twostage import export
    from twostage.export.export_run import exported_stage1

    z = np.full((1, 4), 1e3, "float32")
    assert ops.convert_to_numpy(exported_stage1(run).decode(z)).max() > 1
    images = export.load(run / "saved_model").decode(z)
    assert images.min() >= 0 and images.max() == 1


@pytest.mark.parametrize(
    "network", ["resnet", "infogan", "beta_sigma", "rae", "wae", "convolutional"]
)
def test_networks_are_chosen_by_name(network):
    from twostage import presets
    from twostage.models import build

    side = {"beta_sigma": 28, "rae": 32, "wae": 64}.get(network, 8)
    settings = presets.resolve(
        1,
        "digits",
        network=network,
        likelihood="diagonal",
        spectral_norm=network == "rae",
        posterior="constant",
    )
    vae = build.build_stage1(settings, (side, side, 1))
    assert (
        vae.decoder.output_shape == (None, side, side, 2) and vae.posterior_std == 0.7
    )
    assert vae.encoder.output_shape == (
        None,
        settings.latent_dim,
    )  # no head of log_var, which would have no gradient
    linear = network in ("beta_sigma", "convolutional")
    assert (
        np.abs(
            ops.convert_to_numpy(
                vae.decode(np.full((1, settings.latent_dim), 100.0, "float32"))
            )
            - 0.5
        ).max()
        > 0.5
    ) == linear
    kinds = [type(layer).__name__ for layer in vae._flatten_layers()]
    assert kinds.count("SpectralNormalization") == {"infogan": 4, "rae": 8}.get(
        network, 0
    )


def test_settings_that_exclude_each_other_are_refused():
    from twostage import presets

    with pytest.raises(
        twostage.InputError,
        match="`posterior='none'` with the KL divergence, which is infinite there",
    ):
        presets.resolve(1, "digits", posterior="none")
    assert (
        presets.resolve(1, "digits", posterior="none", kl_weight=0.0).divergence == "kl"
    )
    with pytest.raises(
        twostage.InputError,
        match="`spectral_norm` with `network='resnet'`, expected rae",
    ):
        presets.resolve(1, "digits", spectral_norm=True)
