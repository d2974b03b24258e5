"""Clearing away the runs of guards that were SIGKILLed: liveness is the record's lock."""

import os
import stat
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sentinel.enclosure import Waiter
from sentinel.linux.kinship import Delivery, Identity, kill_identity, open_identity
from sentinel.linux.locks import try_lock
from sentinel.linux.runtime import Place, RuntimeDirectory, existing_runtime_directories
from sentinel.rss.family import descendants
from sentinel.rss.procfs import DEAD, Proc
from sentinel.rss.record import PREFIX, here, parse_record, remove

_LARGEST = 1 << 20
"""Bytes read of a record: the family of 30 000 processes."""
_MOST_ROUNDS = 5


class _Claimed(NamedTuple):
    """A dead run's record that we hold the lock of."""

    directory: RuntimeDirectory
    name: str
    fd: int
    pidfds: dict[int, Identity]


class RecordSweep:
    """Kills what is left of runs whose guard is dead, and removes their records."""

    def __init__(self, places: Sequence[Place] = (), proc: Proc | None = None) -> None:
        """Look into `places` (default: both of this user's)."""
        self._places = places
        self._proc = proc or Proc()
        self._directories: list[RuntimeDirectory] = []
        self._claimed: list[_Claimed] = []
        self._waiter: Waiter | None = None

    def begin(self, waiter: Waiter) -> None:
        """Kill the families of all records whose lock nobody holds; never raises for their sake."""
        self._waiter = waiter
        try:
            where = here()
        except OSError:
            return  # nothing here can be told to be dead
        if self._proc.is_foreign():
            return  # nor by numbers that mean others
        self._directories = existing_runtime_directories(self._places)
        for directory in self._directories:
            for name in sorted(os.listdir(directory.fd)):
                if name.startswith(PREFIX):
                    self._consider(directory, name, where)
        for claimed in self._claimed:
            for pidfd in claimed.pidfds:
                waiter.watch(pidfd, self)

    def _consider(self, directory: RuntimeDirectory, name: str, where: tuple[str, int]) -> None:
        """Claim the record if its guard is dead and its numbers mean something here, or nowhere."""
        fd = _open_dead(directory, name)
        if fd is None:
            return
        kin = parse_record(os.pread(fd, _LARGEST, 0))
        pidfds: dict[int, Identity] = {}
        if kin is not None and kin.boot == where[0]:
            if kin.namespace != where[1] or self._is_ours(kin.members):
                os.close(fd)
                return
            pidfds = _kill(kin.members, self._proc)
        self._claimed.append(_Claimed(directory, name, fd, pidfds))

    def _is_ours(self, members: tuple[Identity, ...]) -> bool:
        """Whether we are part of that run: its last process may have started us."""
        pid, recorded = os.getpid(), set(members)
        while pid > 0:
            stat_ = self._proc.stat(pid)
            if stat_ is None:
                return False
            if Identity(pid, stat_.start) in recorded:
                return True
            pid = stat_.parent
        return False

    def turn(self) -> bool:
        """Remove the records whose family is gone; True when none is left."""
        for claimed in list(self._claimed):
            for pidfd, identity in list(claimed.pidfds.items()):
                if not _lives(self._proc, identity):
                    self._release(claimed, pidfd)
            if not claimed.pidfds:
                remove(claimed.directory, claimed.name)
                os.close(claimed.fd)
                self._claimed.remove(claimed)
        return not self._claimed

    def _release(self, claimed: _Claimed, pidfd: int) -> None:
        if self._waiter is not None:
            self._waiter.forget(pidfd)
        os.close(pidfd)
        del claimed.pidfds[pidfd]

    def close(self) -> None:
        """Release everything; a record whose family still dies is for the next start."""
        for claimed in self._claimed:
            for pidfd in list(claimed.pidfds):
                self._release(claimed, pidfd)
            os.close(claimed.fd)
        self._claimed.clear()
        for directory in self._directories:
            directory.close()
        self._directories.clear()


def _open_dead(directory: RuntimeDirectory, name: str) -> int | None:
    """The record, locked by us, if it is a regular file of ours that nobody holds.

    Never waits for a FIFO, follows no symlink.
    """
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = os.open(name, flags, dir_fd=directory.fd)
    except OSError:
        return None
    status = os.fstat(fd)
    ours = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
    if ours and try_lock(fd) and os.fstat(fd).st_nlink:
        return fd
    os.close(fd)
    return None


def _lives(proc: Proc, identity: Identity) -> bool:
    stat_ = proc.stat(identity.pid)
    if stat_ is None or stat_.start != identity.start:
        return False
    return stat_.state not in DEAD or proc.living_thread(identity.pid) is not None


def _kill(members: Iterable[Identity], proc: Proc) -> dict[int, Identity]:
    """SIGKILL `members` and everything below them; pidfds of those that are dying."""
    recorded = tuple(members)
    told: dict[Identity, Delivery] = {}
    for _ in range(_MOST_ROUNDS):
        living = {member for member in recorded if _lives(proc, member)}
        living.update(*(descendants(proc, member.pid) for member in living))
        fresh = living - told.keys()
        if not fresh:
            break
        told.update((identity, kill_identity(identity)) for identity in fresh)
    dying = [identity for identity, how in told.items() if how is Delivery.DELIVERED]
    return {fd: identity for identity in dying if (fd := open_identity(identity)) is not None}
