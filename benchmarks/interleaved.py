"""Seconds of several functions that take turns, so that a slow minute hits all."""

import statistics
import time


def medians(functions, rounds):
    """Median seconds of each function without arguments; a first round, which compiles
    and loads libraries, is not counted.
    """
    taken = [[] for _ in functions]
    for turn in range(rounds + 1):
        for function, seconds in zip(functions, taken, strict=True):
            start = time.perf_counter()
            function()
            if turn:
                seconds.append(time.perf_counter() - start)
    return [statistics.median(seconds) for seconds in taken]
