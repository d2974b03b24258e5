"""Parsers and formats of the kernel's files, on real texts and on hostile ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.cgroup import files
from sentinel.cgroup.files import MemoryStat, Mount
from sentinel.model.status import Pressure

KIB, MIB = 1 << 10, 1 << 20

STAT_6_1 = """\
anon 66686976
file 434176
kernel 331776
kernel_stack 32768
pagetables 208896
sec_pagetables 0
percpu 0
sock 0
vmalloc 0
shmem 4096
zswap 0
zswapped 0
file_mapped 352256
file_dirty 0
file_writeback 0
swapcached 0
anon_thp 0
file_thp 0
shmem_thp 0
inactive_anon 66682880
active_anon 8192
inactive_file 221184
active_file 208896
unevictable 12288
slab_reclaimable 18000
slab_unreclaimable 56328
slab 74328
workingset_refault_anon 0
workingset_refault_file 11264
pgscan 98304
"""
"""memory.stat of a leaf on 6.1, shortened at the end."""

PARSED_6_1 = MemoryStat(
    anon=66686976,
    file=434176,
    shmem=4096,
    kernel=331776,
    sock=0,
    active_anon=8192,
    inactive_anon=66682880,
    active_file=208896,
    inactive_file=221184,
    unevictable=12288,
    slab_reclaimable=18000,
    swapcached=0,
)


def stat(**bytes_by_key: int) -> MemoryStat:
    """A memory.stat with these keys, the others 0."""
    return MemoryStat(**(dict.fromkeys(MemoryStat._fields, 0) | bytes_by_key))


def test_memory_stat_of_a_real_leaf() -> None:
    """Every key that is judged by is read from among all the others."""
    assert files.parse_memory_stat(STAT_6_1) == PARSED_6_1


def test_before_5_18_kernel_is_the_sum_of_its_parts() -> None:
    """The key is younger than the parts."""
    text = STAT_6_1.replace("kernel 331776\n", "")
    rebuilt = 32768 + 208896 + 0 + 0 + 74328
    assert files.parse_memory_stat(text) == PARSED_6_1._replace(kernel=rebuilt)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "low 0\nhigh 12\nmax 3\noom 0\noom_kill 0\n",
            {"low": 0, "high": 12, "max": 3, "oom": 0, "oom_kill": 0},
        ),
        ("populated 1\nfrozen 0\n", {"populated": 1, "frozen": 0}),
        ("", {}),
        ("\n\n", {}),
        ("high", {}),
        ("high \n", {}),
        ("high max\n", {}),
        ("high -1\n", {}),
        ("high 1 2\n", {}),
        ("high ²\n", {}),
        ("high ٣\n", {}),
        ("high 0x10\nlow 7", {"low": 7}),
        ("a\x0bb 5\n", {"a\x0bb": 5}),
    ],
)
def test_flat_keyed(text: str, expected: dict[str, int]) -> None:
    """Lines that are no `key value` are no news; nothing but plain digits is a number."""
    assert files.parse_flat_keyed(text) == expected


KEYS = st.text(
    st.characters(categories=("L", "N", "P", "Cc"), exclude_characters=" \n"), min_size=1
)


@given(st.dictionaries(KEYS, st.integers(min_value=0, max_value=2**64 - 1)))
def test_flat_keyed_round_trip(counts: dict[str, int]) -> None:
    """What the kernel would write of any counters is read back."""
    text = "".join(f"{key} {value}\n" for key, value in counts.items())
    assert files.parse_flat_keyed(text) == counts


@given(st.text())
def test_no_text_breaks_the_parsers(text: str) -> None:
    """Whatever a file says, reading it raises nothing."""
    files.parse_flat_keyed(text)
    files.parse_memory_stat(text)
    files.parse_mounts(text)
    files.parse_own_path(text)
    files.controllers_of_v1(text)


@given(st.one_of(st.none(), st.integers(min_value=0, max_value=2**63 - 1)))
def test_limits_round_trip(limit: int | None) -> None:
    """A limit is read back as it was written."""
    assert files.parse_limit(files.format_limit(limit) + "\n") == limit


@pytest.mark.parametrize(
    ("cpus", "text"),
    [
        (1, "100000 100000"),
        (0.5, "50000 100000"),
        (2.25, "225000 100000"),
        (0.01, "1000 100000"),
        (0.001, "1000 100000"),
        (128, "12800000 100000"),
        (1 / 3, "33333 100000"),
    ],
)
def test_cpu_max(cpus: float, text: str) -> None:
    """Quota and period in microseconds; under 1 ms the kernel refuses the quota."""
    assert files.format_cpu_max(cpus) == text


def test_difference_leaves_out_what_did_not_move() -> None:
    """Keys that a newer kernel adds count from 0."""
    before = {"high": 3, "max": 1}
    assert files.difference({"high": 5, "max": 1, "oom": 2, "low": 0}, before) == {
        "high": 2,
        "oom": 2,
    }


@pytest.mark.parametrize(
    ("current", "keys", "swap", "expected"),
    [
        # Anonymous memory: both views agree.
        (64 * MIB, {"anon": 63 * MIB, "inactive_anon": 63 * MIB, "kernel": MIB}, 0, 64 * MIB),
        # Page cache: nothing that cannot go.
        (64 * MIB, {"file": 63 * MIB, "inactive_file": 63 * MIB, "kernel": MIB}, 0, MIB),
        # MADV_FREE: `anon` still holds it, but it is on the list of inactive file pages.
        (
            64 * MIB,
            {"anon": 63 * MIB, "inactive_file": 40 * MIB, "inactive_anon": 23 * MIB, "kernel": MIB},
            0,
            24 * MIB,
        ),
        # tmpfs: `file` holds it, but it is on the anonymous lists.
        (
            64 * MIB,
            {"file": 63 * MIB, "shmem": 63 * MIB, "inactive_anon": 63 * MIB, "kernel": MIB},
            0,
            64 * MIB,
        ),
        # mlocked file pages.
        (64 * MIB, {"file": 63 * MIB, "unevictable": 63 * MIB, "kernel": MIB}, 0, 64 * MIB),
        # Unix sockets are kernel memory, TCP buffers are `sock`.
        (64 * MIB, {"kernel": 60 * MIB, "sock": 4 * MIB}, 0, 64 * MIB),
        # Reclaimable slab counts in neither view.
        (64 * MIB, {"kernel": 64 * MIB, "slab_reclaimable": 50 * MIB}, 0, 14 * MIB),
        # LRU rotation on 6.12: the anonymous lists 20 % too high for an instant.
        (64 * MIB, {"inactive_anon": 77 * MIB, "inactive_file": 8 * MIB}, 0, 56 * MIB),
        # Pages isolated by reclaim are on no list: the other view is too high.
        (64 * MIB, {"inactive_anon": 10 * MIB, "inactive_file": 50 * MIB}, 0, 10 * MIB),
        # Lists may be ahead of memory.current: never negative.
        (MIB, {"active_file": 3 * MIB}, 0, 0),
        # Swapped-out memory is used memory.
        (32 * MIB, {"inactive_anon": 32 * MIB}, 5 * MIB, 37 * MIB),
        # The swap cache is in both: counted once.
        (32 * MIB, {"inactive_anon": 32 * MIB, "swapcached": 3 * MIB}, 5 * MIB, 34 * MIB),
        (32 * MIB, {"inactive_anon": 32 * MIB, "swapcached": 7 * MIB}, 5 * MIB, 32 * MIB),
    ],
)
def test_the_working_set(current: int, keys: dict[str, int], swap: int, expected: int) -> None:
    """What reclaim cannot free, however the kernel files it."""
    assert files.working_set(current, stat(**keys), swap) == expected


@pytest.mark.parametrize(
    ("current", "keys", "expected"),
    [
        (64 * MIB, {"inactive_file": 20 * MIB, "active_file": 4 * MIB}, 40 * MIB),
        (64 * MIB, {"kernel": 64 * MIB, "slab_reclaimable": 64 * MIB}, 64 * MIB),
        (MIB, {"inactive_file": 2 * MIB}, 0),
    ],
)
def test_what_is_no_file(current: int, keys: dict[str, int], expected: int) -> None:
    """Everything but the two file lists, reclaimable slab included."""
    assert files.non_file(current, stat(**keys)) == expected


def test_the_composition_is_a_partition() -> None:
    """Its parts add up to memory.current, the unaccounted stock among them."""
    parts = files.composition(68 * MIB, PARSED_6_1)
    assert parts.file == 434176 - 4096
    assert parts.other == 68 * MIB - 66686976 - 434176 - 331776
    assert sum(parts) == 68 * MIB


def test_a_composition_never_has_negative_parts() -> None:
    """memory.stat may be ahead of memory.current, and shmem ahead of file."""
    parts = files.composition(MIB, stat(anon=2 * MIB, shmem=4096))
    assert min(parts) == 0


MOUNTINFO = """\
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/root rw
30 22 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate
31 22 0:5 / /dev rw shared:2 master:7 - devtmpfs devtmpfs rw,mode=755
32 30 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (MOUNTINFO, (Mount("/sys/fs/cgroup", "/"),)),
        (
            "1 2 0:26 /../../a /mnt/host rw - cgroup2 cgroup2 rw\n",
            (Mount("/mnt/host", "/../../a"),),
        ),
        # No optional fields, and several.
        ("1 2 0:26 / /x rw - cgroup2 none rw\n", (Mount("/x", "/"),)),
        ("1 2 0:26 / /x rw shared:1 master:2 unbindable - cgroup2 none rw\n", (Mount("/x", "/"),)),
        # Blanks, tabs, newlines and backslashes are octal.
        (
            "1 2 0:26 /a\\134b\\040c /m\\011n\\012o\\040p rw - cgroup2 none rw\n",
            (Mount("/m\tn\no p", "/a\\b c"),),
        ),
        # A name that only looks escaped.
        ("1 2 0:26 / /m\\134040n rw - cgroup2 none rw\n", (Mount("/m\\040n", "/"),)),
        # What Python also takes for the end of a line or a word.
        (
            "1 2 0:26 /a\u2028b /m\x0b\x1c\x85\u00a0\u3000n rw - cgroup2 none rw\n",
            (Mount("/m\x0b\x1c\x85\u00a0\u3000n", "/a\u2028b"),),
        ),
        ("1 2 0:26 / /x rw - cgroup cgroup2 rw\n", ()),
        ("1 2 0:26 / /x rw - cgroup2fs none rw\n", ()),
        ("- cgroup2 none rw\n", ()),
        ("", ()),
    ],
)
def test_mounts(text: str, expected: tuple[Mount, ...]) -> None:
    """The cgroup2 mounts alone, names as they are on disk."""
    assert files.parse_mounts(text) == expected


@pytest.mark.parametrize(
    ("text", "path", "v1"),
    [
        ("0::/user.slice/a b\n", "/user.slice/a b", ()),
        ("0::/\n", "/", ()),
        ("0::/a:b::c\n", "/a:b::c", ()),
        ("0::/gone (deleted)\n", "/gone (deleted)", ()),
        ("0::/../outside\n", "/../outside", ()),
        ("0::/a\x0bb\x1cc\x85d\u2028e\r\n", "/a\x0bb\x1cc\x85d\u2028e\r", ()),
        (
            "12:cpu,cpuacct:/a\n11:name=systemd:/b\n10::/\n4:memory:/c:d\n0::/e\n",
            "/e",
            ("cpu", "cpuacct", "name=systemd", "memory"),
        ),
        ("4:memory:/\n", None, ("memory",)),
        ("", None, ()),
        # A cgroup of v1 whose name imitates the line of v2.
        ("4:memory:/0::/x\n0::/real\n", "/real", ("memory",)),
    ],
)
def test_own_path(text: str, path: str | None, v1: tuple[str, ...]) -> None:
    """The path in the v2 hierarchy, byte for byte, and what v1 holds."""
    assert files.parse_own_path(text) == path
    assert files.controllers_of_v1(text) == v1


PSI = """\
some avg10=1.50 avg60=0.40 avg300=0.10 total=12345
full avg10=0.25 avg60=0.10 avg300=0.00 total=2345
"""


@pytest.mark.parametrize(
    ("text", "pressure"),
    [
        (PSI, Pressure(some=1.5, full=0.25)),
        ("some avg10=99.99 avg60=0.00 avg300=0.00 total=0\n", Pressure(some=99.99, full=0.0)),
        ("some total=0\nfull total=0\n", None),
        ("full avg10=3.00 avg60=0.00 avg300=0.00 total=0\n", None),
        ("", None),
    ],
)
def test_pressure(text: str, pressure: Pressure | None) -> None:
    """The ten-second averages of psi.rst; unknown where the file does not tell `some`."""
    assert files.parse_pressure(text) == pressure
