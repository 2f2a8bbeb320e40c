"""The artificial task of Berger & Sebag (section 4.1): points of the plane near a
curve, with moderate, small and large noise in its thirds.

The paper does not give the curve. Ours: (t, cos 2t), t uniform in [-2.5, 2.5]; noise
.05, .01 and .1 on both coordinates. The range matters: with t in [-1, 1] no direction's
variance exceeds the sigma of 1 that LS-VAE starts from, so its latents collapse before
sigma has fallen, and it ends at sigma .54 with KL 0.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from twostage.data.batches import Batches
from twostage.experiments.experiment import Result
from twostage.experiments.progress import epoch_bar
from twostage.likelihoods.diagonal_gaussian_likelihood import DiagonalGaussianLikelihood
from twostage.likelihoods.gaussian_likelihood import GaussianLikelihood
from twostage.metrics.likelihood_bounds import bounds
from twostage.models.compilation import jit_compile
from twostage.models.networks.berger_sebag import residual_decoder, residual_encoder
from twostage.models.tensors import to_numpy
from twostage.models.vae import VAE
from twostage.own_callbacks import callbacks as own
from twostage.system.random_streams import Stream

MAX_T = 2.5  # of the curve, on both sides of 0
NOISE_IN_THIRDS = (0.05, 0.01, 0.1)  # standard deviations, from left to right
BATCH_SIZE = 100  # points, all fresh
STEPS_PER_EPOCH = 100  # a curve has one value per epoch
SIGMA_FLOOR = 1e-3  # a tenth of the least noise
POINTS_IN_FIGURE = 600  # of each kind
TEST_POINTS = 10_000
CURVES = ("loss", "reconstruction", "kl", "gamma")  # of the history, that are kept

# A number; "learned": from 1; "vector": one of the decoder for each dimension.
Sigma = float | str
History = dict[str, list[float]]
# draw(count, generator) -> (count, dimensions) float32
DrawPoints = Callable[[int, np.random.Generator], np.ndarray]


def points(count: int, generator: np.random.Generator) -> np.ndarray:
    """(count, 2) float32, near the curve."""
    t = generator.uniform(-MAX_T, MAX_T, count)
    third = np.minimum((t + MAX_T) / (2 * MAX_T) * 3, 2).astype(int)
    noise = np.array(NOISE_IN_THIRDS)[third]
    curve = np.stack([t, np.cos(2 * t)], 1)
    noisy = curve + noise[:, None] * generator.standard_normal((count, 2))
    return noisy.astype("float32")


def train(
    sigma: Sigma | Sequence[float], seed: int, *, epochs: int, rate: float = 1e-3
) -> tuple[VAE, History]:
    """(vae, history) of one row.

    Args:
        sigma: As `build_vae` takes it; or one value per epoch, which is replayed.
        seed: Of weights, points and noise.
        epochs: Of 100 batches.
        rate: Learning rate of Adam at the start.
    """
    if isinstance(sigma, (float, int, str)):
        vae = build_vae(sigma, seed)
        callbacks = []
    else:
        vae = build_vae(sigma[0], seed)
        callbacks = [own.GammaSchedule(list(sigma), unit="epoch")]
    history = fit(
        vae,
        points,
        dimensions=2,
        seed=seed,
        epochs=epochs,
        rate=rate,
        callbacks=callbacks,
    )
    return vae, history


def build_vae(sigma: Sigma, seed: int) -> VAE:
    """A VAE of the plane with random weights.

    Args:
        sigma: Of p(x | z): fixed at a number; `"learned"`, from 1; `"vector"`, one of
            the decoder for each dimension.
        seed: Of weights and noise.
    """
    keras.utils.set_random_seed(seed)
    likelihood = _likelihood(sigma)
    # the encoder first: the order of creation decides on the weights
    encoder = residual_encoder()
    decoder = residual_decoder(heads=("linear",) * len(likelihood.heads))
    return VAE(encoder, decoder, likelihood, data_dtype="float32", seed=seed)


def copy_weights(vae: VAE, source: VAE, *, sigma: float) -> None:
    """Gives a VAE the weights of another with a scalar sigma.

    Args:
        vae: Gets the weights.
        source: With a scalar sigma.
        sigma: Where a sigma for each dimension begins, if `vae` has them.
    """
    vae.encoder.set_weights(source.encoder.get_weights())
    *body, kernel, bias = source.decoder.get_weights()
    if len(vae.likelihood.heads) == 2:
        # the second head ignores its input and gives log sigma
        kernel = np.hstack([kernel, np.zeros_like(kernel)])
        bias = np.concatenate([bias, np.full_like(bias, math.log(sigma))])
    vae.decoder.set_weights([*body, kernel, bias])


def fit(
    vae: VAE,
    draw: DrawPoints,
    *,
    dimensions: int,
    seed: int,
    epochs: int,
    rate: float = 1e-3,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> History:
    """Trains on fresh points by Adam, whose rate decays as a cosine to 0.

    Args:
        vae: The VAE.
        draw: `draw(count, generator)` -> (count, dimensions) float32.
        dimensions: Of the points.
        seed: Of the points.
        epochs: Of 100 batches.
        rate: Learning rate at the start.
        callbacks: Of Keras.

    Returns:
        The history, one value per epoch.
    """
    decay: Any = keras.optimizers.schedules.CosineDecay(rate, epochs * STEPS_PER_EPOCH)
    optimizer = keras.optimizers.Adam(decay, epsilon=1e-8)
    vae.compile(optimizer, jit_compile=jit_compile())
    # Batches counts rows; each batch is replaced by fresh points
    batches = Batches(
        np.empty((STEPS_PER_EPOCH * BATCH_SIZE, dimensions), "float32"),
        BATCH_SIZE,
        seed,
        transform=lambda batch, generator: draw(len(batch), generator),
    )
    with epoch_bar(epochs, f"seed {seed}") as bar:
        return vae.fit(
            batches,
            epochs=epochs,
            verbose=0,
            callbacks=[*callbacks, bar],
        ).history


def measure(vae: VAE, history: History, *, seed: int) -> Result:
    """What the paper reports, on fresh points.

    Returns:
        dict in JSON's types: `elbo` in nats without the constant (D / 2) log 2 pi, as
        their Table 1; `sigma` (final; root mean square where it is a vector); `mse`;
        `kl` in nats; `curves`, one value per epoch; `points`, 600 of each kind.
    """
    test_points = _test_points(seed)
    bound = bounds(vae, test_points, samples=10, seed=seed, batch_rows=5_000)
    generator = np.random.default_rng((seed, Stream.SYNTHETIC_PRIOR))
    z = generator.standard_normal((POINTS_IN_FIGURE, 2), dtype="float32")
    drawn = _points_of_figures(vae, test_points[:POINTS_IN_FIGURE], z, seed)
    errors = drawn["reconstructions"] - drawn["data"]
    return {
        "elbo": float(bound["evidence"].mean() + math.log(2 * math.pi)),
        "sigma": _final_sigma(vae, z),
        "mse": float(np.mean(errors**2)),
        "kl": float(bound["rate"].mean()),
        "curves": {
            name: [float(value) for value in history[name]]
            for name in CURVES
            if name in history
        },
        "points": {kind: np.round(xy, 4).tolist() for kind, xy in drawn.items()},
    }


def kl_per_latent(vae: VAE, seed: int) -> list[float]:
    """Divergence of each latent on fresh points, nats, from the largest to the
    smallest.
    """
    heads = vae.heads(keras.ops.convert_to_tensor(_test_points(seed)))
    mean, log_var = (to_numpy(head) for head in heads)
    kl = own.statistics.kl_per_latent(mean, log_var)
    return sorted(kl.tolist(), reverse=True)


def _likelihood(sigma: Sigma) -> Any:
    if sigma == "vector":
        return DiagonalGaussianLikelihood(SIGMA_FLOOR)
    if sigma == "learned":
        return GaussianLikelihood(1.0, True, floor=SIGMA_FLOOR)
    return GaussianLikelihood(float(sigma), False, floor=SIGMA_FLOOR)


def _test_points(seed: int) -> np.ndarray:
    generator = np.random.default_rng((seed, Stream.SYNTHETIC_POINTS, 0, 1))
    return points(TEST_POINTS, generator)


def _points_of_figures(
    vae: VAE, data: np.ndarray, z: np.ndarray, seed: int
) -> dict[str, np.ndarray]:
    """(N, 2) each: data, their reconstructions, and samples from the prior."""
    mean = vae.posterior(data)[0]
    drawn = {
        "reconstructions": vae.decode(mean),
        "generated": vae.decode(z),
        "sampled": vae.likelihood.sample(vae.decoder(z), seed=seed),
    }
    arrays = {kind: to_numpy(xy) for kind, xy in drawn.items()}
    return {"data": data, **arrays}


def _final_sigma(vae: VAE, z: np.ndarray) -> float:
    if hasattr(vae.likelihood, "gamma"):
        return float(to_numpy(vae.gamma))
    log_variance = vae.likelihood.log_variance(vae.decoder(z))
    variance = np.exp(to_numpy(log_variance))
    return float(variance.mean() ** 0.5)
