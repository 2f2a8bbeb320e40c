"""Every experiment by its name. Importing it loads no framework."""

from twostage.experiments import (
    balancing,
    balancing_faces,
    berger_sebag,
    berger_sebag_images,
    beta_sigma,
    dai_wipf,
    gamma_rules,
    hypersphere,
    ill_posed,
    likelihoods,
    local_optima,
    rae,
)
from twostage.experiments.experiment import Experiment

_PAPERS = (
    balancing,
    balancing_faces,
    berger_sebag,
    berger_sebag_images,
    beta_sigma,
    dai_wipf,
    gamma_rules,
    hypersphere,
    ill_posed,
    likelihoods,
    local_optima,
    rae,
)
EXPERIMENTS: dict[str, Experiment] = {
    paper.EXPERIMENT.name: paper.EXPERIMENT for paper in _PAPERS
}
