"""Measures of a trained model, each with its protocol."""
