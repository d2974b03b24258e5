"""/proc as numbers: what the kernel writes, what it does not say, and what is gone."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from sentinel.rss.procfs import PAGE, Proc, Rollup, Statm, parse_rollup, parse_statm, parse_swapped
from tests.rss.mockup import MIB, MockProc
from tests.victims.running import running

ROLLUP = b"""55cc2c80f000-7fff0acee000 ---p 00000000 00:00 0                          [rollup]
Rss:                1736 kB
Pss:                 427 kB
Pss_Dirty:           112 kB
Pss_Anon:            100 kB
Pss_File:            315 kB
Pss_Shmem:            12 kB
Shared_Clean:       1556 kB
LazyFree:              8 kB
AnonHugePages:         0 kB
Swap:                 40 kB
SwapPss:              20 kB
Locked:                4 kB
"""
KIB = 1024


@pytest.mark.pure
def test_statm() -> None:
    """The numbers of statm are pages: size, resident, and of that file and shmem."""
    expected = Statm(28739 * PAGE, 27778 * PAGE, 1462 * PAGE)
    assert parse_statm(b"28739 27778 1462 1 0 26800 0\n") == expected
    assert parse_statm(b"0 0 0 0 0 0 0\n") == Statm(0, 0, 0)


@pytest.mark.pure
def test_rollup() -> None:
    """A roll-up counts KiB; the parts are those of PSS."""
    sizes = (1736, 427, 100, 315, 12, 8, 4, 20)
    assert parse_rollup(ROLLUP) == Rollup(*(size * KIB for size in sizes))


@pytest.mark.pure
def test_rollup_before_linux_5_3() -> None:
    """Parts that the kernel does not tell are unknown, not 0."""
    old = b"".join(line for line in ROLLUP.splitlines(True) if b"Pss_" not in line)
    rollup = parse_rollup(old)
    assert rollup is not None
    assert (rollup.pss, rollup.anon, rollup.file, rollup.shmem) == (427 * KIB, None, None, None)


@pytest.mark.pure
@pytest.mark.parametrize("text", [b"", b"00-00 ---p 00000000 00:00 0 [rollup]\n"])
def test_rollup_of_nothing(text: bytes) -> None:
    """A zombie has nothing to roll up."""
    assert parse_rollup(text) is None


@pytest.mark.pure
def test_swapped() -> None:
    """VmSwap counts KiB; a zombie has no such line, and a name cannot fake one."""
    assert parse_swapped(b"Name:\tx\nVmSwap:\t      12 kB\nThreads:\t1\n") == 12 * KIB
    assert parse_swapped(b"Name:\tVmSwap:99\nThreads:\t1\n") == 0


@pytest.mark.pure
def test_gone_is_none(tmp_path: Path) -> None:
    """Nothing is known of a process that does not exist."""
    proc = Proc(str(tmp_path))
    assert proc.statm(7) is None
    assert proc.stat(7) is None
    assert proc.rollup(7) is None
    assert proc.children(7) is None
    assert proc.threads(7) == []
    assert proc.living_thread(7) is None
    assert proc.swapped(7) == 0
    assert not proc.lists_children()


@pytest.mark.pure
def test_children_of_all_threads(tmp_path: Path) -> None:
    """A thread's children are its process's; children beyond one read are not lost."""
    mock = MockProc(tmp_path)
    mock.process(10)
    mock.thread(10, 11)
    mock.children(10, *range(1000, 9000))
    mock.children(10, 20, 21, thread=11)
    assert sorted(mock.proc.children(10) or ()) == [20, 21, *range(1000, 9000)]


@pytest.mark.pure
@pytest.mark.parametrize("name", ["foo) Z ", ") R 1 1", "((", "a\nb", "{0}%s[bold]"])
def test_hostile_names(tmp_path: Path, name: str) -> None:
    """A process's name cannot pass for its state or start."""
    mock = MockProc(tmp_path)
    mock.process(10, start=4711, state="S", name=name)
    stat = mock.proc.stat(10)
    assert stat is not None
    assert (stat.name, stat.state, stat.start) == (name, "S", 4711)


@pytest.mark.pure
def test_newest(tmp_path: Path) -> None:
    """The last pid given out is the last word of loadavg."""
    mock = MockProc(tmp_path)
    mock.newest(32000)
    assert mock.proc.newest() == b"32000\n"


@pytest.mark.pure
def test_has_swap(tmp_path: Path) -> None:
    """A machine has swap when /proc/swaps lists one."""
    mock = MockProc(tmp_path)
    assert not mock.proc.has_swap()
    mock.swap()
    assert mock.proc.has_swap()


def test_the_real_kernel() -> None:
    """This very process is where the numbers say it is."""
    proc, own = Proc(), os.getpid()
    ballast = bytearray(b"\xa5") * (20 * MIB)
    statm, rollup, stat = proc.statm(own), proc.rollup(own), proc.stat(own)
    assert statm is not None
    assert rollup is not None
    assert stat is not None
    assert statm.size > statm.resident > len(ballast)
    assert (rollup.anon or 0) >= len(ballast)
    assert rollup.pss <= rollup.rss
    assert stat.parent == os.getppid()
    assert own in proc.threads(own)
    assert proc.rolls_up()


def test_memory_of_a_process_without_its_first_thread() -> None:
    """A program that ends its first thread is a zombie by state, and lives in another thread."""
    program = """
import ctypes, threading, time
ballast = bytearray(b"x") * (20 << 20)
def live():
    while open(f"/proc/{os.getpid()}/stat").read().rpartition(") ")[2][0] != "Z":
        time.sleep(0.001)
    print("ready", flush=True)
    time.sleep(60)
import os
threading.Thread(target=live).start()
ctypes.CDLL(None).syscall(60, 0)  # exit(2): this thread alone
"""
    if os.uname().machine != "x86_64":
        pytest.skip("the number of exit(2) is that of x86-64")
    with running([sys.executable, "-c", program]) as victim:
        victim.wait_start("ready")
        proc = Proc()
        stat = proc.stat(victim.pid)
        assert stat is not None
        assert stat.state == "Z"
        thread = proc.living_thread(victim.pid)
        assert thread not in (None, victim.pid)
        statm = proc.statm(thread or 0)
        assert statm is not None
        assert statm.resident > 20 * MIB
