"""The cgroup v2 enclosure: a leaf that its command is born in, watched without polling."""

from __future__ import annotations

import os

from sentinel.cgroup import files
from sentinel.cgroup.gauge import Gauge
from sentinel.cgroup.leaf import Leaf
from sentinel.cgroup.ledger import Ancestry
from sentinel.cgroup.press import Press
from sentinel.cgroup.watch import LeafWatch
from sentinel.enclosure import Look, Process, Waiter
from sentinel.linux.process import ask_member, process_stat
from sentinel.model.errors import KernelFileError, SentinelError
from sentinel.model.events import Event, Happening
from sentinel.model.outcome import Ledger, Survivor
from sentinel.model.signals import SIGCONT, SIGKILL
from sentinel.model.snapshot import Reading
from sentinel.model.spec import Limits
from sentinel.model.status import Pressure, Tally
from sentinel.policy.oom import OomJudge
from sentinel.policy.trigger import Finding, Trigger, Wire

RECENT = 5.0
"""Seconds for which a reading tells what an OOM met: the kill has emptied the leaf since."""


class CgroupEnclosure:
    """One run in one leaf. The limits are in force before the command is placed."""

    backend = "cgroup"

    def __init__(self, leaf: Leaf, limits: Limits, unenforced: tuple[str, ...] = ()) -> None:
        """Watch over `leaf`, whose limits are already written. Raises KernelFileError."""
        self.leaf = leaf
        self.where = leaf.cgroup.path
        self.unenforced = unenforced
        self._limits = limits
        self._cgroup = leaf.cgroup
        self._ancestry = Ancestry(leaf.cgroup.path)
        self._watch = LeafWatch(leaf.cgroup)
        self._gauge = Gauge(leaf.cgroup, limits)
        self._trigger = Trigger(limits.soft, os.cpu_count() or 1, limits.counted)
        self._press = Press(leaf.cgroup)
        self._oom = OomJudge()
        self._high = self._high_ignored = 0
        self._asked: set[int] = set()
        self._stopping = self._blind = self._changed = False
        self._waiter: Waiter | None = None
        self._main: Process | None = None

    def enter(self) -> None:
        """Write `0`, which means the writer in every pid namespace (cgroup_procs_write)."""
        self._cgroup.write(
            files.CGROUP_PROCS, "0", remedy="sentinel doctor tells what is missing here"
        )

    def adopt(self, main: Process, waiter: Waiter, now: float) -> None:
        """Begin to listen; what happened since the command was placed wakes at once."""
        del now
        self._main, self._waiter = main, waiter
        self._watch.begin(waiter, self)

    def look(self, now: float) -> Look:
        """Count the events; while an alert lasts, judge the memory. Go on with what presses it."""
        look = self._look(now)
        if not self._press.busy:
            return look
        pause, news = self._press.turn()
        ends = [at for at in (look.again, None if pause is None else now + pause) if at is not None]
        return Look(look.events, min(ends, default=None), news)

    def _look(self, now: float) -> Look:
        counts = self._watch.counts()
        fresh = counts.get("high", 0) > self._high
        if fresh:
            self._high_ignored += 1
        fresh, self._changed = fresh or self._changed, False
        self._high = counts.get("high", self._high)
        wall = self._oom.observe(now, counts)
        if wall.crossed:
            reading = self._before_the_kill(now)
            return Look((Event(Happening.HARD_CROSSED, reading, wall.why),))
        if self._stopping or self._blind or (self._trigger.quiet and not fresh):
            return Look(again=wall.again)
        return self._judge(now, fresh=fresh, wall_again=wall.again)

    def _judge(self, now: float, *, fresh: bool, wall_again: float | None) -> Look:
        reading = self._reading(now)
        if reading is None:
            self._blind = True
            self._listen()
            return Look((Event(Happening.DEGRADED, None, "the leaf's memory cannot be read"),))
        finding = self._trigger.observe(self._on_its_way(reading), fresh=fresh)
        complaint = self._obey(finding, now)
        again = None if finding.again is None else now + finding.again
        if wall_again is not None:
            again = wall_again if again is None else min(again, wall_again)
        if finding.crossed:
            self._high_ignored = max(0, self._high_ignored - 1)
            crossing = Event(
                Happening.SOFT_CROSSED,
                reading,
                first_event=finding.first_event,
                first_over=finding.first_over,
            )
            return Look((crossing,), again)
        if finding.cleared:
            return Look((Event(Happening.SOFT_CLEARED, reading),), again)
        if complaint:
            return Look((Event(Happening.DEGRADED, reading, complaint),), again)
        return Look(again=again)

    def _on_its_way(self, reading: Reading) -> Reading:
        """`reading` without what is over a wire that still comes down to it: only U is judged."""
        if not self._press.lowers:
            return reading
        most = self._limits.soft
        non_file = None if reading.non_file is None else min(reading.non_file, most)
        return reading._replace(current=min(reading.current, most), non_file=non_file)

    def _obey(self, finding: Finding, now: float) -> str:
        """Follow the trigger's wish for the wire, and sleep through events while it polls.

        What stood in the way, or empty.
        """
        if finding.again is None:
            self._listen()
        elif self._waiter is not None:
            self._watch.ignore(self._waiter)
        if finding.wire is not None:
            try:
                self.set_wire(armed=finding.wire is Wire.ARM, now=now)
            except KernelFileError as error:
                return str(error)
        return ""

    def _reading(self, now: float) -> Reading | None:
        try:
            return self._gauge.read(now)
        except KernelFileError:
            return None

    def _before_the_kill(self, now: float) -> Reading | None:
        """What an OOM met: the last reading of the alert that led to it, if there was one."""
        last = self._gauge.last
        recent = last is not None and now - last.at <= RECENT
        return last if recent else self._reading(now)

    def set_wire(self, *, armed: bool, now: float) -> None:
        """Write memory.high. Raising it wakes nobody, but ends all further throttle sleeps."""
        del now
        if armed:
            self._press.arm(self._limits.soft)
            self._listen()
        else:
            self._press.lift()

    def _listen(self) -> None:
        if self._waiter is not None:
            self._watch.listen(self._waiter, self)

    def ask(self, signal_number: int, *, main_only: bool) -> int:
        """Signal the main process first, then every other member that was not asked yet."""
        self._begin_stop()
        asked = 0
        main = self._main
        if main is not None and main.pid not in self._asked:
            self._asked.add(main.pid)
            if main.send(signal_number):
                main.send(SIGCONT)
                asked += 1
        if main_only:
            return asked
        for pid in self._cgroup.all_pids():
            if pid in self._asked:
                continue
            self._asked.add(pid)
            asked += ask_member(pid, signal_number, self._is_member)
        return asked

    def _is_member(self, pid: int) -> bool:
        """Whether `pid` is inside the leaf at this moment: numbers are reused."""
        try:
            with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="replace") as file:
                path = files.parse_own_path(file.read()) or ""
        except OSError:
            return False
        return self.leaf.name in path.split("/")

    def _begin_stop(self) -> None:
        """From now on only an OOM at the wall is news; it wakes through the same file."""
        self._stopping = True
        self._press.cancel()
        self._listen()

    def kill(self) -> int:
        """cgroup.kill (Linux 5.14): the whole subtree at once, fork storms included."""
        self._begin_stop()
        found = self._count_members()
        try:
            self._cgroup.write(files.CGROUP_KILL, "1")
        finally:
            if self._main is not None:
                self._main.send(SIGKILL)  # root may have moved itself out
        return found

    def _count_members(self) -> int:
        """How many there are, for the report: not to know must not stop a kill."""
        try:
            return len(self._cgroup.all_pids())
        except KernelFileError:
            return 0

    def is_empty(self) -> bool:
        """Whether cgroup.events says `populated 0`."""
        return not self._watch.is_populated()

    def spare(self, pid: int) -> None:
        """Nothing to do: nobody of ours is ever in the leaf."""

    def reaped(self, pid: int) -> None:
        """Forget that `pid` was asked: the number may come again."""
        self._asked.discard(pid)

    def survivors(self) -> tuple[Survivor, ...]:
        """Members that live, by name and state."""
        stats = (process_stat(pid) for pid in self._cgroup.all_pids())
        return tuple(
            Survivor(stat.pid, stat.name, stat.state)
            for stat in stats
            if stat is not None and stat.state != "Z"
        )

    def read(self, now: float) -> Reading | None:
        """The leaf's memory now."""
        return self._reading(now)

    def tally(self) -> Tally:
        """What memory.events.local and the readings have said so far."""
        peak = self._cgroup.read(files.MEMORY_PEAK)
        return Tally(
            int(peak) if peak else None,
            self._gauge.largest_working_set,
            self._high,
            self._high_ignored,
        )

    def pressure(self) -> Pressure | None:
        """memory.pressure of the leaf (PSI); None where the kernel has none."""
        try:
            return files.parse_pressure(self._cgroup.read(files.MEMORY_PRESSURE) or "")
        except KernelFileError:
            return None  # EOPNOTSUPP: compiled in, switched off (psi=0)

    def members(self) -> tuple[int, ...]:
        """Everybody in the leaf, nested cgroups included."""
        main = 0 if self._main is None else self._main.pid
        return tuple(sorted(self._cgroup.all_pids(), key=lambda pid: pid != main))

    def set_limits(self, limits: Limits, now: float) -> None:
        """Write memory.max, and lower or raise the wire; the next look judges by the new limit."""
        if limits.hard != self._limits.hard:
            self._cgroup.write(files.MEMORY_MAX, files.format_limit(limits.hard))
        self._limits = limits
        self._gauge.aim(limits)
        self._trigger = Trigger(limits.soft, os.cpu_count() or 1, limits.counted)
        self._changed = True
        self.set_wire(armed=True, now=now)

    def freeze(self, *, frozen: bool) -> None:
        """cgroup.freeze: the whole subtree; who is born in it is frozen, too."""
        self._cgroup.write(files.CGROUP_FREEZE, "1" if frozen else "0")

    def reclaim(self, size: int | None) -> None:
        """memory.reclaim (Linux 5.19), in bites. Raises SentinelError where there is none."""
        if not self._cgroup.has(files.MEMORY_RECLAIM):
            raise SentinelError("this kernel has no memory.reclaim", "use Linux 5.19 or newer")
        self._press.reclaim(size)

    def close(self) -> Ledger:
        """Read the counters before the leaf, and with it the last word on an OOM, is gone."""
        peak = self._cgroup.read(files.MEMORY_PEAK)  # Linux 5.19
        left_behind = self.survivors()
        counters = self._ancestry.deltas()
        oom_above = self._ancestry.oom_above(counters, self._oom.rescued)
        self._watch.close(self._waiter)
        unremoved = self.leaf.remove()
        self.leaf.close()
        return Ledger(
            peak_current=int(peak) if peak else None,
            peak_working_set=self._gauge.largest_working_set,
            high_events=self._high,
            high_ignored=self._high_ignored,
            counters=counters,
            left_behind=left_behind,
            unremoved=unremoved,
            oom_above=oom_above,
        )
