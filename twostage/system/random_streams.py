"""Every random stream that the package draws, by name.

A seed alone would give each use the same numbers. NumPy's streams are
`np.random.default_rng((seed, Stream.NAME))`, those of the SavedModel TensorFlow's
stateless ones. The numbers are part of the results: a change of one changes what a seed
gives. Two names with one number are aliases, so they share one stream.

`Batches` draws from `(seed, epoch)` and `(seed, epoch, index)`, so in the first 16
epochs the order of the training images comes from the same bits as these streams. What
is drawn differs.
"""

import enum


class Stream(enum.IntEnum):
    """The second number of a NumPy seed `(seed, stream)`."""

    # which training images a mixture of latents is fitted to
    MIXTURE_IMAGES = 0
    # the posterior's noise in the latents that a mixture is fitted to
    MIXTURE_LATENTS = 1
    # the posterior's noise in the latents that stage 2's callbacks encode
    WATCHED_LATENTS = 1
    # u of stage 2's samples in an evaluation, and z of stage 1's
    PRIOR = 2
    # gamma_z's noise in stage 2's samples under the method "noise"
    DECODER_NOISE = 3
    # u of the latents that the training summary reports
    SUMMARY_PRIOR = 3
    # which training images the statistics of latents encode
    STATISTICS_IMAGES = 4
    # the posterior's noise of stage 1 in these statistics
    STATISTICS_Z = 5
    # the posterior's noise of stage 2 in these statistics
    STATISTICS_U = 6
    # which images decide on recalibrated batch normalization
    RECALIBRATION_IMAGES = 7
    # the posterior's noise in the latents whose log density is evaluated
    DENSITY_LATENTS = 8
    # the uniform noise that makes 8-bit images continuous
    DEQUANTIZATION = 9
    # fresh points of synthetic data, as (seed, stream, 0, 1): without the last two
    # numbers they would be the order or a batch of epoch 10
    SYNTHETIC_POINTS = 10
    # z of the samples in experiments on synthetic data
    SYNTHETIC_PRIOR = 11
    # the posterior's noise in errors and rates of experiments on images
    EXPERIMENT_LATENTS = 12
    # z of the samples whose Frechet distance an experiment measures
    EXPERIMENT_PRIOR = 13
    # z of the samples in an experiment's figure
    FIGURE_PRIOR = 14
    # u of the latents that the normalizer is fitted to
    NORMALIZER_PRIOR = 15
    # the posterior's noise in held-out losses
    HELD_OUT_NOISE = 16
    # the posterior's noise in the held-out latents of stage 2
    HELD_OUT_LATENTS = 17


class SavedModelStream(enum.IntEnum):
    """The second number of the seeds `[seed, stream]` of TensorFlow's stateless
    operations in the SavedModel.
    """

    # u of stage 2, z of stage 1
    PRIOR = 0
    # gamma_z's noise under the method "noise"
    DECODER_NOISE = 1
    # latents of a mixture
    MIXTURE = 2
