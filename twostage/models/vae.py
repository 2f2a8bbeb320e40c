"""The VAE, made of an encoder, a decoder and a likelihood."""

import math

import keras
from keras import ops

from twostage.models.divergences import gaussian_kl
from twostage.models.multi_step import scanned
from twostage.models.replicas import check_replicas

_PARTS = ("encoder", "decoder", "likelihood", "divergence", "decoder_penalty")


@keras.saving.register_keras_serializable("twostage")
class VAE(keras.Model):
    """A variational autoencoder made of parts. To vary it, pass another part.

    The loss is the negative evidence bound in nats, summed over dimensions and averaged
    over the batch, with kappa on the KL: nll(x | z) + kappa KL(q(z | x) || N(0, I)),
    plus the networks' own regularisers. Constants are kept, so it is a log density with
    its sign turned, and falls below 0 when gamma is small.

    Args:
        encoder: `keras.Model`, data -> outputs that begin with (mean, log_var), each
            (batch, k); with a `deviation`, mean alone will do.
        decoder: `keras.Model`, z (batch, k) -> parameters of the likelihood, channels
            last.
        likelihood: Layer, (x, parameters, sample_weight, training) -> nats per example;
            see `GaussianLikelihood`.
        kl_weight: kappa, 1 for the evidence bound. Kept in a weight of that name, so
            that a callback may change it; so is `free_bits`, the nats of KL that each
            latent has for free (0; see `callbacks.FreeBits`).
        data_dtype: `"uint8"` (images 0 to 255; the networks and the loss get x / 255)
            or `"float32"` (taken as they are). `None`: that of the first data. Data of
            the other kind are a ValueError from then on, never silently converted.
        seed: Seed of the noise on z.
        divergence: (mean, log_var, z) -> (batch, k), what kappa weighs; see
            models/divergences.py. An autoencoder's may be `squared_length`.
        deviation: The posterior's standard deviation, where it is no output of the
            encoder: 0 for an autoencoder, whose z is the mean (then log_var is minus
            infinity), or the constant of CV-VAE.
        decoder_penalty: (decoder, z, training) -> a number that is added to the loss,
            such as `GradientPenalty`.

    `fit` and `evaluate` draw z; `predict` does not: it returns the likelihood's mean at
    z = mean, (batch, ...) float32.
    Logs: `loss`; `reconstruction` and `kl` in nats per example; `mse` per dimension;
    `gamma` after the last step, where the likelihood has one.
    """

    def __init__(
        self,
        encoder,
        decoder,
        likelihood,
        kl_weight=1.0,
        data_dtype=None,
        seed=None,
        divergence=gaussian_kl,
        deviation=None,
        decoder_penalty=None,
        **kwargs,
    ):
        super().__init__(
            autocast=False, **kwargs
        )  # the parts cast their inputs themselves; targets stay float32
        self.encoder, self.decoder, self.likelihood = encoder, decoder, likelihood
        self.kl_weight = self._scalar("kl_weight", kl_weight)
        self.free_bits = self._scalar("free_bits", 0.0)
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.divergence, self.deviation, self.decoder_penalty = (
            divergence,
            None if deviation is None else float(deviation),
            decoder_penalty,
        )
        self._config = {
            "kl_weight": float(kl_weight),
            "seed": seed,
            "deviation": self.deviation,
        }
        self.data_dtype = data_dtype
        self.batch_mean = _BatchMean(name="batch_mean")
        self.reconstruction = keras.metrics.Mean(name="reconstruction")
        self.kl = keras.metrics.Mean(name="kl")
        self.mse = keras.metrics.Mean(name="mse")
        self.latest_gamma = (
            _Latest(name="gamma") if hasattr(likelihood, "gamma") else None
        )
        self._predicting = False
        # the parts are; under MirroredStrategy Keras would try a float32 stand-in for
        # the data first
        self.built = True

    def _scalar(self, name, value):
        initializer = keras.initializers.Constant(float(value))
        return self.add_weight(
            name=name,
            shape=(),
            initializer=initializer,
            trainable=False,
            dtype="float32",
            autocast=False,
            aggregation="mean",
        )

    @property
    def gamma(self):
        """The decoder's standard deviation in force: a scalar tensor, in the data's
        units (images: of [0, 1]).
        """
        return self.likelihood.gamma

    def scale(self, x):
        """The one place where data become numbers for the networks: uint8 (..., 0 to
        255) -> float32 in [0, 1]; floats as they are.

        Raises:
            ValueError: data of another kind than the model was built on.
        """
        kind = self._check_kind(x)
        self.data_dtype = self.data_dtype or kind
        x = ops.cast(x, "float32")
        return x / 255.0 if kind == "uint8" else x

    def _check_kind(self, x):
        dtype = keras.backend.standardize_dtype(x.dtype)
        kind = "uint8" if dtype == "uint8" else "float32"
        if kind != (self.data_dtype or kind) or not (
            kind == "uint8" or "float" in dtype
        ):
            expected = self.data_dtype or "uint8 or float32"
            mend = (
                "give images as uint8, 0 to 255"
                if "uint8" in expected
                else "convert them to the training data's units"
            )
            raise ValueError(
                f"received data of type {dtype}, this model takes {expected}: {mend}"
            )
        return kind

    def posterior(self, x):
        """(mean, log_var) of q(z | x), float32, each (batch, k), for data as `fit`
        takes them.
        """
        return self.heads(self.scale(x))

    def heads(self, x, training=False):
        """(mean, log_var) of scaled data."""
        outputs = self.encoder(x, training=training)
        if self.deviation is None:
            return ops.cast(outputs[0], "float32"), ops.cast(outputs[1], "float32")
        mean = ops.cast(
            outputs[0] if isinstance(outputs, (list, tuple)) else outputs, "float32"
        )
        return mean, ops.full_like(
            mean, 2.0 * math.log(self.deviation) if self.deviation else -math.inf
        )

    def decode(self, z):
        """The likelihood's mean at z (batch, k): (batch, ...) float32; images in [0,
        1], where the decoder ends in a sigmoid.
        """
        return self.likelihood.mean(self.decoder(z, training=False))

    def call(self, x, training=False):
        x = self.scale(x)
        mean, log_var = self.heads(x, training)
        if self._predicting:
            return self.decode(mean)
        z = mean + ops.exp(0.5 * log_var) * keras.random.normal(
            ops.shape(mean), dtype="float32", seed=self.seed_generator
        )
        return {
            "x": x,
            "mean": mean,
            "log_var": log_var,
            "z": z,
            "parameters": self.decoder(z, training=training),
        }

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        x, parameters = y_pred["x"], y_pred["parameters"]
        nll = self.likelihood(
            x, parameters, sample_weight=sample_weight, training=training
        )
        kl_of_latents = self.divergence(
            y_pred["mean"], y_pred["log_var"], y_pred["z"]
        )  # (batch, k)
        kl = ops.sum(kl_of_latents, axis=-1)
        error = ops.square(x - self.likelihood.mean(parameters))
        self.reconstruction.update_state(nll, sample_weight)
        self.kl.update_state(kl, sample_weight)
        self.mse.update_state(
            ops.mean(error, axis=tuple(range(1, len(x.shape)))), sample_weight
        )
        if self.latest_gamma is not None:
            self.latest_gamma.update_state(self.gamma)
        nats = nll + self.kl_weight * kl
        loss = self.batch_mean(nats, nats, sample_weight)
        # max(KL, free_bits) of each latent is KL + relu(free_bits - KL), with KL
        # averaged over the minibatch: 0 unless a callback grants some
        lacking = ops.relu(self.free_bits - ops.mean(kl_of_latents, axis=0))
        added = (
            [self.decoder_penalty(self.decoder, y_pred["z"], training)]
            if self.decoder_penalty
            else []
        )
        for penalty in [self.kl_weight * ops.sum(lacking), *added, *self.losses]:
            loss = loss + self.batch_mean(penalty, penalty)
        return loss

    def fit(self, x=None, y=None, batch_size=None, *args, **kwargs):
        """As Keras's. Every batch must divide by the number of replicas; before and
        after it no computed gamma and no free bits are at work. `Batches` are fed as
        they want to be.
        """
        check_replicas(
            getattr(self, "distribute_strategy", None),
            x,
            batch_size,
            kwargs.get("validation_split", 0.0),
        )
        x = x.feed() if hasattr(x, "feed") else x
        self._rest()  # weights of a checkpoint within a fit have what was at work then
        try:
            return super().fit(self._checked(x), y, batch_size, *args, **kwargs)
        finally:
            # where no callback ended what it began, or one brought the best epoch's
            # weights back
            self._rest()

    def _rest(self):
        self.free_bits.assign(0.0)
        if hasattr(self.likelihood, "decay"):
            self.likelihood.decay.assign(1.0)

    def make_train_function(self, force=False):
        known = self.train_function
        super().make_train_function(force)
        if self.train_function is not known:
            self.train_function = scanned(self) or self.train_function

    def evaluate(self, x=None, *args, **kwargs):
        return super().evaluate(self._checked(x), *args, **kwargs)

    def predict(self, x, *args, **kwargs):
        return super().predict(self._checked(x), *args, **kwargs)

    def _checked(self, x):
        if hasattr(
            x,
            "dtype",
            # before Keras starts: on JAX an error inside its loops costs the model its
            # weights
        ):
            self._check_kind(x)
        return x

    def predict_step(
        self,
        *args,
        # (data) on TensorFlow, (state, data) on JAX; covers predict and
        # predict_on_batch
    ):
        self._predicting = True
        try:
            return super().predict_step(*args)
        finally:
            self._predicting = False

    def get_config(self):
        parts = {
            name: keras.saving.serialize_keras_object(getattr(self, name))
            for name in _PARTS
        }
        return {
            **parts,
            **self._config,
            "data_dtype": self.data_dtype,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        parts = {
            name: keras.saving.deserialize_keras_object(
                config[name], custom_objects=custom_objects
            )
            for name in _PARTS
            if config.get(name) is not None
        }
        return cls(**{**config, **parts})


class _BatchMean(keras.losses.Loss):
    """Mean over the batch of nats per example; Keras's reduction takes sample weights
    and scales by the number of replicas.
    """

    def call(self, _, nats):
        return nats


class _Latest(keras.metrics.Metric):
    """The last step's value, where `Mean` would give the mean since the epoch began."""

    def __init__(self, name):
        super().__init__(name=name, dtype="float32")
        self.value = self.add_variable(
            (), "zeros", dtype="float32", aggregation="mean", name="value"
        )

    def update_state(self, value):
        self.value.assign(value)

    def result(self):
        return ops.convert_to_tensor(self.value)
