"""Where the sources are, and the mark of tests that read them."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
needs_sources = pytest.mark.skipif(
    not (ROOT / "twostage").is_dir(), reason="an installed package is tested"
)
