"""Observation models, one a file: a layer that maps (data, decoder output) to nats per
example.
"""
