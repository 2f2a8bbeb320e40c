"""Distances between two sets of images by their features, in float64. A feature is a
row of any extractor's output, (N, d).
"""
