"""What memory.stat means: its keys as numbers, and what reclaim cannot free (cgroup-v2.rst).

Pure: text in, frozen types out. Here, and not in the room of the cgroup backend, because whoever
measures a run from outside must mean the same by the same words.
"""

from typing import NamedTuple

from sentinel.model.snapshot import Composition


def parse_flat_keyed(text: str) -> dict[str, int]:
    """Read `key value` lines: memory.stat, memory.events, cgroup.events, cpu.stat."""
    counts = {}
    for line in text.split("\n"):
        key, _, value = line.partition(" ")
        if value.isascii() and value.isdigit():
            counts[key] = int(value)
    return counts


class MemoryStat(NamedTuple):
    """The keys of memory.stat that the guard judges by, bytes."""

    anon: int
    file: int
    shmem: int
    kernel: int
    sock: int
    active_anon: int
    inactive_anon: int
    active_file: int
    inactive_file: int
    unevictable: int
    slab_reclaimable: int
    swapcached: int


def parse_memory_stat(text: str) -> MemoryStat:
    """Read memory.stat. `kernel` (Linux 5.18) is rebuilt from its parts where it is missing.

    Only the keys that are wanted become numbers: the guard reads this 5 to 100 times a second.
    """
    words = text.split()
    stat = dict(zip(words[::2], words[1::2], strict=False))
    if "kernel" not in stat:
        parts = ("kernel_stack", "pagetables", "percpu", "vmalloc", "slab")
        stat["kernel"] = str(sum(_count(stat.get(part, "")) for part in parts))
    return MemoryStat(*(_count(stat.get(key, "")) for key in MemoryStat._fields))


def _count(word: str) -> int:
    return int(word) if word.isascii() and word.isdigit() else 0


def swapped_out(stat: MemoryStat, swap: int) -> int:
    """Bytes of `swap` (memory.swap.current) that are not in memory as well.

    The swap cache is charged to both (`swapcached`, Linux 5.12).
    """
    return max(0, swap - stat.swapcached)


def working_set(current: int, stat: MemoryStat, swap: int) -> int:
    """U: bytes that reclaim cannot free, plus what was swapped out.

    The smaller of two views, because each errs upwards for an instant: what is not file pages
    or reclaimable slab (pages isolated by reclaim linger there), and what is on the anonymous
    and unevictable lists plus kernel memory (LRU counters are not atomic: 20 % too high was
    seen on 6.12 during rotation). Neither counts MADV_FREE pages, which sit on inactive_file
    while `anon` still holds them, and both count shmem, which `file` holds.
    """
    not_reclaimable = current - stat.active_file - stat.inactive_file - stat.slab_reclaimable
    anonymous_lists = (
        stat.active_anon
        + stat.inactive_anon
        + stat.unevictable
        + stat.kernel
        - stat.slab_reclaimable
        + stat.sock
    )
    return max(0, min(not_reclaimable, anonymous_lists)) + swapped_out(stat, swap)


def non_file(current: int, stat: MemoryStat) -> int:
    """Bytes on no list of file pages, where MADV_FREE pages are, too: only slab can still go."""
    return max(0, current - stat.active_file - stat.inactive_file)


def composition(current: int, stat: MemoryStat) -> Composition:
    """Split `current` bytes by kind.

    `file` is page cache without shmem; `other` is the rest, the per-CPU charge stock among it.
    """
    cache = max(0, stat.file - stat.shmem)
    known = stat.anon + cache + stat.shmem + stat.kernel + stat.sock
    return Composition(
        anon=stat.anon,
        file=cache,
        shmem=stat.shmem,
        kernel=stat.kernel,
        sock=stat.sock,
        other=max(0, current - known),
    )
