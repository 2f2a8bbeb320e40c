"""How long a training still takes, by this process's recent pace."""

import time
from collections import deque
from collections.abc import Callable

MARKS = 50  # times that are kept, beside those of epochs


class TimeLeft:
    """The seconds that some more steps take: as long as the recent ones, with
    everything between them: diagnostics, checkpoints. So a process that was suspended
    forgets it. The first step is not counted, as it compiles.

    Args:
        window: Steps that are recent; some more are counted, and fewer before there
            are as many.
        now: The clock, in seconds.
    """

    def __init__(self, window: int, now: Callable[[], float] = time.perf_counter):
        self.window, self.now = window, now
        self._marks: deque[tuple[float, int]] = deque()
        self._steps = 0

    def count(self, steps: int) -> None:
        """Call when so many steps are done, of all that this process does."""
        self._steps = max(self._steps, steps)
        if not self._marks or self._steps - self._marks[-1][1] >= self.window / MARKS:
            self._mark()
        while len(self._marks) > 1 and self._steps - self._marks[1][1] >= self.window:
            self._marks.popleft()

    def begin_epoch(self) -> None:
        """Call when what is between two epochs is over."""
        if self._marks:
            if self._marks[-1][1] == self._steps:
                self._marks.pop()
            self._mark()

    def _mark(self) -> None:
        self._marks.append((self.now(), self._steps))

    def seconds(self, steps: int) -> float | None:
        """Of so many more steps; None before there is a pace."""
        if not self._marks or self._steps <= self._marks[0][1]:
            return None
        start, first = self._marks[0]
        return steps * (self.now() - start) / (self._steps - first)
