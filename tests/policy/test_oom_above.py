"""Whose OOM it was when the leaf was killed in without reaching its own wall."""

from __future__ import annotations

import pytest

from sentinel.model.outcome import (
    ABOVE_NAMESPACE,
    THE_HOST,
    CommandStatus,
    CounterDelta,
    Exited,
    Ledger,
    Signalled,
    Verdict,
)
from sentinel.policy.oom import blamed, decided_above

V = Verdict
KILLED = Signalled(9)


@pytest.mark.parametrize(
    ("inside", "above", "whole", "whose"),
    [
        # The counters of each case as Linux 6.1 and 6.12 showed them.
        ({"oom_kill": 2, "oom_group_kill": 1}, {"max": 9, "oom": 1}, True, "/a"),
        ({"oom_kill": 2, "oom_group_kill": 1}, {}, True, THE_HOST),
        ({"oom_kill": 1}, {"max": 4}, False, ABOVE_NAMESPACE),
        ({"max": 49, "oom": 1, "oom_kill": 2}, {"oom": 1}, True, None),
        ({"max": 512}, {"oom": 3}, True, None),
        ({}, {}, True, None),
    ],
    ids=["ancestor", "machine", "namespace", "own wall", "page cache", "external"],
)
def test_whose_oom_it_was(
    inside: dict[str, int],
    above: dict[str, int],
    whole: bool,  # noqa: FBT001 - a case of the table
    whose: str | None,
) -> None:
    """`oom` stands where the limit is, `oom_kill` where the dead are."""
    assert decided_above(inside, [CounterDelta("/a", above)], whole=whole) == whose


@pytest.mark.parametrize(("rescued", "whose"), [(2, "/a"), (1, None)])
def test_old_ooms_that_killed_nobody_are_no_excuse(rescued: int, whose: str | None) -> None:
    """The leaf's own escapes are taken off; one that is left over was our wall."""
    inside = {"oom": 2, "oom_kill": 1}
    above = [CounterDelta("/a", {"oom": 1})]
    assert decided_above(inside, above, whole=True, rescued=rescued) == whose


def test_the_nearest_of_several_is_blamed() -> None:
    """A limit further up may have had an OOM of its own meanwhile."""
    above = [
        CounterDelta(path, counts) for path, counts in (("/a/b", {"oom": 1}), ("/a", {"oom": 7}))
    ]
    assert decided_above({"oom_kill": 1}, above, whole=True) == "/a/b"


@pytest.mark.parametrize(
    ("verdict", "status", "above", "becomes"),
    [
        (V.SIGNALLED, KILLED, "/a", V.ANCESTOR_LIMIT),
        (V.SIGNALLED, KILLED, ABOVE_NAMESPACE, V.ANCESTOR_LIMIT),
        (V.SIGNALLED, KILLED, THE_HOST, V.HOST_OOM),
        (V.SOFT_LIMIT, KILLED, "/a", V.ANCESTOR_LIMIT),
        (V.SOFT_LIMIT, Exited(0), "/a", V.SOFT_LIMIT),
        (V.SOFT_LIMIT_KILLED, KILLED, "/a", V.SOFT_LIMIT_KILLED),
        (V.HARD_LIMIT, KILLED, "/a", V.HARD_LIMIT),
        (V.SIGNALLED, Signalled(15), "/a", V.SIGNALLED),
        (V.EXITED, Exited(137), "/a", V.EXITED),
        (V.SIGNALLED, KILLED, None, V.SIGNALLED),
        (V.SIGNALLED, None, "/a", V.SIGNALLED),
    ],
)
def test_who_is_blamed(
    verdict: Verdict, status: CommandStatus | None, above: str | None, becomes: Verdict
) -> None:
    """Only a SIGKILL that was not ours, to the main process, is an OOM killer's."""
    assert blamed(verdict, status, Ledger(oom_above=above)) is becomes
