"""Workloads that only look as if they were over their limit: never signalled."""

import os

import pytest

from tests.kernel.guarded import forget, run, victim_words

LIMIT = ["--limit", "64M"]
FOUR_TIMES = "256M"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file of four times the limit on the scratch disk, made outside of any leaf."""
    disk = os.environ.get("SENTINEL_SCRATCH") or str(tmp_path_factory.mktemp("disk"))
    path = os.path.join(disk, "four-times")
    block = os.urandom(1 << 20)
    with open(path, "wb") as stream:
        stream.writelines([block] * 256)
        os.fsync(stream.fileno())
    return path


def innocent(file: str) -> dict[str, list[str]]:
    """The workloads by name; each takes a second, and longer until it has pressed."""
    size, least = f"size={FOUR_TIMES}", "least=96M"
    seconds = "seconds=1"
    return {
        "read": victim_words("read", f"file={file}", size, least, seconds),
        "copy": victim_words("copy", f"file={file}", f"to={file}.copy", size, least, seconds),
        "mmap sequential": victim_words(
            "mmap", f"file={file}", size, "order=sequential", least, seconds
        ),
        "mmap random": victim_words(
            "mmap", f"file={file}", size, "order=random", "advice=random", least, seconds
        ),
        "mmap dirty": victim_words("mmap", f"file={file}.copy", size, "dirty=1", least, seconds),
        "MADV_FREE": victim_words("lazyfree", "block=40M", least, seconds),
        "anon at 95%": victim_words(
            "anonread", "anon=60800K", f"file={file}", size, least, seconds
        ),
    }


@pytest.mark.parametrize("workload", list(innocent("")))
def test_reclaimable_memory_is_never_signalled(workload: str, file: str, tmp_path: object) -> None:
    """Page cache, freed pages and a full working set touch the wire, and end by themselves."""
    forget(file)
    if os.path.exists(f"{file}.copy"):
        forget(f"{file}.copy")
    ended = run(LIMIT, innocent(file)[workload], f"{tmp_path}/outcome")
    assert (ended.verdict, ended.status) == ("exited", 0), ended
    assert not ended.asked
    assert ended.leaves == []
    assert ended.document["survivors_killed"] == 0
    high = ended.document["evidence"]["high_events"]
    assert high["counted"] > 0
    assert 0 < high["ignored"] <= high["counted"]


@pytest.mark.kernels("6.1")
def test_counting_the_total_makes_a_file_reader_guilty(file: str, tmp_path: object) -> None:
    """`--count total` compares memory.current: page cache is over the limit, too."""
    forget(file)
    ended = run([*LIMIT, "--count", "total"], innocent(file)["read"], f"{tmp_path}/outcome")
    assert ended.verdict == "soft-limit"
    assert ended.status == 124


@pytest.mark.kernels("6.1")
def test_counting_anon_alone_lets_shared_memory_pass(tmp_path: object) -> None:
    """`--count anon`: tmpfs beyond the limit is neither signalled nor braked for ever."""
    words = victim_words("tmpfs", "dir=/dev/shm", "max=80M", "rate=80M", "seconds=200")
    ended = run([*LIMIT, "--count", "anon"], words, f"{tmp_path}/outcome")
    assert (ended.verdict, ended.status) == ("exited", 0), ended
    assert not ended.asked
    assert ended.document["peak"]["current"] >= 80 << 20
