"""What a guard has done, counted for those who observe it."""

from __future__ import annotations

from sentinel.model.outcome import Reaction
from sentinel.model.status import Actions

KINDS = ("lift", "sigterm", "sigkill", "cgroup_kill", "freeze", "thaw", "reclaim")


class Deeds:
    """Counts the actions of one run; kept by its guardian."""

    def __init__(self, *, has_leaf: bool) -> None:
        """Nothing was done yet; only a leaf has a wire, and is killed as a whole."""
        self._has_leaf = has_leaf
        self._counts = dict.fromkeys(KINDS, 0)
        self._reactions: tuple[float, ...] = ()
        self._terminations: tuple[float, ...] = ()

    def wired(self, *, armed: bool) -> None:
        """The wire was armed or lifted; where there is none, nothing was done."""
        if self._has_leaf and not armed:
            self._counts["lift"] += 1

    def asked(self, reaction: Reaction) -> None:
        """The polite signal was sent, `reaction` after the crossing that asked for it."""
        self._counts["sigterm"] += 1
        since = reaction.from_first_event
        since = reaction.from_first_over if since is None else since
        if since is not None and not self._reactions:
            self._reactions = (since,)

    def killed(self) -> None:
        """Everything was killed."""
        self._counts["cgroup_kill" if self._has_leaf else "sigkill"] += 1

    def froze(self, *, frozen: bool) -> None:
        """The run was halted, or let go on."""
        self._counts["freeze" if frozen else "thaw"] += 1

    def reclaimed(self) -> None:
        """Memory was asked back."""
        self._counts["reclaim"] += 1

    def ended(self, asked_at: float | None, now: float) -> None:
        """The run is empty: how long a stop took, if there was one."""
        if asked_at is not None:
            self._terminations = (now - asked_at,)

    def actions(self) -> Actions:
        """All of it so far."""
        return Actions(dict(self._counts), self._reactions, self._terminations)
