"""Encoders and decoders, one system per file."""
