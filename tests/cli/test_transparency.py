"""Streams and descriptors: the command has those that Sentinel was given, and no other."""

from __future__ import annotations

import fcntl
import os
import random
import resource
import subprocess
from itertools import combinations
from pathlib import Path

import pytest

from tests.cli.pairs import GUARDED, LIMIT, alike, parse_state, run, state
from tests.cli.terminal import ENVIRONMENT, SENTINEL
from tests.victims.build import victim

MIB = random.Random(1).randbytes(1 << 20)
LOUD = [SENTINEL, "exec", "--"]


@pytest.mark.parametrize("stdin", ["pipe", "file", "empty"])
def test_a_mebibyte_passes_both_ways(stdin: str, tmp_path: Path) -> None:
    """Byte for byte, from whatever standard input is."""
    (tmp_path / "in").write_bytes(MIB)
    if stdin == "pipe":
        assert run([*GUARDED, "cat"], input=MIB) == (0, MIB, b"")
    elif stdin == "file":
        with open(tmp_path / "in", "rb") as file:
            assert run([*GUARDED, "cat"], stdin=file) == (0, MIB, b"")
    else:
        assert alike(["cat"], stdin=subprocess.DEVNULL) == (0, b"", b"")


def test_a_reader_that_has_enough_ends_the_writer() -> None:
    """`yes | head -1` under pipefail: SIGPIPE, though Python ignores it for itself."""

    def line(guard: str) -> bytes:
        script = f"set -o pipefail; {guard} yes | head -1; echo $? ${{PIPESTATUS[@]}}"
        return run(["bash", "-c", script]).stdout

    assert line(" ".join(GUARDED)) == line("") == b"y\n141 141 0\n"


def test_what_the_command_did_not_read_is_left_for_the_next() -> None:
    """The offset of a shared file is where the command left it."""
    script = "$S sh -c 'read -r line; echo got $line'; cat"
    for guard in ("", " ".join(GUARDED)):
        done = run(["sh", "-c", script], input=b"one\ntwo\n", env={**ENVIRONMENT, "S": guard})
        assert done.stdout == b"got one\ntwo\n"


def test_a_full_disk_is_the_commands_to_report() -> None:
    """Its write fails as it does without Sentinel."""
    with open("/dev/full", "wb") as full:
        done = alike(["sh", "-c", "echo lost"], stdout=full, capture_output=False)
    assert done.status == 1


SUBSETS = [closed for count in (1, 2, 3) for closed in combinations(range(3), count)]


@pytest.mark.parametrize("closed", SUBSETS, ids=str)
def test_closed_streams_stay_closed(closed: tuple[int, ...], tmp_path: Path) -> None:
    """Each and all of them: nothing of Sentinel's stands in their place."""

    def prepare() -> None:
        for fd in closed:
            os.close(fd)

    found = {}
    for name, guard in (("plain", []), ("guarded", GUARDED), ("loud", LOUD)):
        target = tmp_path / name
        done = run([*guard, victim(), "state", f"to={target}"], preexec_fn=prepare)
        assert done.status == 0
        found[name] = parse_state(target.read_bytes())["fds"]
    assert found["plain"] == found["guarded"] == found["loud"]
    assert set(found["plain"]) == {"0", "1", "2"} - {str(fd) for fd in closed}


def test_inherited_descriptors_arrive(tmp_path: Path) -> None:
    """A file with its offset, a pipe, numbers that Sentinel might want itself; nothing more."""
    (tmp_path / "file").write_text("0123456789")
    file = os.open(tmp_path / "file", os.O_RDWR | os.O_APPEND)
    reading, writing = os.pipe()
    fcntl.fcntl(reading, fcntl.F_SETFL, os.O_NONBLOCK)
    wanted = {3: file, 4: reading, 5: writing, 6: file, 9: file, 40: writing, 200: file}

    def prepare() -> None:
        spare = {number: fcntl.fcntl(fd, fcntl.F_DUPFD, 300) for number, fd in wanted.items()}
        for number, fd in spare.items():
            os.dup2(fd, number)
        os.closerange(300, 400)

    os.lseek(file, 4, os.SEEK_SET)
    try:
        found = state(prepare, close_fds=False)
        assert os.lseek(file, 0, os.SEEK_CUR) == 4
        done = run([*GUARDED, "sh", "-c", "cat <&9"], preexec_fn=prepare, close_fds=False)
        assert os.lseek(file, 0, os.SEEK_CUR) == 10
    finally:
        for fd in (file, reading, writing):
            os.close(fd)
    assert {3, 4, 5, 6, 9, 40, 200} <= {int(number) for number in found["fds"]}
    assert done.stdout == b"456789"
    assert found["fds"]["4"]["flags"] & os.O_NONBLOCK


def test_what_is_written_to_an_inherited_descriptor_arrives(tmp_path: Path) -> None:
    """The shell's `3>file` and `9<&0`."""
    script = "$S sh -c 'cat <&9 >&3' 9<&0 3>$OUT"
    for guard in ("", " ".join(GUARDED)):
        out = tmp_path / f"out{len(guard)}"
        env = {**ENVIRONMENT, "S": guard, "OUT": str(out)}
        assert run(["sh", "-c", script], input=MIB, env=env) == (0, b"", b"")
        assert out.read_bytes() == MIB


def test_the_streams_of_the_caller_are_left_as_they_were() -> None:
    """Open file descriptions are shared: Sentinel changes no flag of them."""
    reading, writing = os.pipe()
    try:
        before = [fcntl.fcntl(fd, fcntl.F_GETFL) for fd in (reading, writing)]
        streams = {"stdin": reading, "stderr": writing, "stdout": writing}
        assert run([*LOUD, "true"], capture_output=False, **streams).status == 0
        assert [fcntl.fcntl(fd, fcntl.F_GETFL) for fd in (reading, writing)] == before
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize("most", range(10, 17))
def test_a_guard_without_descriptors_lets_its_command_live(most: int) -> None:
    """What it cannot open any more costs observers, not the run."""

    def prepare() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    argv = [SENTINEL, "exec", "--backend", "rss", "--", "sh", "-c", "sleep 0.3; echo lived"]
    done = run(argv, preexec_fn=prepare)
    assert (done.status, done.stdout) == (0, b"lived\n"), done.stderr


def test_a_daemon_of_the_caller_is_not_the_runs() -> None:
    """`daemon & exec sentinel ...`: a child that Sentinel inherits is nobody that it guards."""
    script = "sleep 60 & echo $!; exec $S sh -c 'sleep 0.3; exit 4'"
    for guard in ("", " ".join(GUARDED)):
        env = {**ENVIRONMENT, "S": guard}
        with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, env=env) as process:
            assert process.stdout is not None
            daemon = int(process.stdout.readline())
            try:
                assert process.wait(LIMIT) == 4
                os.kill(daemon, 0)
            finally:
                os.kill(daemon, 9)
