"""The Bernoulli decoder: cross-entropy."""

from typing import Any

import keras
from keras import ops

from twostage.likelihoods.likelihood import Likelihood, over_example, tfp


@keras.saving.register_keras_serializable("twostage")
class BernoulliLikelihood(Likelihood):
    """p(x | z) = product of p^x (1 - p)^(1 - x), the decoder gives the logits of p;
    nats: sum of softplus(logit) - x logit (Kingma & Welling 2014, appendix C.1).

    A probability for x in {0, 1}. For gray levels between, the usual cross-entropy, it
    is no density: its nats may not be compared with those of other models.
    """

    heads = ("linear",)
    discrete = True
    normalized = False

    def call(
        self,
        x: Any,
        parameters: Any,
        sample_weight: Any = None,
        training: bool = False,
    ) -> Any:
        logits = self.blocks(parameters)[0]
        return over_example(ops.softplus(logits) - x * logits)

    def mean(self, parameters: Any) -> Any:
        return ops.sigmoid(self.blocks(parameters)[0])

    def sample(self, parameters: Any, seed: Any = None) -> Any:
        mean = self.mean(parameters)
        u = keras.random.uniform(ops.shape(mean), dtype="float32", seed=seed)
        return ops.cast(u < mean, "float32")

    def as_distribution(self, parameters: Any) -> Any:
        logits = self.blocks(parameters)[0]
        bernoulli = tfp().distributions.Bernoulli(logits=logits, dtype="float32")
        return tfp().distributions.Independent(bernoulli, len(parameters.shape) - 1)
