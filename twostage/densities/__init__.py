"""Densities of a frozen stage 1's latents, fitted after its training (Ghosh et al.
2020, section 4): each gives `draw(count, seed)` -> latents (count, k).
"""
