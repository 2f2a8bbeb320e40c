"""Docstrings say `Example:`, Griffe's parser `Examples:`. Without this the code would
be read as a quotation.
"""

import re
from typing import Any

import griffe


class Examples(griffe.Extension):
    """Makes the example of each docstring a section."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called with each object once it is read."""
        if obj.docstring is not None:
            text = obj.docstring.value
            obj.docstring.value = re.sub(r"^Example:$", "Examples:", text, flags=re.M)
