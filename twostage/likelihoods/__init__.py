"""Observation models, one per file: a layer that maps (data, decoder output) to nats
per example.
"""
