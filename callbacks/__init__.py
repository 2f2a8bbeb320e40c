"""Callbacks for any Keras 3 VAE, on TensorFlow, JAX and PyTorch. They import keras and
numpy only; `ImageGrid` also Pillow, and for `tensorboard=` TensorBoard and TensorFlow.
The folder can be copied into another project as it is.

What a callback requires of a model. Nothing is guessed: what is missing is a ValueError
when training begins, with the fix.

- Setting gamma (`ComputedGamma`, `GammaSchedule`): a variable `model.gamma`, the
  decoder's standard deviation. `ComputedGamma` also needs each minibatch's mean squared
  error: a variable `model.batch_mse` that the step assigns (exact), or a
  `keras.metrics.Mean` named "mse", such as that of `compile(metrics=["mse"])`. A
  `twostage.VAE` holds the rule in its likelihood; there the callback only arms it.
- Setting the KL's terms: a variable `model.kl_weight` (`KLWarmup`) or `model.free_bits`
  (`FreeBits`) that the loss reads. Variables of other names: `attribute=`, which is
  then the key in `logs`. They are not trainable, and the model's own: one that only a
  loss object holds is refused on JAX, where the compiled step would not see it change.
- Encoding data (`VarianceLaw`, `ActiveLatents`, `KLPerLatent`, `LatentMoments`,
  `CollapseAlarm`): `model.posterior(x)` -> (mean, log_var), or `model.encoder`, whose
  outputs begin with mean and log_var, each (batch, ...); or the argument
  `posterior=lambda model, x: (mean, log_var)`. A dict or namedtuple whose names say
  what is what, or a diagonal Gaussian distribution, will do as well.
- Drawing images (`ImageGrid`): the same, and `model.decode(z)` or `model.decoder`, z ->
  images; or `decode=lambda model, z: images`.

Callbacks that encode or draw do so on a few examples when training begins. They report
wrong shapes, drawn means, and a second output that is a standard deviation or variance,
as far as its name, its sign or draws of z show it; with fewer than 16 latents that may
take an epoch. A log standard deviation is detected only by its name or draws of z.
A warning is logged where the draws match none of these, for example where the encoder
applies a softplus to the second output before it draws.
Where an encoder has several levels, the first two outputs are taken, with a warning.
Encoding leaves the model's seed generators, metrics and other variables as they were.

Data are given as the encoder takes them: as `fit` does, unless the model scales its
input before. Several inputs are a list or dict of arrays.

Metrics go into `logs` in the first epoch of a fit and in every one that `freq` divides,
so that History, CSVLogger, TensorBoard and EarlyStopping see them; other epochs do not
get the keys. Put these callbacks before the ones that read `logs` or keep weights.

`get_state()` returns what a callback must remember beside the model's weights, in
JSON's types; `set_state(state)` restores it.
"""

from . import examples as examples
from . import model_calls as model_calls
from . import statistics as statistics
from .active_latents import ActiveLatents
from .collapse_alarm import CollapseAlarm
from .computed_gamma import ComputedGamma
from .free_bits import FreeBits
from .gamma_schedule import GammaSchedule
from .image_grid import ImageGrid
from .kl_per_latent import KLPerLatent
from .kl_warmup import KLWarmup
from .latent_moments import LatentMoments
from .nan_diagnosis import NaNDiagnosis
from .variance_law import VarianceLaw

__all__ = [
    "ActiveLatents",
    "CollapseAlarm",
    "ComputedGamma",
    "FreeBits",
    "GammaSchedule",
    "ImageGrid",
    "KLPerLatent",
    "KLWarmup",
    "LatentMoments",
    "NaNDiagnosis",
    "VarianceLaw",
]
