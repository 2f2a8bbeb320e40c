"""Files that are whole or absent, whatever stops the process."""

import os


def write(path: str, content: bytes) -> None:
    """Writes a file; makes its folder."""
    # as twostage/system/files.py does: this folder stands alone
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(f"{path}.part", "wb") as file:
        file.write(content)
    os.replace(f"{path}.part", path)
