"""The VAE, made of an encoder, a decoder and a likelihood."""

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from twostage.likelihoods.likelihood import scalar_weight, weighted_mean
from twostage.models.divergences import gaussian_kl
from twostage.models.multi_step import scanned
from twostage.models.prediction import predicted
from twostage.models.replicas import check_replicas
from twostage.models.targets import Targets, check_targets

# A minibatch of fewer rows than this part of the epoch's largest moves no computed
# gamma, as in `callbacks.ComputedGamma`.
REMAINDER = 0.5
_PARTS = ("encoder", "decoder", "likelihood", "divergence", "decoder_penalty")


@keras.saving.register_keras_serializable("twostage")
class VAE(keras.Model):
    """A variational autoencoder made of parts. To vary it, pass another part.

    The loss is the negative evidence bound in nats, summed over dimensions and averaged
    over the batch, with kappa on the KL: nll(x | z) + kappa KL(q(z | x) || N(0, I)),
    plus the networks' own regularizers. Constants are kept, so it is a log density with
    its sign turned, and falls below 0 when gamma is small.

    Args:
        encoder: `keras.Model`, data -> outputs that begin with (mean, log_var), each
            (batch, k); with a `posterior_std`, mean alone will do.
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
        posterior_std: The posterior's standard deviation, where it is no output of the
            encoder: 0 for an autoencoder, whose z is the mean (then log_var is minus
            infinity), or the constant of CV-VAE. Saved models call it `deviation`.
        decoder_penalty: (decoder, z, training) -> a number that is added to the loss,
            such as `GradientPenalty`.

    `fit` and `evaluate` draw z; `predict` does not: it returns the likelihood's mean at
    z = mean, (batch, ...) float32. Both of the former take targets y of x's shape,
    which make a denoising VAE: x is encoded, y reconstructed; and weights of the
    examples, which multiply their nats. Labels that come with a dataset are ignored,
    and a warning says so. `compile` takes no loss and no metrics.
    Logs: `loss`; `reconstruction` and `kl` in nats per example (`kl` is the divergence,
    whatever it is, before kappa); `mse` per dimension;
    `gamma` in the last step, where the likelihood has one.
    """

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        likelihood: keras.layers.Layer,
        kl_weight: float = 1.0,
        data_dtype: str | None = None,
        seed: int | None = None,
        divergence: Callable[[Any, Any, Any], Any] = gaussian_kl,
        posterior_std: float | None = None,
        decoder_penalty: Callable[[Any, Any, bool], Any] | None = None,
        **kwargs: Any,
    ):
        # the parts cast their inputs themselves; targets stay float32
        super().__init__(autocast=False, **kwargs)
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood: Any = likelihood
        self.kl_weight = scalar_weight(self, "kl_weight", kl_weight)
        self.free_bits = scalar_weight(self, "free_bits", 0.0)
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.divergence = divergence
        self.posterior_std = None if posterior_std is None else float(posterior_std)
        self.decoder_penalty = decoder_penalty
        self._config = {"kl_weight": float(kl_weight), "seed": seed}
        self.data_dtype = data_dtype
        self.targets = Targets()
        self.batch_mean = _BatchMean(name="batch_mean")
        self.reconstruction = keras.metrics.Mean(name="reconstruction")
        self.kl = keras.metrics.Mean(name="kl")
        self.mse = keras.metrics.Mean(name="mse")
        has_gamma = hasattr(likelihood, "gamma")
        self.latest_gamma = _LatestGamma(name="gamma") if has_gamma else None
        # the parts are; under MirroredStrategy Keras would try a float32 stand-in for
        # the data first
        self.built = True

    @property
    def gamma(self) -> Any:
        """The decoder's standard deviation in force: a scalar tensor, in the data's
        units (images: of [0, 1]).
        """
        return self.likelihood.gamma

    def scale(self, x: Any) -> Any:
        """The only place where data are scaled for the networks: uint8 (..., 0 to
        255) -> float32 in [0, 1]; floats as they are.

        Raises:
            ValueError: data of another kind than the model was built on.
        """
        kind = self._check_kind(x)
        self.data_dtype = self.data_dtype or kind
        x = ops.cast(x, "float32")
        return x / 255.0 if kind == "uint8" else x

    def _check_kind(self, x: Any) -> str:
        dtype = keras.backend.standardize_dtype(x.dtype)
        kind = "uint8" if dtype == "uint8" else "float32"
        known = kind == "uint8" or "float" in dtype
        if known and kind == (self.data_dtype or kind):
            return kind
        expected = self.data_dtype or "uint8 or float32"
        fix = "convert them to the training data's units"
        if "uint8" in expected:
            fix = "give images as uint8, 0 to 255"
        raise ValueError(
            f"received data of type {dtype}, this model takes {expected}: {fix}"
        )

    def posterior(self, x: Any) -> tuple[Any, Any]:
        """(mean, log_var) of q(z | x), float32, each (batch, k), for data as `fit`
        takes them.
        """
        return self.heads(self.scale(x))

    def heads(self, x: Any, training: bool = False) -> tuple[Any, Any]:
        """(mean, log_var) of scaled data."""
        return self._moments(self.encoder(x, training=training))

    def _moments(self, outputs: Any) -> tuple[Any, Any]:
        """(mean, log_var) of what the encoder gives."""
        several = isinstance(outputs, (list, tuple))
        mean = ops.cast(outputs[0] if several else outputs, "float32")
        if self.posterior_std is None:
            return mean, ops.cast(outputs[1], "float32")
        std = self.posterior_std
        return mean, ops.full_like(mean, 2.0 * math.log(std) if std else -math.inf)

    def decode(self, z: Any) -> Any:
        """The likelihood's mean at z (batch, k): (batch, ...) float32; images in [0,
        1], where the decoder ends in a sigmoid.
        """
        return self.likelihood.mean(self.decoder(z, training=False))

    def posterior_on_batch(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`posterior` of a batch as NumPy arrays, by a compiled graph."""
        scaled = ops.convert_to_numpy(self.scale(x))
        mean, log_var = self._moments(predicted(self.encoder, scaled))
        return ops.convert_to_numpy(mean), ops.convert_to_numpy(log_var)

    def parameters_on_batch(self, z: np.ndarray) -> Any:
        """The likelihood's parameters at a batch of z (n, k), by a compiled graph."""
        return predicted(self.decoder, z)

    def decode_on_batch(self, z: np.ndarray) -> np.ndarray:
        """`decode` of a batch as a NumPy array, by a compiled graph."""
        return ops.convert_to_numpy(self.likelihood.mean(self.parameters_on_batch(z)))

    def call(self, x: Any, training: bool = False) -> dict[str, Any]:
        x = self.scale(x)
        mean, log_var = self.heads(x, training)
        noise = keras.random.normal(
            ops.shape(mean), dtype="float32", seed=self.seed_generator
        )
        z = mean + ops.exp(0.5 * log_var) * noise
        return {
            "x": x,
            "mean": mean,
            "log_var": log_var,
            "z": z,
            "parameters": self.decoder(z, training=training),
        }

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        z, parameters = y_pred["z"], y_pred["parameters"]
        x = self.targets.of(y_pred["x"], y, self.scale)
        nll = self.likelihood(
            x, parameters, sample_weight=sample_weight, training=training
        )
        if training:
            self._leave_out_remainder(x)
        kl_of_latents = self.divergence(y_pred["mean"], y_pred["log_var"], z)
        kl = ops.sum(kl_of_latents, axis=-1)  # (batch, k) -> (batch,)
        self._update_metrics(nll, kl, x, parameters, sample_weight)
        nats = nll + self.kl_weight * kl
        loss = self.batch_mean(nats, nats, sample_weight)
        penalties = []
        if training:
            penalties.append(self._lacking(kl_of_latents, sample_weight))
        if self.decoder_penalty:
            penalties.append(self.decoder_penalty(self.decoder, z, training))
        for penalty in [*penalties, *self.losses]:
            loss = loss + self.batch_mean(penalty, penalty)
        return loss

    def _leave_out_remainder(self, x: Any) -> None:
        """Lets no minibatch of few rows move a computed gamma: see `REMAINDER`."""
        if self.latest_gamma is None or not hasattr(self.likelihood, "leave_out"):
            return
        self.likelihood.leave_out(self.latest_gamma.is_remainder(ops.shape(x)[0]))

    def _lacking(self, kl_of_latents: Any, sample_weight: Any) -> Any:
        """What makes the weighted KL that of max(KL, free_bits) of each latent, which
        is KL + relu(free_bits - KL), with KL averaged over the minibatch: 0 unless a
        callback grants some.
        """
        weight = 1.0
        if sample_weight is not None:
            weight = ops.mean(ops.cast(sample_weight, "float32"))
        free_bits = ops.convert_to_tensor(self.free_bits)
        kl = weighted_mean(kl_of_latents, sample_weight, free_bits)
        return weight * self.kl_weight * ops.sum(ops.relu(free_bits - kl))

    def _update_metrics(
        self, nll: Any, kl: Any, x: Any, parameters: Any, sample_weight: Any
    ) -> None:
        error = ops.square(x - self.likelihood.mean(parameters))
        per_example = ops.mean(error, axis=tuple(range(1, len(x.shape))))
        self.reconstruction.update_state(nll, sample_weight)
        self.kl.update_state(kl, sample_weight)
        self.mse.update_state(per_example, sample_weight)
        if self.latest_gamma is not None:
            self.latest_gamma.update_state(self.gamma)

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """As Keras's; the arguments after `callbacks` by name. Every batch must divide
        by the number of replicas; before and after it no computed gamma and no free
        bits are active. `Batches` are fed by their own methods, each epoch in an order
        of its own.
        """
        strategy = getattr(self, "distribute_strategy", None)
        check_replicas(strategy, x, batch_size, kwargs.get("validation_split", 0.0))
        if hasattr(x, "follow_epochs"):
            callbacks = [x.follow_epochs(), *keras.tree.flatten(callbacks or [])]
            kwargs.setdefault("shuffle", False)
            x = x.feed()
        weights = kwargs.get("sample_weight")
        y = self._checked_targets(x, y, weights, kwargs.get("class_weight"))
        held_out = kwargs.get("validation_data")
        if isinstance(held_out, (list, tuple)):
            kwargs["validation_data"] = self._checked_held_out(held_out)
        self._deactivate()  # a checkpoint within a fit has what was active then
        try:
            return super().fit(x, y, batch_size, epochs, verbose, callbacks, **kwargs)
        finally:
            # where no callback ended what it began, or one brought the best epoch's
            # weights back
            self._deactivate()

    def _deactivate(self) -> None:
        """Ends free bits and the rule of a computed gamma."""
        self.free_bits.assign(0.0)
        if hasattr(self.likelihood, "decay"):
            self.likelihood.decay.assign(1.0)

    def make_train_function(self, force: bool = False) -> None:
        known = self.train_function
        super().make_train_function(force)
        if self.train_function is not known:
            self.train_function = scanned(self) or self.train_function

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        **kwargs: Any,
    ) -> Any:
        y = self._checked_targets(x, y, kwargs.get("sample_weight"))
        return super().evaluate(x, y, batch_size, verbose, **kwargs)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        **kwargs: Any,
    ) -> Any:
        return super().predict(self._checked(x), batch_size, verbose, **kwargs)

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        **kwargs: Any,
    ) -> None:
        """As Keras's, without loss and metrics.

        Raises:
            ValueError: one of them, which would be used for nothing.
        """
        given = {
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
        }
        for name, value in given.items():
            if value is not None:
                raise ValueError(
                    f"received {name}={value!r:.60}, expected none: the loss is the"
                    " likelihood's negative evidence bound, and its terms are logged."
                    " To change it, build the VAE with another likelihood"
                )
        super().compile(optimizer, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles a loaded model. Keras does so only where `compile` is its own."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def _checked_targets(
        self, x: Any, y: Any, weights: Any, class_weights: Any = None
    ) -> Any:
        """y, checked with x and the weights before Keras starts."""
        self._checked(x)
        y = check_targets(x, y, weights, class_weights)
        return self._checked(y)

    def _checked_held_out(self, held_out: Any) -> Any:
        """`validation_data`, in the form that Keras keeps weights in."""
        x, y, weights = keras.utils.unpack_x_y_sample_weight(tuple(held_out))
        y = self._checked_targets(x, y, weights)
        return keras.utils.pack_x_y_sample_weight(x, y, weights)

    def _checked(self, x: Any) -> Any:
        """x, its type checked before Keras starts: on JAX an error inside Keras's loops
        costs the model its weights.
        """
        if hasattr(x, "dtype"):
            self._check_kind(x)
        return x

    def predict_step(self, *args: Any) -> Any:
        """The likelihood's mean at z = mean, of a batch of `predict`.

        Args:
            args: (data,) on TensorFlow, (state, data) on JAX, where the new state is
                returned, too.
        """
        *state, data = args
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        if not state:
            return self.decode(self.posterior(x)[0])
        trainable, non_trainable = state[0]
        mapping = [
            *zip(self.trainable_variables, trainable, strict=True),
            *zip(self.non_trainable_variables, non_trainable, strict=True),
        ]
        with keras.StatelessScope(state_mapping=mapping):
            mean = self.decode(self.posterior(x)[0])
        return mean, non_trainable

    def get_config(self) -> dict[str, Any]:
        parts = {
            name: keras.saving.serialize_keras_object(getattr(self, name))
            for name in _PARTS
        }
        return {
            **parts,
            **self._config,
            "deviation": self.posterior_std,  # the name in the files
            "data_dtype": self.data_dtype,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "VAE":
        parts = {
            name: keras.saving.deserialize_keras_object(
                config[name], custom_objects=custom_objects
            )
            for name in _PARTS
            if config.get(name) is not None
        }
        options = {**config, **parts}
        if "deviation" in options:
            options["posterior_std"] = options.pop("deviation")
        return cls(**options)


class _BatchMean(keras.losses.Loss):
    """Mean over the batch of nats per example; Keras's reduction takes sample weights
    and scales by the number of replicas.
    """

    def call(self, _: Any, nats: Any) -> Any:
        return nats


class _LatestGamma(keras.metrics.Metric):
    """The last step's gamma, where `Mean` would give the mean since the epoch began; it
    also knows the epoch's largest minibatch.
    """

    def __init__(self, name: str):
        super().__init__(name=name, dtype="float32")
        self.value, self.largest = (
            self.add_variable(
                (), "zeros", dtype="float32", aggregation="mean", name=name
            )
            for name in ("value", "largest_batch")
        )

    def is_remainder(self, rows: Any) -> Any:
        """Whether a minibatch of so many rows is too small to move gamma."""
        rows = ops.cast(rows, "float32")
        largest = ops.convert_to_tensor(self.largest)
        self.largest.assign(ops.maximum(largest, rows))
        return rows < REMAINDER * self.largest

    def update_state(self, value: Any) -> None:
        self.value.assign(value)

    def result(self) -> Any:
        return ops.convert_to_tensor(self.value)
