"""The artificial task of Berger & Sebag (section 4.1): points of the plane near a
curve, with moderate, small and large noise in its thirds.

The paper does not give the curve. Ours: (t, cos 2t), t uniform in [-2.5, 2.5]; noise
.05, .01 and .1 on both coordinates. The range matters: with t in [-1, 1] no direction's
variance exceeds the sigma of 1 that LS-VAE starts from, so its latents die before sigma
has fallen, and it ends at sigma .54 with KL 0.
"""

import math

import keras
import numpy as np

from callbacks import GammaSchedule, statistics
from twostage.data.batches import Batches
from twostage.likelihoods.diagonal_gaussian_likelihood import DiagonalGaussianLikelihood
from twostage.likelihoods.gaussian_likelihood import GaussianLikelihood
from twostage.metrics.likelihood_bounds import bounds
from twostage.models.compilation import jit_compile
from twostage.models.networks.berger_sebag import residual_decoder, residual_encoder
from twostage.models.vae import VAE
from twostage.system.random_streams import Stream

REACH, NOISE = 2.5, (0.05, 0.01, 0.1)
BATCH, STEPS = (
    100,
    100,
)  # points a batch, all fresh; batches an epoch, of which one value of a curve is kept
FLOOR = 1e-3  # of sigma, a tenth of the least noise
SHOWN = 600  # points of each kind that are kept for the figures


def points(count, generator):
    """(count, 2) float32, near the curve."""
    t = generator.uniform(-REACH, REACH, count)
    noise = np.array(NOISE)[np.minimum((t + REACH) / (2 * REACH) * 3, 2).astype(int)]
    return (
        np.stack([t, np.cos(2 * t)], 1)
        + noise[:, None] * generator.standard_normal((count, 2))
    ).astype("float32")


def train(sigma, seed, epochs, rate=1e-3):
    """(vae, history) of one row.

    Args:
        sigma: As `vae_of` takes it; or a sequence, one value an epoch, which is
            replayed.
        seed: Of weights, points and noise.
        epochs: Of 100 batches.
        rate: Learning rate of Adam at the start.
    """
    replayed = list(sigma) if isinstance(sigma, (list, tuple)) else None
    vae = vae_of(replayed[0] if replayed else sigma, seed)
    told = [GammaSchedule(replayed, unit="epoch")] if replayed else []
    return vae, fit(vae, points, 2, seed, epochs, rate, told)


def vae_of(sigma, seed):
    """A VAE with random weights. `sigma`: fixed at a number; `"learned"`, from 1;
    `"vector"`, one of the decoder for each dimension.
    """
    keras.utils.set_random_seed(seed)
    if sigma == "vector":
        likelihood = DiagonalGaussianLikelihood(FLOOR)
    else:
        likelihood = GaussianLikelihood(
            1.0 if sigma == "learned" else sigma, sigma == "learned", floor=FLOOR
        )
    return VAE(
        residual_encoder(),
        residual_decoder(heads=("linear",) * len(likelihood.heads)),
        likelihood,
        data_dtype="float32",
        seed=seed,
    )


def begin_from(vae, other, sigma):
    """Gives a VAE the weights of another with a scalar sigma; where it has a sigma for
    each dimension, these begin at `sigma`.
    """
    vae.encoder.set_weights(other.encoder.get_weights())
    *body, kernel, bias = other.decoder.get_weights()
    if len(vae.likelihood.heads) == 2:
        kernel, bias = (
            np.hstack([kernel, np.zeros_like(kernel)]),
            np.concatenate([bias, np.full_like(bias, math.log(sigma))]),
        )
    vae.decoder.set_weights([*body, kernel, bias])


def fit(vae, draw, dimensions, seed, epochs, rate=1e-3, told=()):
    """Trains on fresh points, `draw(count, generator)` -> (count, dimensions), by Adam
    whose rate decays as a cosine to 0. Returns the history.
    """
    vae.compile(
        keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(rate, epochs * STEPS), epsilon=1e-8
        ),
        jit_compile=jit_compile(),
    )
    batches = Batches(
        np.empty((STEPS * BATCH, dimensions), "float32"),
        BATCH,
        seed,
        transform=lambda batch, generator: draw(len(batch), generator),
    )
    return vae.fit(
        batches,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=[batches.follow_epochs(), *told],
    ).history


def measure(vae, history, seed, count=10_000):
    """What the paper reports, on fresh points: `elbo` in nats without the constant (D /
    2) log 2 pi, as their Table 1; curves an epoch; 600 points of each kind.

    Returns:
        dict in JSON's types: elbo, sigma (final, root mean square where it is a
        vector), mse, kl, `curves`, `points`.
    """
    fresh = points(count, np.random.default_rng((seed, Stream.SYNTHETIC_POINTS, 0, 1)))
    found = bounds(vae, fresh, samples=10, seed=seed, batch_rows=5_000)
    generator = np.random.default_rng((seed, Stream.SYNTHETIC_PRIOR))
    z, mean = (
        generator.standard_normal((SHOWN, 2), dtype="float32"),
        vae.posterior(fresh[:SHOWN])[0],
    )
    drawn = {
        "reconstructions": vae.decode(mean),
        "generated": vae.decode(z),
        "sampled": vae.likelihood.sample(vae.decoder(z), seed=seed),
    }
    drawn = {
        "data": fresh[:SHOWN],
        **{name: keras.ops.convert_to_numpy(some) for name, some in drawn.items()},
    }
    sigma = (
        float(keras.ops.convert_to_numpy(vae.gamma))
        if hasattr(vae.likelihood, "gamma")
        else _root(vae, z)
    )
    return {
        "elbo": float(found["evidence"].mean() + math.log(2 * math.pi)),
        "sigma": sigma,
        "mse": float(np.mean((drawn["reconstructions"] - drawn["data"]) ** 2)),
        "kl": float(found["rate"].mean()),
        "curves": {
            name: [float(value) for value in history[name]]
            for name in ("loss", "reconstruction", "kl", "gamma")
            if name in history
        },
        "points": {name: np.round(some, 4).tolist() for name, some in drawn.items()},
    }


def rates(vae, seed, count=10_000):
    """Divergence of each latent on fresh points, nats, from the largest to the
    smallest.
    """
    heads = vae.heads(
        keras.ops.convert_to_tensor(
            points(count, np.random.default_rng((seed, Stream.SYNTHETIC_POINTS, 0, 1)))
        )
    )
    return sorted(
        statistics.kl_per_latent(*map(keras.ops.convert_to_numpy, heads)).tolist(),
        reverse=True,
    )


def _root(vae, z):
    return float(
        np.exp(
            keras.ops.convert_to_numpy(vae.likelihood.log_variance(vae.decoder(z)))
        ).mean()
        ** 0.5
    )
