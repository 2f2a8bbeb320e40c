"""Callbacks for any Keras VAE. They import keras and numpy only; the folder can be
copied into another project as it is.

What a callback asks of a model. Nothing is guessed: what is missing is a ValueError
when training begins, with the fix.

- Setting gamma (`ComputedGamma`, `GammaSchedule`): a variable `model.gamma`, the
  decoder's standard deviation. `ComputedGamma` also needs a variable `model.batch_mse`
  that the training step assigns (exact), or a `keras.metrics.Mean` named "mse", fed the
  mean squared error of each minibatch. A `twostage.VAE` holds the rule in its
  likelihood; there the callback only arms it.
- Setting the KL's terms: a variable `model.kl_weight` (`KLWarmup`) or `model.free_bits`
  (`FreeBits`) that the loss reads.
- Encoding data (`VarianceLaw`, `ActiveLatents`, `KLPerLatent`, `LatentMoments`,
  `CollapseAlarm`): `model.posterior(x)` -> (mean, log_var), or `model.encoder`, whose
  outputs begin with mean and log_var, each (batch, k); or the argument
  `posterior=lambda model, x: (mean, log_var)`.
- Drawing images (`ImageGrid`): the same, and `model.decode(z)` or `model.decoder`, z ->
  images; or `decode=lambda model, z: images`.

Callbacks that encode or draw do so once, on two examples, when training begins, and
report wrong shapes then.

Figures go into `logs` under the same keys in every epoch (NaN where `freq` skips one,
never the first), so that History, CSVLogger, TensorBoard and EarlyStopping see them.
Put these callbacks before the ones that read `logs` or keep weights.

What a callback must remember beside the model's weights it gives by `get_state()`, in
JSON's types, and takes by `set_state(state)`.
"""

from . import contract as contract
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
