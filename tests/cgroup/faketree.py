"""A cgroup tree of plain files that refuses and moves as the kernel does (cgroup-v2.rst).

Honest in what the tests rely on: writing cgroup.subtree_control adds and removes controllers,
needs them from above and is EBUSY while processes are inside (the root excepted); writing a pid
to cgroup.procs moves it and is EBUSY where controllers are enabled; a new cgroup has the files of
the enabled controllers; one with processes or children is not removed. `refuse` makes any other
errno, and processes in `ending` are gone when they are to be moved. What nobody should write,
memory.events for one, is set with `put`.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from sentinel.cgroup import placement
from sentinel.cgroup.tree import Cgroup
from sentinel.model.errors import KernelFileError

REALLY_REMOVE = os.rmdir

CORE = {
    "cgroup.procs": "",
    "cgroup.threads": "",
    "cgroup.subtree_control": "",
    "cgroup.events": "populated 0\nfrozen 0\n",
    "cgroup.kill": "",
    "cpu.stat": "usage_usec 0\n",
}
FILES = {
    "memory": {
        "memory.current": "0\n",
        "memory.events.local": "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n",
        "memory.high": "max\n",
        "memory.max": "max\n",
        "memory.oom.group": "0\n",
        "memory.peak": "0\n",
        "memory.stat": "anon 0\nfile 0\nkernel 0\n",
        "memory.swap.current": "0\n",
        "memory.swap.max": "max\n",
    },
    "pids": {"pids.max": "max\n"},
    "cpu": {"cpu.max": "max 100000\n"},
}


class Tree:
    """The fake: a hierarchy below `top`, and the processes in it."""

    def __init__(self, top: Path, controllers: str = "cpu memory pids") -> None:
        self.top = top
        self.refusals: dict[tuple[str, str, str], int] = {}
        self.ending: set[int] = set()
        self.log: list[tuple[str, str]] = []
        self.furnish(top, controllers.split(), root=True)

    def refuse(self, op: str, name: str, error: int, cgroup: Path | None = None) -> None:
        """Let every `op` (read, write, mkdir, rmdir) on a `name` fail, in `cgroup` or anywhere."""
        self.refusals[op, str(cgroup or ""), name] = error

    def fail(self, op: str, directory: str, name: str) -> None:
        """Raise what was ordered for this operation."""
        for where in (directory, ""):
            error = self.refusals.get((op, where, name))
            if error is not None:
                raise OSError(error, os.strerror(error))

    def make(self, name: str, *, procs: tuple[int, ...] = (), kind: str = "domain") -> Path:
        """A cgroup `name` below the top, with its parents, controllers enabled all the way."""
        at = self.top
        for part in Path(name).parts:
            self.put(at, "cgroup.subtree_control", self.get(at, "cgroup.controllers"))
            at /= part
            if not at.exists():
                at.mkdir()
                self.furnish(at, self.get(at.parent, "cgroup.subtree_control").split())
        self.put(at, "cgroup.procs", "".join(f"{pid}\n" for pid in procs))
        self.put(at, "cgroup.type", kind)
        return at

    def put(self, cgroup: Path, name: str, text: str) -> None:
        """Set a file as the kernel would."""
        (cgroup / name).write_text(text)

    def get(self, cgroup: Path, name: str) -> str:
        """A file's text without the last newline."""
        return (cgroup / name).read_text().removesuffix("\n")

    def pids(self, cgroup: Path) -> list[int]:
        """The processes in `cgroup`."""
        return [int(word) for word in self.get(cgroup, "cgroup.procs").split()]

    def write(self, cgroup: Path, name: str, value: str) -> None:
        """What the kernel does with a write."""
        self.fail("write", str(cgroup), name)
        self.log.append((name, value))
        if name == "cgroup.subtree_control":
            self._enable(cgroup, value)
        elif name == "cgroup.procs":
            self._move(cgroup, value)
        elif (cgroup / name).exists():
            self.put(cgroup, name, value + "\n")
        else:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    def _enable(self, cgroup: Path, words: str) -> None:
        enabled = set(self.get(cgroup, "cgroup.subtree_control").split())
        available = set(self.get(cgroup, "cgroup.controllers").split())
        wanted = {word[1:] for word in words.split() if word[0] == "+"}
        if not wanted <= available:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        if self.pids(cgroup) and cgroup != self.top:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        self.put(cgroup, "cgroup.subtree_control", " ".join(sorted(enabled | wanted)))
        for child in cgroup.iterdir():
            if child.is_dir():
                self.furnish(child, sorted(enabled | wanted))

    def _move(self, cgroup: Path, value: str) -> None:
        pid = int(value) or os.getpid()
        if self.get(cgroup, "cgroup.subtree_control") and cgroup != self.top:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        for place in [self.top, *(path for path in self.top.rglob("*") if path.is_dir())]:
            left = [other for other in self.pids(place) if other != pid]
            self.put(place, "cgroup.procs", "".join(f"{other}\n" for other in left))
        if pid in self.ending:
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
        self.put(cgroup, "cgroup.procs", "".join(f"{p}\n" for p in [*self.pids(cgroup), pid]))

    def furnish(self, cgroup: Path, controllers: list[str], *, root: bool = False) -> None:
        """Give `cgroup` the files of `controllers` that it does not have yet."""
        wanted = dict(CORE) if root else CORE | {"cgroup.type": "domain\n"}
        for controller in () if root else controllers:
            wanted |= FILES.get(controller, {})
        for name, text in wanted.items():
            if not (cgroup / name).exists():
                self.put(cgroup, name, text)
        self.put(cgroup, "cgroup.controllers", " ".join(controllers) + "\n")

    def removed(self, path: str, dir_fd: int | None) -> None:
        """What the kernel does with an rmdir."""
        base = os.readlink(f"/proc/self/fd/{dir_fd}") if dir_fd is not None else ""
        cgroup = Path(base, path)
        self.fail("rmdir", str(cgroup.parent), cgroup.name)
        inner = [entry for entry in cgroup.iterdir() if entry.is_dir()]
        if inner or self.pids(cgroup):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        for entry in cgroup.iterdir():
            entry.unlink()
        REALLY_REMOVE(cgroup)


class FakeCgroup(Cgroup):
    """A cgroup whose files behave as the kernel's. `install` makes a class of it for each tree."""

    fake: Tree

    @property
    def place(self) -> Path:
        """Its directory."""
        return Path(os.readlink(f"/proc/self/fd/{self.fd}"))

    def read(self, name: str) -> str | None:
        """Text of a file, unless the tree refuses."""
        try:
            self.fake.fail("read", str((self.place / name).parent), os.path.basename(name))
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ENODEV}:
                return None
            raise KernelFileError("read", f"{self.path}/{name}", error.errno or 0) from error
        return super().read(name)

    def write(self, name: str, value: str, *, remedy: str = "") -> None:
        """Write as the kernel lets one write."""
        try:
            self.fake.write(self.place, name, value)
        except OSError as error:
            path = f"{self.path}/{name}"
            raise KernelFileError(
                "write", path, error.errno or 0, value=value, remedy=remedy
            ) from error

    def make_child(self, name: str) -> Cgroup | None:
        """A new cgroup comes with its files."""
        try:
            self.fake.fail("mkdir", str(self.place), name)
        except OSError as error:
            raise KernelFileError("mkdir", f"{self.path}/{name}", error.errno or 0) from error
        made = super().make_child(name)
        if made is not None:
            enabled = self.fake.get(self.place, "cgroup.subtree_control").split()
            self.fake.furnish(self.place / name, enabled)
        return made


def install(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> type[Cgroup]:
    """Have the cgroup room meet `tree`; the class to open cgroups with."""

    class ItsCgroup(FakeCgroup):
        """A cgroup of this tree."""

        fake = tree

    def rmdir(path: str, *, dir_fd: int | None = None) -> None:
        tree.removed(path, dir_fd)

    monkeypatch.setattr(placement, "Cgroup", ItsCgroup)
    monkeypatch.setattr(os, "rmdir", rmdir)
    return ItsCgroup
