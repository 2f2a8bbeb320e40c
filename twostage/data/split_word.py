"""The words by which folders and arrays name a split."""

import re

SPLIT_WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}


def split_word(folder: str) -> str | None:
    """The split that a folder's name stands for: "Training", "test_set", "x_val"."""
    parts = re.split(r"[^a-z]+", folder.lower())
    plain = [
        re.sub(r"(set|images|imgs|data)$", "", part) or part
        for part in parts
        if part not in ("", "set", "images", "imgs", "data", "x", "split")
    ]
    for split, words in SPLIT_WORDS.items():
        if len(plain) == 1 and plain[0] in words:
            return split
    return None
