"""Stage 1's latents from random numbers that the caller draws."""

from typing import Any

from twostage.models.gaussian_mixture import Mixture
from twostage.models.two_stage_models import TwoStageModels
from twostage.sampling import generate


class LatentTransform:
    """Latents z (n, k) of stage 1 from random numbers: by a mixture, by stage 2, or as
    they are where there is neither.

    Args:
        models: The trained models.
        method: How stage 2's latents are sampled, see `twostage.sampling.generate`.
        mixture: A fitted `Mixture` that replaces stage 2.

    Attributes:
        inputs: What it takes, name -> shape of a row: always `u` (k,), standard normal;
            under the method "noise" also `noise` (k,), standard normal; with a mixture
            also `uniform` (), in [0, 1).
    """

    def __init__(
        self, models: TwoStageModels, method: str, mixture: Mixture | None = None
    ):
        self.models, self.method, self.mixture = models, method, mixture
        width = models.stage1.decoder.input_shape[-1]
        self.inputs: dict[str, tuple[int, ...]] = {"u": (width,)}
        if mixture is not None:
            self.inputs["uniform"] = ()
        elif models.stage2 is not None and method == "noise":
            self.inputs["noise"] = (width,)

    def specs(self) -> list[Any]:
        """TensorFlow's descriptions of `inputs`, of n rows each."""
        import tensorflow as tf

        return [
            tf.TensorSpec((None, *row), tf.float32, name)
            for name, row in self.inputs.items()
        ]

    def __call__(self, u: Any, other: Any = None) -> Any:
        """Latents (n, k).

        Args:
            u: Standard normal, (n, k).
            other: The second of `inputs`, if there is one.
        """
        if self.mixture is not None:
            return self.mixture.transform(u, other)
        if self.models.stage2 is None:
            return u
        return generate.sample_latents(
            self.models.stage2,
            u,
            method=self.method,
            normalizer=self.models.normalizer,
            noise=other,
        )
