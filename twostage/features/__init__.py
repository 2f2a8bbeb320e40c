"""Feature extractors: what Frechet distances are measured by."""

EXTRACTORS = ("classifier", "random", "inception2015", "keras")
