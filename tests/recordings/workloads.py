"""What is recorded: programs at a soft limit, and whether stopping them is right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from tests.victims.build import python_leaker, victim

LIMIT = 64 << 20  # bytes; memory.high of the leaf


class Workload(NamedTuple):
    """A command, and the truth about it.

    The interesting moment is the first `high` event with at least `from_bytes` of anonymous and
    kernel memory together. `warm`: its own text is in the page cache already and charged to
    somebody else, so that it never has to be read again under pressure.
    """

    name: str
    truth: Literal["ok", "leak"]
    argv: Sequence[str]
    from_bytes: int = 0
    warm: bool = False


def workloads(folder: str) -> list[Workload]:
    """The workloads, reading and writing in `folder`, on a real disk, where `data` is 300 MiB."""
    program = victim()
    data = [f"file={folder}/data", "size=300M", "seconds=60"]
    leak = ["max=256M", "seconds=60"]
    inodes = ["inodes", "count=200000", "seconds=60"]
    ok: dict[str, list[str]] = {
        "file-read": ["read", *data],
        "file-copy": ["copy", *data, f"to={folder}/copy"],
        "mmap-sequential": ["mmap", *data],
        "mmap-random": ["mmap", *data, "order=random"],
        "lazyfree": ["lazyfree", "block=40M", "max=160M", "seconds=60"],
        "anon-60m-read": ["anonread", "anon=60M", *data],
        "anon-62m-read": ["anonread", "anon=62M", *data],
        "names-made": ["names", f"dir={folder}", "make=1", "seconds=60"],
    }
    leaks: dict[str, list[str]] = {
        "anon-slow": ["leak", "rate=20M", *leak],
        "anon-fast": ["leak", *leak],
        "anon-threads": ["leak", "threads=4", *leak],
        "tmpfs": ["tmpfs", *leak],
        "mlock": ["mlock", f"file={folder}/data", *leak],
        "sockets": ["sockets", *leak],
        "pipes": ["pipes", *leak],
        "forks": ["forks", "count=8000", "seconds=60"],
    }
    both = 'p=$1; shift; "$p" read "$@" >/dev/null & exec "$p" leak rate=40M max=256M seconds=60'
    return [
        *(Workload(name, "ok", [program, *words]) for name, words in ok.items()),
        *(Workload(name, "leak", [program, *words]) for name, words in leaks.items()),
        Workload("python-list", "leak", [*python_leaker(), *leak]),
        Workload("inodes", "leak", [program, *inodes], warm=True),
        Workload("inodes-cold", "leak", [program, *inodes], from_bytes=LIMIT + (256 << 10)),
        Workload(
            "anon-leak-read",
            "leak",
            ["/bin/sh", "-c", both, "sh", program, *data],
            from_bytes=60 << 20,
        ),
    ]
