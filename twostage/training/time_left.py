"""How long a training still takes, by this process's own pace."""

import time
from collections.abc import Callable


class TimeLeft:
    """The seconds that some more steps take: as long as those since this process's
    first one, with everything between them: diagnostics, checkpoints. The first step
    is not counted, as it compiles.

    Args:
        now: The clock, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.perf_counter):
        self.now = now
        self._start: tuple[float, int] | None = None
        self._steps = 0

    def count(self, steps: int) -> None:
        """Call when so many steps are done, of all that this process does."""
        if self._start is None:
            self._start = self.now(), steps
        self._steps = max(self._steps, steps)

    def seconds(self, steps: int) -> float | None:
        """Of so many more steps; None before there is a pace."""
        if self._start is None or self._steps <= self._start[1]:
            return None
        start, first = self._start
        return steps * (self.now() - start) / (self._steps - first)
