"""Progress of long work: a bar on a terminal, elsewhere a line in the log."""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from typing import TypeVar

logger = logging.getLogger(__name__)

Item = TypeVar("Item")


def progress(
    items: Sequence[Item], label: str, *, unit: str = "batch"
) -> Iterator[Item]:
    """Yields the items. On a terminal and in a notebook a bar shows how many are done,
    and vanishes with the last; elsewhere the label is logged when the work begins. A
    single item is worked through in silence.

    Args:
        items: What is worked through.
        label: What is done, such as `encoding 1,797 images`.
        unit: What an item is.

    Example:
        >>> for start in progress(range(0, 10_000, 250), "decoding 10,000 latents"):
        ...     decode(z[start : start + 250])
    """
    from tqdm.auto import tqdm

    if len(items) < 2:
        yield from items
        return
    with tqdm(items, desc=label, unit=unit, leave=False, disable=None) as bar:
        if bar.disable:
            logger.info("%s", label)
        yield from bar


@contextlib.contextmanager
def announced(label: str) -> Iterator[None]:
    """Within: work that cannot be counted. Its label stands on the terminal meanwhile;
    elsewhere it is logged when the work begins.
    """
    from tqdm.auto import tqdm

    with tqdm(
        bar_format="{desc}", desc=f"{label} ...", leave=False, disable=None
    ) as bar:
        if bar.disable:
            logger.info("%s", label)
        yield
