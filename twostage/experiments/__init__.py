"""One file a paper: rows of (preset, differences, the paper's number)."""
