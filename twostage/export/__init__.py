"""The SavedModel: sampling with TensorFlow alone."""

from twostage.export.saved_model import load

__all__ = ["load"]
