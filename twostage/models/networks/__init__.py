"""Encoders and decoders, one system a file."""
