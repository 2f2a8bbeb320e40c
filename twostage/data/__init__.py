"""Images by name or path: uint8 arrays (N, height, width, channels) and labels."""

from twostage.data.loading import load

__all__ = ["load"]
