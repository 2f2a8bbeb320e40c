"""Feature extractors: what Frechet distances are measured by."""
