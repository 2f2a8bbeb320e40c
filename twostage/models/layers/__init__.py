"""Keras layers of this project."""
