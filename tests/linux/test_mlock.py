"""What a guard holds in memory, and what that does not cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from sentinel.linux.mlock import Held, held_in_memory

SENTINEL = os.path.join(os.path.dirname(sys.executable), "sentinel")
SCRIPT = """
import json, os, resource, sys
from sentinel.linux.mlock import held_in_memory, stay_in_memory
limit, uid = map(int, sys.argv[1:])
if limit >= 0: resource.setrlimit(resource.RLIMIT_MEMLOCK, (limit, limit))
if uid and os.geteuid() == 0: os.setuid(uid)
def rss():
    with open("/proc/self/statm") as file: return int(file.read().split()[1]) * 4096
before = rss()
stay_in_memory()
grown = rss() - before
reading, writing = os.pipe()
if os.fork() == 0:
    os.write(writing, str(held_in_memory().locked).encode())
    os._exit(0)
os.wait()
held = held_in_memory()
print(json.dumps([held.swappable, held.locked, int(os.read(reading, 20)), grown]))
"""
NOBODY = 65534
MIB = 1 << 20


def stay(limit: int, uid: int = 0) -> list[int]:
    """Bytes of a process that could be swapped, are locked, are in its child, and were read in."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(limit), str(uid)],
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[int] = json.loads(done.stdout)
    return found


def test_what_may_be_locked_is() -> None:
    """As much as the limit allows, mapping by mapping; no child has it, and nothing is read in."""
    swappable, locked, child, grown = stay(MIB, NOBODY)
    assert 0 < locked <= MIB
    assert locked < swappable
    assert child == 0
    assert grown < MIB


def test_who_may_lock_nothing_goes_on() -> None:
    """RLIMIT_MEMLOCK is 0 in many a container."""
    _, locked, child, _ = stay(0, NOBODY)
    assert (locked, child) == (0, 0)


SMAPS = """\
55d0-55d1 rw-p 00000000 00:00 0 [heap]
Anonymous:            12 kB
VmFlags: rd wr mr mw me lo ac
7f00-7f01 rw-p 00000000 00:00 0
Anonymous:             8 kB
VmFlags: rd wr mr mw me ac
7f02-7f03 r--p 00000000 08:01 9 /lib/some lo
Anonymous:             0 kB
VmFlags: rd mr mw me
"""


def test_what_is_locked_is_read_from_the_kernel(tmp_path: Path) -> None:
    """By the flags of each mapping; a kernel that does not tell leaves it unknown."""
    smaps = tmp_path / "smaps"
    smaps.write_text(SMAPS)
    assert held_in_memory(str(smaps)) == Held(20 << 10, 12 << 10)
    smaps.write_text("")
    assert held_in_memory(str(smaps)) is None
    assert held_in_memory(str(tmp_path / "none")) is None


def test_a_guard_is_locked_and_its_command_is_not() -> None:
    """Soon after the command has started, which inherits nothing of it."""
    field = "grep -h VmLck /proc/{}/status"
    wait = "until " + field.format("$PPID") + " | grep -qv ' 0 kB'; do sleep 0.05; done"
    script = f"{wait}; {field.format('self')}"
    words = [SENTINEL, "exec", "--backend", "rss", "-q", "--limit", "64M", "--timeout", "60"]
    done = subprocess.run([*words, "--", "sh", "-c", script], capture_output=True, check=False)
    assert (done.returncode, done.stdout.split()) == (0, [b"VmLck:", b"0", b"kB"])
