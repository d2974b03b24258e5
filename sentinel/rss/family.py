"""Who belongs to a run: its main process and everything that it brought into the world.

Sentinel is a subreaper (prctl(2)), so whatever loses its parent becomes our own child: every
member is below us at all times, found through the `children` files, and remembered by pid and
start time. What is below us for other reasons is left out: children that we had before the run
(a shell may have exec'd us) with all that is known to be below them, and helpers of our own.

A walk down the tree races with processes that end, whose children move to us while we look
elsewhere. So a walk ends with another look at our own children, which only we can take away:
when all of them are zombies, which have no children, nobody is left (kernel/exit.c).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

from sentinel.linux.kinship import Identity
from sentinel.rss.procfs import DEAD, Proc

WALK_SHARE = 200
"""Walking is held to 0.5 % of a core: it is not repeated sooner than this many times its length."""
EAGER_SHARE = 10
HASTY_SHARE = 20
"""Half a second is long enough to miss a new member, if walking then costs no more than 5 %."""
MOST_ROUNDS = 10
SLOWEST_WALK = 0.5
"""Seconds after which a walk is made although nothing seems to have been forked."""


class Member:
    """One process of the family. `reads`: the number through which its memory is read."""

    __slots__ = ("asked", "ended", "identity", "parent", "reads")

    def __init__(self, identity: Identity, parent: int) -> None:
        """A process that was found below `parent`."""
        self.identity = identity
        self.parent = parent
        self.reads = identity.pid
        self.asked = False
        self.ended = False

    def refresh(self, proc: Proc) -> None:
        """Find out whether it has ended: gone, its number another's by now, or a zombie."""
        pid = self.identity.pid
        stat = proc.stat(pid)
        if stat is None or stat.start != self.identity.start:
            self.ended = True
        elif stat.state in DEAD:
            thread = proc.living_thread(pid)
            self.ended = thread is None
            self.reads = thread or pid


class Family:
    """The members, found by walking down from this process."""

    def __init__(self, proc: Proc, clock: Callable[[], float]) -> None:
        """Take the children that there are now for strangers; `clock` is monotonic seconds."""
        self._proc = proc
        self._clock = clock
        self._own = os.getpid()
        self._members: dict[int, Member] = {}
        self._strangers: set[Identity] = set()
        self._by_children = proc.lists_children()
        self._scanned: set[int] = set()
        self._newest = b""
        self._heard: bool | None = None
        self._walked, self._walk_cost = 0.0, 0.0
        self.version = 0
        for pid in proc.children(self._own) or ():
            self.spare(pid)

    def spare(self, pid: int) -> None:
        """Leave `pid`, which is no part of the run, and its descendants out."""
        stat = self._proc.stat(pid)
        if stat is not None:
            self._strangers.add(Identity(pid, stat.start))

    def begin(self, main: int) -> None:
        """Take `main`, an unreaped child of ours, for the first member."""
        self._meet(main, self._own)

    def forget(self, pid: int) -> bool:
        """Drop `pid` if it has ended, so that its number may mean another; whether it is out."""
        member = self._members.get(pid)
        if member is not None:
            member.refresh(self._proc)
            if not member.ended:
                return False
            del self._members[pid]
            self.version += 1
        return True

    def living(self) -> list[Member]:
        """Members that had not ended when last looked at, the main process first."""
        return [member for member in self._members.values() if not member.ended]

    def alive(self, among: Iterable[Member] | None = None) -> Iterator[Member]:
        """The same, or `among` them, each looked at once more as it is asked for."""
        for member in self.living() if among is None else among:
            member.refresh(self._proc)
            if not member.ended:
                yield member

    def refresh(self, now: float, *, eager: bool) -> None:
        """Walk if something was forked since the last time, and if a walk may be paid for.

        /proc/loadavg tells the last pid given out here: while it stands still, nobody is new.
        """
        cost = self._walk_cost
        rest = min(cost * WALK_SHARE, max(SLOWEST_WALK, cost * HASTY_SHARE))
        if now < self._walked + (cost * EAGER_SHARE if eager else rest):
            return
        newest, forked = self._newest, self._heard
        if forked is None:
            newest = self._proc.newest()
            forked = newest != self._newest
        if forked or now >= self._walked + SLOWEST_WALK:
            self._newest = newest
            self._heard = None if self._heard is None else False
            self.walk()

    def hear(self, forks: Iterable[tuple[int, int]] | None) -> None:
        """Learn of `forks`, (parent, child), from the kernel; None: it tells us no longer."""
        if forks is None:
            self._heard = None
            return
        met = [self._meet(child, parent) for parent, child in forks if self._is_parent(parent)]
        self._heard = bool(self._heard) or bool(met)

    def walk(self) -> bool:
        """Find every member that is below us now, and drop those that are gone.

        Whether nobody can have been missed: not while members are born faster than they are met,
        nor when one has ended since it was met, whose children would be ours by now.
        """
        began = self._clock()
        self._follow_strangers()
        complete = self._walk_children() if self._by_children else self.scan()
        for member in self.living():
            member.refresh(self._proc)
            complete = complete and not member.ended
        self._drop_ended()
        self._walked = self._clock()
        self._walk_cost = self._walked - began
        return complete

    def _walk_children(self) -> bool:
        """Go down from us, and from members that for once cannot be reached, until all is seen."""
        seen: set[int] = set()
        for _ in range(MOST_ROUNDS):
            fresh = []
            for member in self.living():
                member.refresh(self._proc)
                if not member.ended and member.identity.pid not in seen:
                    fresh += self._below(member.identity.pid, seen)
            # Last: whoever has ended until now has left its children to us.
            fresh += self._below(self._own, seen)
            if not fresh:
                return True
            while fresh:
                pid, parent = fresh.pop()
                if pid not in seen:
                    seen.add(pid)
                    if self._meet(pid, parent):
                        fresh += self._below(pid, seen)
        return False

    def _below(self, parent: int, seen: set[int]) -> list[tuple[int, int]]:
        children = self._proc.children(parent) or ()
        return [(pid, parent) for pid in children if pid not in seen]

    def _drop_ended(self) -> None:
        for pid in [pid for pid, member in self._members.items() if member.ended]:
            self.forget(pid)

    def _meet(self, pid: int, parent: int) -> bool:
        """Look at `pid`, a child of `parent`; whether it is a member that lives."""
        stat = self._proc.stat(pid)
        if stat is None:
            return False
        identity = Identity(pid, stat.start)
        if identity in self._strangers:
            return False
        member = self._members.get(pid)
        if member is not None and member.identity == identity:
            if stat.state in DEAD:
                member.refresh(self._proc)
            return not member.ended
        member = Member(identity, parent)
        if stat.state in DEAD:
            member.refresh(self._proc)
        if not member.ended:
            self._members[pid] = member
            self.version += 1
        return not member.ended

    def _follow_strangers(self) -> None:
        """Learn who is below strangers, so that their orphans are not taken for ours."""
        if not self._strangers:
            return
        current = set()
        for stranger in self._strangers:
            stat = self._proc.stat(stranger.pid)
            if stat is not None and stat.start == stranger.start:
                current.add(stranger)
                current.update(descendants(self._proc, stranger.pid))
        self._strangers = current

    def scan(self) -> bool:
        """Look at every process of the machine that is new since the last scan, by its parent.

        Whether nobody was found, so that nobody can have been forked by them meanwhile.

        psutil keeps the identities that it has seen, so that only new ones are read: 0.6 ms
        with 600 processes, 50 ms the first time. A process that was nobody's of ours cannot
        become one later, since orphans only rise to ancestors.
        """
        import psutil

        parents: dict[int, int] = {}
        everybody = set()
        for process in psutil.process_iter():
            everybody.add(process.pid)
            if process.pid not in self._scanned and process.pid not in self._members:
                try:
                    parents[process.pid] = process.ppid()
                except psutil.Error:
                    continue
        self._scanned = everybody
        new = [pid for pid, parent in parents.items() if self._is_parent(parent)]
        nobody = not new
        while new:
            for pid in new:
                self._meet(pid, parents.pop(pid))
            new = [pid for pid, parent in parents.items() if self._is_parent(parent)]
        return nobody

    def _is_parent(self, pid: int) -> bool:
        """Whether children of `pid` are the run's: it is us, or a member and no namesake of one."""
        member = self._members.get(pid)
        if member is not None:
            member.refresh(self._proc)
        return pid == self._own or (member is not None and not member.ended)


def descendants(proc: Proc, pid: int) -> set[Identity]:
    """Everybody below `pid` now."""
    found: set[Identity] = set()
    queue = [pid]
    while queue:
        for child in proc.children(queue.pop()) or ():
            stat = proc.stat(child)
            if stat is not None and Identity(child, stat.start) not in found:
                found.add(Identity(child, stat.start))
                queue.append(child)
    return found
