"""When to look again at memory that gives no sign of itself: pure, readings in, seconds out.

The next look is never later than half the time that the head-room lasts at the growth seen, and
at growth that may begin any moment; never sooner than FASTEST, never later than SLOWEST.
"""

from __future__ import annotations

FASTEST = 0.001
LOOK_SHARE = 3
"""A quarter of a core may go into looks while the head-room runs out: none is repeated sooner
than this many times its own length."""
LAST_SHARE = 1
"""The same for the last SPRINT seconds before the limit: half a core, for that long."""
SPRINT = 0.1
SLOWEST = 0.500
CALM_FLOOR = 0.050
"""Seconds between looks at what does not grow, however little room it has left."""
SUDDEN = 200 << 20
"""Bytes per second at which a quiet program is assumed able to begin to grow."""
MEMORY_OF_GROWTH = 0.5
"""Seconds in which a burst of growth counts for half: allocators grow in steps."""


class Pace:
    """The growth seen so far, and the last look."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self._last: tuple[float, int] | None = None
        self._growth = 0.0
        self._again = FASTEST / 2

    def next(self, now: float, held: int, room: int | None, cost: float) -> float:
        """Seconds until the look after this one, at `now`, that found `held` bytes.

        `room`: bytes to the nearest limit, None when there is none left to reach. `cost`: the
        seconds that this look took.
        """
        if self._last is not None and now > self._last[0]:
            seconds = now - self._last[0]
            faded = self._growth * 0.5 ** (seconds / MEMORY_OF_GROWTH)
            self._growth = max((held - self._last[1]) / seconds, faded)
        self._last = (now, held)
        wish, share = self._again * 2, LOOK_SHARE
        if room is not None:
            room = max(0, room)
            wish = min(wish, max(room / SUDDEN, CALM_FLOOR))
            if self._growth > 0:
                left = room / self._growth
                wish = min(wish, left / 2)
                share = LAST_SHARE if left < SPRINT else LOOK_SHARE
        self._again = min(SLOWEST, max(FASTEST, cost * share, wish))
        return self._again
