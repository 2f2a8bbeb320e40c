"""The SavedModel: sampling with TensorFlow alone."""

from twostage.export.saved_vae import load

__all__ = ["load"]
