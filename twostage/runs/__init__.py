"""The run folder: config, checkpoints, models, summary."""
