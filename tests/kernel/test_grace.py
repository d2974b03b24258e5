"""The grace is worth something: handlers that need memory finish their checkpoint."""

import os
import sys

import pytest

from tests.kernel.guarded import run, victim_words
from tests.victims import pyleak

LIMIT = ["--limit", "64M"]
HANDLER = "handler=32M"


def leaking(language: str, checkpoint: str) -> list[str]:
    """A leak whose handler allocates 32 MiB and writes them out."""
    words = ["rate=0", "max=120M", HANDLER, f"checkpoint={checkpoint}"]
    if language == "C":
        return victim_words("leak", *words)
    return [sys.executable, "-I", pyleak.__file__, *words]


@pytest.mark.kernels("6.1")
@pytest.mark.parametrize("attempt", range(10))
@pytest.mark.parametrize("language", ["C", "Python"])
def test_a_checkpoint_of_half_the_limit_is_finished(
    language: str, attempt: int, scratch: str, tmp_path: object
) -> None:
    """Ten times out of ten, inside the default grace of 3 s, in both languages."""
    checkpoint = f"{scratch}/checkpoint-{attempt}"
    ended = run(LIMIT, leaking(language, checkpoint), f"{tmp_path}/outcome")
    assert ended.verdict == "soft-limit", ended
    assert ended.document["survivors_killed"] == 0
    assert ended.document["command_status"] == {"exited": 0}
    assert os.path.getsize(checkpoint) == 32 << 20
    os.unlink(checkpoint)


@pytest.mark.kernels("6.12")
@pytest.mark.parametrize("language", ["C", "Python"])
def test_a_checkpoint_is_finished_on_many_cpus(
    language: str, scratch: str, tmp_path: object
) -> None:
    """The same once on SMP; the emulated CPU gets a longer grace."""
    checkpoint = f"{scratch}/checkpoint"
    ended = run([*LIMIT, "--grace", "20s"], leaking(language, checkpoint), f"{tmp_path}/outcome")
    assert ended.verdict == "soft-limit", ended
    assert os.path.getsize(checkpoint) == 32 << 20


@pytest.mark.kernels("6.1")
@pytest.mark.parametrize("attempt", range(10))
def test_a_timeout_at_the_limit_leaves_room_for_the_checkpoint(
    attempt: int, scratch: str, tmp_path: object
) -> None:
    """A command that sits at its limit when its time is over is not braked while it saves."""
    checkpoint = f"{scratch}/timeout-{attempt}"
    words = victim_words("brim", "limit=64M", HANDLER, f"checkpoint={checkpoint}")
    ended = run([*LIMIT, "--timeout", "1s"], words, f"{tmp_path}/outcome")
    assert (ended.verdict, ended.status) == ("timeout", 124), ended
    assert os.path.getsize(checkpoint) == 32 << 20
    os.unlink(checkpoint)


def test_who_ignores_sigterm_is_killed_after_the_grace(tmp_path: object) -> None:
    """TERM ignored: cgroup.kill after the grace, and the verdict says so."""
    words = victim_words("leak", "rate=80M", "max=100M", "term=ignore")
    ended = run([*LIMIT, "--grace", "500ms"], words, f"{tmp_path}/outcome")
    assert (ended.verdict, ended.status) == ("soft-limit-killed", 124)
    assert ended.document["command_status"] == {"signalled": 9}
    assert ended.document["survivors_killed"] == 1
    assert ended.document["evidence"]["grace"]["used"] >= 0.5


def test_no_grace_at_all(tmp_path: object) -> None:
    """`--grace 0` kills right after the signal."""
    words = victim_words("leak", "rate=80M", "max=100M", "term=ignore")
    ended = run([*LIMIT, "--grace", "0"], words, f"{tmp_path}/outcome")
    assert (ended.verdict, ended.status) == ("soft-limit-killed", 124)


def test_running_out_of_head_room_during_the_grace_is_told(tmp_path: object) -> None:
    """A leak that goes on in other threads hits the wall: hard-limit, and the line says when."""
    words = victim_words("leak", "threads=3", "during=leak", "rate=0", "max=250M", HANDLER)
    words.append(f"checkpoint={tmp_path}/never")
    ended = run([*LIMIT, "--hard-limit", "80M"], words, f"{tmp_path}/outcome")
    assert (ended.verdict, ended.status) == ("hard-limit", 124), ended
    assert "grace" in ended.stderr
    assert ended.leaves == []


def test_patience_waits_and_lifts_the_wire(tmp_path: object) -> None:
    """`--for`: over the limit for shorter than that is forgiven, and nobody is braked meanwhile."""
    words = victim_words("hold", "size=80M", "max=120M", "seconds=3")
    ended = run([*LIMIT, "--for", "20s"], words, f"{tmp_path}/outcome")
    assert (ended.verdict, ended.status) == ("exited", 0), ended
    assert ended.moment("soft crossed") is not None
    assert not ended.asked


def test_patience_ends(tmp_path: object) -> None:
    """`--for`: over the limit for longer is a soft-limit like any other."""
    words = victim_words("hold", "size=80M", "max=120M", "seconds=20")
    ended = run([*LIMIT, "--for", "1s"], words, f"{tmp_path}/outcome")
    assert (ended.verdict, ended.status) == ("soft-limit", 124), ended
    crossed, asked = ended.moment("soft crossed"), ended.moment("asked to stop")
    assert crossed is not None
    assert asked is not None
    assert asked["at"] - crossed["at"] >= 1.0
