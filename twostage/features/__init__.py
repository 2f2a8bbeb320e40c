"""Feature extractors: what Frechet distances are measured by."""

EXTRACTORS = (
    "classifier",
    "imagenet",
    "random",
    "inception",
    "inception2015",
    "keras",
)
