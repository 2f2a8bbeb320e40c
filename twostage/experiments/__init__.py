"""Papers' tables recomputed: one module per paper, each with an `EXPERIMENT`."""
