"""The kernel has what Sentinel and the other kernel tests rely on."""

import fcntl
import mmap
import os
import signal
import stat
from collections.abc import Callable

import pytest

from tests.kernel.cgroupfs import await_empty, counters, read, write
from tests.lab import capability

MIB = 1 << 20


def in_leaf(leaf: str, work: Callable[[], None]) -> int:
    """Run `work` in a child that is born in `leaf`; return the wait status."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            write(leaf, "cgroup.procs", "0")
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(pid, 0)[1]


def test_a_leaf_has_the_files_that_the_cgroup_backend_uses(leaf: str) -> None:
    """A child of an enabled cgroup has the memory controller's and the kill files."""
    files = set(os.listdir(leaf))
    assert {
        "cgroup.events",
        "cgroup.freeze",
        "cgroup.kill",
        "cpu.stat",
        "memory.current",
        "memory.events",
        "memory.events.local",
        "memory.high",
        "memory.max",
        "memory.oom.group",
        "memory.peak",
        "memory.stat",
        "pids.max",
    } <= files
    assert read(leaf, "memory.high") == "max"
    assert counters(leaf, "memory.events.local")["high"] == 0


def test_an_empty_leaf_says_so(leaf: str) -> None:
    """A leaf is populated exactly while a process lives in it."""
    assert "populated 0" in read(leaf, "cgroup.events")
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(0)
    write(leaf, "cgroup.procs", str(pid))
    assert "populated 1" in read(leaf, "cgroup.events")
    write(leaf, "cgroup.kill", "1")
    await_empty(leaf)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def test_crossing_memory_high_counts_in_the_leaf_itself(leaf: str) -> None:
    """Anonymous memory just over memory.high makes `high` events in the leaf's local file."""
    write(leaf, "memory.high", str(8 * MIB))

    def grow() -> None:
        with mmap.mmap(-1, 8 * MIB + MIB // 8) as memory:
            for page in range(0, len(memory), mmap.PAGESIZE):
                memory[page] = 1

    assert in_leaf(leaf, grow) == 0
    assert counters(leaf, "memory.events.local")["high"] > 0
    assert counters(leaf, "memory.events.local")["oom_kill"] == 0


def test_a_lock_on_a_leaf_lasts_as_long_as_its_holder(leaf: str) -> None:
    """Flock on a cgroup directory shuts a second opener out, and the holder's death frees it."""
    ready, tell = os.pipe()
    holder = os.fork()
    if holder == 0:
        fcntl.flock(os.open(leaf, os.O_RDONLY | os.O_DIRECTORY), fcntl.LOCK_EX)
        os.write(tell, b".")
        signal.pause()
        os._exit(0)
    second = os.open(leaf, os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert os.read(ready, 1) == b"."
        with pytest.raises(BlockingIOError):
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.kill(holder, signal.SIGKILL)
        os.waitpid(holder, 0)
        fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        for descriptor in (ready, tell, second):
            os.close(descriptor)


def test_page_cache_of_the_scratch_disk_is_charged_to_the_writer(leaf: str, scratch: str) -> None:
    """Writing a file charges file pages, not shared memory, to the writer's leaf."""

    def fill() -> None:
        with open(os.path.join(scratch, "file"), "wb") as file:
            file.writelines(bytes(MIB) for _ in range(16))

    assert in_leaf(leaf, fill) == 0
    read(leaf, "cpu.stat")  # flushes memory.stat
    found = counters(leaf, "memory.stat")
    assert 16 * MIB - MIB // 2 <= found["file"] <= 17 * MIB
    assert found["shmem"] == 0


@pytest.mark.lab
def test_the_scratch_disk_is_a_block_device_of_its_own() -> None:
    """In the lab, SENTINEL_SCRATCH is a mounted disk, not part of the host's shared root."""
    disk = os.environ["SENTINEL_SCRATCH"]
    assert os.path.ismount(disk)
    device = os.stat(disk).st_dev
    assert os.path.exists(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
    assert os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize > 1024 * MIB


@pytest.mark.lab
def test_the_guest_cannot_write_to_the_host() -> None:
    """In the lab, the host's files are read-only and /tmp is the guest's own."""
    with pytest.raises(OSError, match="Read-only file system"):
        os.mkdir(os.path.join(os.path.dirname(__file__), "litter"))
    assert stat.S_IMODE(os.stat("/tmp").st_mode) == 0o1777
    assert os.stat("/tmp").st_dev != os.stat("/").st_dev


@pytest.mark.lab
@pytest.mark.kernels("6.12")
def test_the_6_12_kernel_is_the_whole_kernel(leaf: str) -> None:
    """6.12 has two CPUs and pressure stall information."""
    assert os.cpu_count() == 2
    assert read(leaf, "memory.pressure").startswith("some avg10=0.00")


@pytest.mark.lab
@pytest.mark.kernels("6.1")
def test_the_6_1_kernel_is_the_small_kernel(leaf: str) -> None:
    """6.1 has one CPU and no pressure stall information: what must also work without."""
    assert os.cpu_count() == 1
    assert not os.path.exists(os.path.join(leaf, "memory.pressure"))


@pytest.mark.lab
def test_the_lab_says_which_kernel_it_is() -> None:
    """SENTINEL_KERNEL names the release that is running."""
    name = capability.lab_kernel()
    assert name is not None
    assert capability.is_release(os.uname().release, [name])
