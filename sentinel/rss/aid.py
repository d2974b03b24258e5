"""What else helps to know the family, when there is time for it: fork events, and full scans.

Both cost imports that hold up the guard (psutil 35 ms, pyroute2's message classes 30 ms) and
memory, so they wait for a run that has lived for a while and is far from its limit. Neither is
needed for anything: membership is known without them.
"""

from __future__ import annotations

from sentinel.linux.procevents import FeedLost, ForkFeed, permitted
from sentinel.rss.family import Family

SCAN_EVERY = 5.0


class Aid:
    """Feeds a family with what fork events and scans tell."""

    def __init__(self, family: Family) -> None:
        """Neither is begun yet."""
        self._family = family
        self._scan_at: float | None = None
        self._feed: ForkFeed | None = None
        self._wanted = permitted()

    def turn(self, now: float, *, calm: bool) -> str:
        """Take in what there is; why fork events ended, when they just did, else empty.

        That there never were any, as on kernels without CONFIG_PROC_EVENTS, is nothing to tell.
        """
        told = ""
        try:
            self._listen(now, calm=calm)
        except FeedLost as lost:
            told = str(lost) if self._feed is not None and self._feed.answered else ""
            self.close()
        if self._scan_at is None:
            self._scan_at = now + SCAN_EVERY  # one import at a time
        if calm and now >= self._scan_at:
            self._scan_at = now + SCAN_EVERY
            self._family.scan()
        return told

    def _listen(self, now: float, *, calm: bool) -> None:
        if self._feed is not None:
            forks = self._feed.drain(now)
            if self._feed.answered:
                self._family.hear(forks)
        elif self._wanted and calm:
            self._wanted = False
            self._feed = ForkFeed(now)

    def close(self) -> None:
        """Stop listening."""
        if self._feed is not None:
            self._feed.close()
            self._feed = None
        self._family.hear(None)
