"""What helps to know the family when there is time: fork events and scans, and their absence."""

from __future__ import annotations

import pytest

from sentinel.linux.procevents import FeedLost
from sentinel.rss import aid as rss_aid
from sentinel.rss.aid import SCAN_EVERY, Aid

pytestmark = pytest.mark.pure


class FamilyThatListens:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.heard: list[list[tuple[int, int]] | None] = []
        self.scans = 0

    def hear(self, forks: list[tuple[int, int]] | None) -> None:
        """Take note."""
        self.heard.append(forks)

    def scan(self) -> bool:
        """Take note."""
        self.scans += 1
        return True


class FeedThatTells:
    """A feed whose drains a test has prepared; `opened` counts how many there ever were."""

    opened = 0
    drains: list[list[tuple[int, int]] | str]

    def __init__(self, now: float) -> None:
        del now
        type(self).opened += 1
        self.answered = False
        self.closed = False

    def drain(self, now: float) -> list[tuple[int, int]]:
        """The next drain; a text is the end of the feed."""
        del now
        drain = self.drains.pop(0)
        if isinstance(drain, str):
            raise FeedLost(drain)
        self.answered = self.answered or bool(drain)
        return drain

    def close(self) -> None:
        """Take note."""
        self.closed = True


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch) -> type[FeedThatTells]:
    """Be permitted to hear of forks."""

    class Feed(FeedThatTells):
        drains: list[list[tuple[int, int]] | str] = []  # noqa: RUF012

    monkeypatch.setattr(rss_aid, "permitted", lambda: True)
    monkeypatch.setattr(rss_aid, "ForkFeed", Feed)
    return Feed


def with_family() -> tuple[Aid, FamilyThatListens]:
    """An aid, and who it helps."""
    family = FamilyThatListens()
    return Aid(family), family  # type: ignore[arg-type]


def test_nothing_is_begun_in_a_hurry(feed: type[FeedThatTells]) -> None:
    """While a limit is near, nothing is imported, opened or scanned."""
    helper, family = with_family()
    assert helper.turn(10, calm=False) == ""
    assert helper.turn(10 + 2 * SCAN_EVERY, calm=False) == ""
    assert (feed.opened, family.scans, family.heard) == (0, 0, [])


def test_silence_means_nothing_at_first(feed: type[FeedThatTells]) -> None:
    """The family is not told that nothing was forked before the feed has proved to work."""
    helper, family = with_family()
    helper.turn(1, calm=True)
    feed.drains = [[], [(7, 8)], []]
    helper.turn(2, calm=True)
    assert family.heard == []
    helper.turn(3, calm=False)
    helper.turn(4, calm=False)
    assert family.heard == [[(7, 8)], []]


def test_lost_feed_is_told_once(feed: type[FeedThatTells]) -> None:
    """A feed that ends is closed, told once and never opened again; the family walks again."""
    helper, family = with_family()
    helper.turn(1, calm=True)
    feed.drains = [[(7, 8)], "process events: some were lost"]
    helper.turn(2, calm=True)
    assert helper.turn(3, calm=True) == "process events: some were lost"
    assert family.heard == [[(7, 8)], None]
    assert helper.turn(4, calm=True) == ""
    assert feed.opened == 1


def test_feed_that_never_was_is_not_told(feed: type[FeedThatTells]) -> None:
    """A kernel that has no fork events to tell of has not lost any."""
    helper, family = with_family()
    helper.turn(1, calm=True)
    feed.drains = ["process events: the kernel does not answer"]
    assert helper.turn(2, calm=True) == ""
    assert helper.turn(3, calm=True) == ""
    assert (feed.opened, family.heard) == (1, [None])


def test_scans_every_five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scan comes five seconds after the first calm look, and then at most every five."""
    monkeypatch.setattr(rss_aid, "permitted", lambda: False)
    helper, family = with_family()
    for tenth in range(301):
        helper.turn(tenth / 10, calm=tenth % 2 == 0)
    assert family.scans == 6


def test_not_permitted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where fork events are not for us, nothing is tried and nothing told."""
    monkeypatch.setattr(rss_aid, "permitted", lambda: False)
    monkeypatch.delattr(rss_aid, "ForkFeed")
    helper, family = with_family()
    assert helper.turn(1, calm=True) == ""
    helper.close()
    assert family.heard == [None]
