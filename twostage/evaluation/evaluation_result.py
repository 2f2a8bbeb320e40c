"""The result of an evaluation."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from twostage.errors import InputError
from twostage.models.recalibration import RECALIBRATED
from twostage.old_names import current_names

if TYPE_CHECKING:
    import pandas


@dataclasses.dataclass(frozen=True)
class EvaluationResult:
    """The numbers of an evaluation, with how they were measured.

    Args:
        manifest: Models, extractor, protocol, data, seeds and versions.
        distances: A dict per kind of images: `"REC"`, reconstructions; `"GEN-1"`,
            samples of stage 1; `"GEN-2 mean"`, `"GEN-2 noise"`, `"GEN-2 normalized"`,
            samples of stage 2; samples of mixtures.
        memorization: Whether samples are copies of training images (`memorization`).
        likelihood: Bounds of test images (`likelihood_metrics`).
        latents: Statistics of the latents (`latent_metrics`).
        figures: uint8 images (height, width, 1 or 3) by name; not in the JSON.

    Example:
        >>> result = evaluate(models, data, Protocol(), extractor)  # doctest: +SKIP
        >>> result.frechet["GEN-2 normalized"]  # doctest: +SKIP
        12.3
    """

    manifest: dict[str, Any]
    distances: dict[str, dict[str, Any]]
    memorization: dict[str, Any]
    likelihood: dict[str, Any]
    latents: dict[str, Any]
    figures: Mapping[str, np.ndarray] = dataclasses.field(
        default_factory=dict, repr=False, compare=False
    )

    @property
    def name(self) -> str:
        """The name of its files: extractor, protocol, quirks, number of samples and
        batch normalization, such as `random_network-fid10k_test`.
        """
        protocol = self.manifest["protocol"]
        extractor = self.manifest["extractor"]["name"].replace(" ", "_")
        parts = [extractor, protocol["name"], *protocol["quirks"]]
        if protocol.get("samples"):
            parts.append(str(protocol["samples"]))
        if self.manifest["batch_normalization"] == RECALIBRATED:
            parts.append("recalibrated")
        return "-".join(parts)

    @property
    def frechet(self) -> dict[str, float]:
        """Frechet distance of each kind of images, in squared units of the features."""
        return {kind: found["frechet"] for kind, found in self.distances.items()}

    @property
    def kernel(self) -> dict[str, float]:
        """Kernel distance (squared MMD) of each kind of images."""
        return {kind: found["kernel"] for kind, found in self.distances.items()}

    @property
    def evidence(self) -> float | None:
        """Evidence bound of test images, nats per image; None of an autoencoder."""
        return self.likelihood.get("evidence")

    @property
    def mse(self) -> float:
        """Squared error of the reconstructed test images, per dimension."""
        return self.likelihood["mse"]

    @property
    def active_latents(self) -> int:
        """Latents of stage 1 with E[sigma^2] below 0.8."""
        return self.latents["posterior"]["active"]

    def to_json(self) -> dict[str, Any]:
        """The content of RUN/evaluation/NAME.json, in JSON's types; no figures."""
        return {
            "manifest": self.manifest,
            "distances": self.distances,
            "copying": self.memorization,
            "likelihood": self.likelihood,
            "latents": self.latents,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> EvaluationResult:
        """The result whose `to_json` gave `content`, without its figures.

        Raises:
            InputError: `content` is something else.
        """
        keys = ("manifest", "distances", "copying", "likelihood", "latents")
        missing = [key for key in keys if key not in content]
        if missing:
            raise InputError(
                f"a dict without {', '.join(missing)}",
                "the content of RUN/evaluation/NAME.json",
            )
        return cls(*(current_names(content[key]) for key in keys))

    def to_dataframe(self) -> pandas.DataFrame:
        """`distances` as a table: a row per kind of images, a column per number. The
        distances over halves are left out.

        Raises:
            InputError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise InputError(
                "no pandas", "it for a data frame", "pip install pandas"
            ) from error
        table = pandas.DataFrame.from_dict(self.distances, orient="index")
        return table[[name for name in table if not str(name).endswith("_halves")]]

    def _repr_html_(self) -> str:
        from twostage.evaluation.html_report import result_html

        return result_html(self)
