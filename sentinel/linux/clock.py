"""The clock, for those who are not handed the loop's: what a look costs must be measured."""

from __future__ import annotations

import time


def monotonic() -> float:
    """CLOCK_MONOTONIC in seconds, the same as `Loop.now`."""
    return time.monotonic()


def worked() -> float:
    """CPU seconds that this thread has had (CLOCK_THREAD_CPUTIME_ID); some kernels count ticks."""
    return time.thread_time()


def wall() -> float:
    """CLOCK_REALTIME in seconds since the epoch: for people and other machines, never for waits."""
    return time.time()
