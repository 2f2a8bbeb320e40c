"""Signals that stop a training once everything is saved."""

import contextlib
import signal
import threading
from collections.abc import Iterator

NUMBERS = (signal.SIGTERM, signal.SIGINT)


class SignalWatch:
    """Notes the first SIGTERM or SIGINT; a second one acts at once.

    Args:
        obeys: Whether the first one is noted at all. Of several processes that train as
            one only the first obeys: the others must make the steps with which it
            completes what it saves, and end when it does.
    """

    def __init__(self, obeys: bool = True):
        self.obeys = obeys
        self.received: int | None = None

    @property
    def name(self) -> str:
        """The name of the signal that came, such as SIGTERM."""
        assert self.received is not None
        return signal.Signals(self.received).name

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Within, signals are noted. Outside the main thread Python takes no handlers,
        and nothing is noted.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {}

        def restore():
            for number, handler in before.items():
                signal.signal(number, handler)

        def note(number, frame):
            self.received = number if self.obeys else None
            restore()

        for number in NUMBERS:
            before[number] = signal.signal(number, note)
        try:
            yield
        finally:
            restore()
