"""From a seed to latents and images."""
