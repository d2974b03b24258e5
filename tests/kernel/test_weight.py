"""The guard's own weight: it sleeps when nothing happens, and it is small."""

import os
import time

import pytest

from tests.kernel.guarded import ended_at_last, guard, read, victim_words, wait_for

LIMIT = ["--limit", "64M"]
IDLE = 60.0


def switches(pid: int) -> int:
    """Voluntary and involuntary context switches of all threads of `pid`."""
    return sum(
        int(line.split()[1])
        for thread in os.listdir(f"/proc/{pid}/task")
        for line in read(f"/proc/{pid}/task/{thread}/status").splitlines()
        if "ctxt_switches" in line
    )


def resident_share(pid: int) -> int:
    """PSS of `pid`, bytes."""
    for line in read(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) << 10
    raise AssertionError("no Pss")


def settled(pid: int) -> bool:
    """Whether `pid` has not been switched for a second."""
    before = switches(pid)
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        time.sleep(0.1)
        if switches(pid) != before:
            return False
    return True


@pytest.mark.kernels("6.1")
@pytest.mark.limit(600)
def test_an_idle_guard_does_not_wake_for_a_minute(tmp_path: object) -> None:
    """With the command idle and nobody looking, no thread of Sentinel is switched in 60 s."""
    del tmp_path
    with ended_at_last(guard(LIMIT, victim_words("hold", "size=8M", "seconds=500"))) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready")
        wait_for(lambda: settled(process.pid), "a quiet guard")
        before = switches(process.pid)
        end = time.monotonic() + IDLE
        while time.monotonic() < end:
            time.sleep(1.0)
        assert switches(process.pid) == before
        process.kill()


def test_a_guard_fits_in_25_mib() -> None:
    """PSS while guarding, after the late imports."""
    with ended_at_last(guard(LIMIT, victim_words("hold", "size=8M", "seconds=200"))) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready")
        wait_for(lambda: settled(process.pid), "a quiet guard")
        assert resident_share(process.pid) <= 25 << 20
        process.kill()
