"""The terms in an evaluation's tables, explained."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twostage.evaluation.evaluation_result import EvaluationResult

_FRECHET = (
    "Frechet distance: of Gaussians fitted to the features of both sets of images; 0"
    " for equal sets"
)
TERMS = {
    "REC": "reconstructions of the reference's images by stage 1",
    "GEN-1": "stage 1's decoder on draws of N(0, I)",
    "GEN-2 mean": "both stages: the mean of stage 2's decoder, then stage 1's decoder",
    "GEN-2 noise": "both stages: stage 2's decoder with its noise gamma",
    "GEN-2 normalized": "both stages: stage 2's means, rescaled to the standard"
    " deviation that stage 1's latents should have",
    "Gaussian": "latents from one Gaussian, fitted to stage 1's latents after training",
    "kernel x 1000": "kernel distance: the unbiased squared maximum mean discrepancy"
    " under a cubic kernel, times 1000; 0 for equal sets",
    "precision": "fraction of samples that lie among real images: 1 is best",
    "recall": "fraction of real images that lie among samples: 1 is best",
    "density": "samples within the neighborhoods of real images; 1 for equal sets",
    "coverage": "fraction of real images with a sample near them: 1 is best",
    "brightness": "mean of the pixels minus the reference's, as a part of 255",
    "contrast": "standard deviation of the pixels over the reference's",
    "sharpness": "root mean squared difference of neighboring pixels over the"
    " reference's",
    "nats of test latents": "mean log density of test images' latents under what"
    " samples are drawn from; larger is better",
    "variance law": "mean over the latents of Var[mu] + E[sigma^2]; 1 where the"
    " aggregate posterior has the prior's variance",
    "variance law sd": "the same with E[sigma], as Asperti & Trentin's code has it",
    "active": "latents with E[sigma^2] below 0.8",
    "active sd": "latents with E[sigma] below 0.8",
    "active mu": "latents with Var[mu] above 0.01",
    "active kl": "latents with more than 0.01 nats of KL",
    "mean norm": "length of the latents' mean; (k/N)^.5 for N draws of N(0, I)",
    "standard deviation": "mean over the latents; 1 for N(0, I)",
    "least standard deviation": "of the latent that varies least",
    "greatest standard deviation": "of the latent that varies most",
    "off diagonal": "root mean square of the correlations between latents; N^-.5 for N"
    " draws of N(0, I)",
    "skewness": "root mean square over the latents; about (6/N)^.5 for N draws of N(0,"
    " I)",
    "excess kurtosis": "root mean square over the latents; about (24/N)^.5 for N draws"
    " of N(0, I)",
    "kolmogorov smirnov": "mean over the latents of the greatest distance between"
    " their distribution function and the normal one's, 0 to 1; about .9 N^-.5 for N"
    " draws of N(0, I)",
    "greatest kolmogorov smirnov": "the same of the latent that is least normal",
    "energy distance": "between the latents and N(0, I); 0 for equal distributions",
    "posterior": "stage 1's, over training images",
    "posterior of stage 2": "over training latents",
    "z of stage 1": "draws of stage 1's posterior over training images",
    "u of stage 2": "draws of stage 2's posterior over training latents",
}


def terms(result: EvaluationResult) -> dict[str, str]:
    """{word: explanation}, with those of this result's extractor and mixtures."""
    name = result.manifest["extractor"]["frechet"]
    mixtures = {
        kind: f"latents from a {kind} Gaussians, fitted to stage 1's after training"
        for kind in result.distances
        if kind.startswith("mixture of")
    }
    infinite = f"{_FRECHET}; extrapolated to infinitely many images"
    return {**TERMS, name: _FRECHET, f"{name} at infinity": infinite, **mixtures}
