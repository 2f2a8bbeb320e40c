"""A local page of a run: samples, latents, a user's own images, interpolation."""
