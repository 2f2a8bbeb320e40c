"""The posterior over a data set: encoding, drawing, sharing one pass."""

import numpy as np
from keras import ops


def encode_dataset(vae, data, batch_size=250):
    """(mean, log_var) of q(z | x) for every row of `data`, float32, each (N, k). The
    data may be memory-mapped.
    """
    batches = [
        vae.posterior(data[i : i + batch_size]) for i in range(0, len(data), batch_size)
    ]
    means, log_vars = zip(*batches, strict=True)
    return tuple(
        np.concatenate([ops.convert_to_numpy(part) for part in parts])
        for parts in (means, log_vars)
    )


def draw_latents(moments, generator):
    """z drawn afresh from N(mean, exp(log_var)): moments (batch, 2, k), mean first ->
    (batch, k). A transform for `Batches`.
    """
    mean, log_var = moments[:, 0], moments[:, 1]
    return mean + np.exp(0.5 * log_var) * generator.standard_normal(
        mean.shape, dtype=np.float32
    )


class SharedPosterior:
    """A posterior pass that several callbacks share: within one step the same examples
    are encoded once.
    """

    def __init__(self):
        self.step, self.seen = None, {}

    def __call__(self, model, x):
        step, key = (
            int(
                ops.convert_to_numpy(ops.convert_to_tensor(model.optimizer.iterations))
            ),
            x.tobytes(),
        )
        if step != self.step:
            self.step, self.seen = step, {}
        if key not in self.seen:
            self.seen[key] = [ops.convert_to_numpy(part) for part in model.posterior(x)]
        return self.seen[key]
