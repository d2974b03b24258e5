"""The victims do what they say: a suite that guards against them must be able to trust them."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.victims.build import python_leaker, victim
from tests.victims.running import running, wait_until

pytestmark = pytest.mark.native
CANNOT = 77

ENDING = {
    "leak": "leak max=20M rate=80M",
    "leak-steady": "leak max=2M rate=80M chunk=32K steady=1",
    "leak-threads": "leak max=20M threads=3",
    "hold": "hold seconds=1",
    "brim": "brim limit=24M seconds=1",
    "read": "read file={dir}/data size=8M least=8M seconds=1",
    "copy": "copy file={dir}/data to={dir}/copy size=8M seconds=1",
    "mmap": "mmap file={dir}/data size=8M seconds=1 advice=willneed",
    "mmap-random": "mmap file={dir}/data size=8M order=random dirty=1 seconds=1",
    "lazyfree": "lazyfree block=4M max=16M seconds=1",
    "anonread": "anonread anon=8M file={dir}/data size=8M seconds=1",
    "names": "names dir={dir} seconds=1",
    "names-made": "names dir={dir} make=1 seconds=1",
    "tmpfs": "tmpfs max=8M rate=80M",
    "sockets": "sockets max=8M",
    "pipes": "pipes max=8M",
    "forks": "forks count=30 size=64K seconds=1",
    "churn": "churn width=2 seconds=1",
    "daemon": "daemon pidfile={dir}/pid seconds=1",
    "stopped": "stopped count=2 seconds=1",
    "stubborn": "stubborn count=2 seconds=1",
    "workers": "workers size=8M own=1M seconds=1",
    "signals": "signals seconds=1",
}


def c_victim(*words: str) -> list[str]:
    """Argv of a C victim."""
    return [victim(), *words]


def status_of(pid: int) -> dict[str, str]:
    """/proc/PID/status as a dictionary; empty when there is no such process."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return {}
    return {key: value.strip() for key, value in (line.split(":", 1) for line in text.splitlines())}


def children_of(pid: int) -> list[int]:
    """Children of the main thread of `pid`."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def proportional(pid: int) -> int:
    """PSS of `pid` in bytes."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as lines:
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))


@pytest.fixture(scope="module")
def endings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[int, list[str]]]]:
    """Every ending victim's exit status and words of its lines; all run at the same time."""
    folder = tmp_path_factory.mktemp("victims")
    started = {
        name: subprocess.Popen(
            c_victim(*words.format(dir=folder).split()), stdout=subprocess.PIPE, text=True
        )
        for name, words in ENDING.items()
    }
    try:
        outputs = {name: process.communicate(timeout=120)[0] for name, process in started.items()}
        yield {
            name: (process.returncode, [line.split()[0] for line in outputs[name].splitlines()])
            for name, process in started.items()
        }
    finally:
        for process in started.values():
            process.kill()
            process.wait()
    assert sorted(os.listdir(folder)) == ["data", "pid"]


@pytest.mark.parametrize("name", ENDING)
def test_ends_by_itself(endings: dict[str, tuple[int, list[str]]], name: str) -> None:
    """A victim says ready and done and exits 0 within its own bounds, leaving no files."""
    status, words = endings[name]
    assert status == 0
    assert words[-1] == "done"
    assert "ready" in words


@pytest.mark.parametrize("during", ["leak", "stop"])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("twin", ["c", "python"])
def test_handler_writes_checkpoint(tmp_path: Path, twin: str, threads: int, during: str) -> None:
    """On SIGTERM the handler allocates, writes exactly that much, and exits 0."""
    argv = c_victim("leak") if twin == "c" else python_leaker()
    path = tmp_path / "checkpoint"
    words = [f"threads={threads}", f"during={during}", f"checkpoint={path}", "handler=4M"]
    with running([*argv, "rate=10M", *words]) as leak:
        leak.wait_line("ready")
        leak.process.send_signal(signal.SIGTERM)
        assert leak.wait_end() == 0
    said = [line.split()[0] for line in leak.lines]
    assert said == ["ready", "handler", "handler-allocated", "checkpoint"]
    assert path.stat().st_size == 4 << 20
    assert os.listdir(tmp_path) == ["checkpoint"]


@pytest.mark.parametrize("twin", ["c", "python"])
def test_ignores_sigterm(twin: str) -> None:
    """With term=ignore SIGTERM changes nothing: it leaks to its maximum."""
    argv = c_victim("leak") if twin == "c" else python_leaker()
    with running([*argv, "term=ignore", "rate=20M", "max=4M"]) as leak:
        leak.wait_line("ready")
        leak.process.send_signal(signal.SIGTERM)
        assert leak.wait_end() == 0
    assert leak.lines[-1].startswith("done ")


def test_hold_is_resident() -> None:
    """What `hold` says it holds is resident, and not much more."""
    with running(c_victim("hold", "size=32M")) as hold:
        hold.wait_line("ready")
        anonymous = int(status_of(hold.pid)["RssAnon"].split()[0]) << 10
    assert 31 << 20 < anonymous < 33 << 20


def test_daemon_is_nobodys_child(tmp_path: Path) -> None:
    """The daemon lives in a session of its own with a parent that is not ours."""
    pidfile = tmp_path / "pid"
    with running(c_victim("daemon", f"pidfile={pidfile}", "then=exit", "seconds=60")) as main:
        assert main.wait_end() == 0
    wait_until("the daemon's pid", pidfile.exists)
    daemon = int(pidfile.read_text())
    try:
        assert os.getsid(daemon) not in (os.getsid(0), daemon)
        assert status_of(daemon)["PPid"] != str(main.pid)
    finally:
        os.kill(daemon, signal.SIGKILL)


def test_children_are_stopped() -> None:
    """Ready means that every child has stopped itself."""
    with running(c_victim("stopped", "count=3", "seconds=60")) as main:
        main.wait_line("ready")
        children = children_of(main.pid)
        states = [status_of(child)["State"] for child in children]
        for child in children:
            os.kill(child, signal.SIGKILL)
    assert states == ["T (stopped)"] * 3


def test_workers_share_their_memory() -> None:
    """The sum of resident sets is several times what the family really has."""
    with running(c_victim("workers", "count=3", "size=32M", "seconds=60")) as main:
        main.wait_line("ready")
        family = [main.pid, *children_of(main.pid)]
        resident = sum(int(status_of(pid)["RssAnon"].split()[0]) << 10 for pid in family)
        shared = sum(proportional(pid) for pid in family)
        for pid in family[1:]:
            os.kill(pid, signal.SIGKILL)
    assert len(family) == 4
    assert resident > 120 << 20
    assert shared < 40 << 20


def test_signals_name_their_sender() -> None:
    """Each signal is one line with its count, code and sender, and the last one ends it."""
    with running(c_victim("signals", "last=USR2", "seconds=60")) as recorder:
        recorder.wait_line("ready")
        sent = [signal.SIGTERM, signal.SIGTSTP, signal.SIGTERM, signal.SIGUSR2]
        for number in sent:
            before = len(recorder.lines)
            recorder.process.send_signal(number)
            while len(recorder.lines) == before and recorder.read(60.0):
                pass
        assert recorder.wait_end() == 0
    words = [line.split(" t_us=")[0] for line in recorder.lines[1:]]
    me = f"code=0 pid={os.getpid()} uid={os.getuid()}"
    assert words == [
        f"signal number=15 name=TERM count=1 {me}",
        f"signal number=20 name=TSTP count=1 {me}",
        f"signal number=15 name=TERM count=2 {me}",
        f"signal number=12 name=USR2 count=1 {me}",
        "done",
    ]


def test_state_is_byte_exact(tmp_path: Path) -> None:
    """argv, environment, descriptors, masks, umask and limits are printed as they arrived."""

    def prepare() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        os.umask(0o027)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    argv = [victim().encode(), b"state", b"\xff=\x01", b"", b"two words"]
    with open(tmp_path / "open", "wb") as kept:
        result = subprocess.run(
            argv,
            env={b"A": b"\xfe\x80", b"B": b""},
            stdout=subprocess.PIPE,
            pass_fds=[kept.fileno()],
            preexec_fn=prepare,
            cwd=tmp_path,
            timeout=120,
            check=True,
        )
        state = json.loads(result.stdout)
        assert bytes.fromhex(state["fds"][str(kept.fileno())]["target"]) == os.fsencode(kept.name)
        assert set(state["fds"]) == {"0", "1", "2", str(kept.fileno())}
    assert bytes.fromhex(state["argv"]) == b"\0".join(argv) + b"\0"
    assert bytes.fromhex(state["environ"]) == b"A=\xfe\x80\0B=\0"
    assert bytes.fromhex(state["cwd"]) == os.fsencode(tmp_path)
    assert int(state["SigIgn"], 16) >> (signal.SIGHUP - 1) & 1 == 1
    assert int(state["SigBlk"], 16) == 1 << (signal.SIGUSR1 - 1)
    assert state["Umask"] == "0027"
    assert state["rlimits"][resource.RLIMIT_CORE] == [0, 0]


@pytest.mark.parametrize(
    ("words", "status", "line"),
    [
        ("leak nonsense=1", 2, "nonsense=1: this mode has no such option; victim alone lists them"),
        ("leak max=-5", 2, "max=-5 is not a size: give bytes, or a number with K, M or G"),
        ("hold seconds=0", 2, "seconds=0 is not between 1 and 600"),
        ("hold size=9M max=8M", 2, "size is larger than max=8388608"),
        ("hold max=8000G", CANNOT, "max=8589934592000 is over 3/4 of what is free here"),
    ],
)
def test_refuses_what_has_no_bounds(words: str, status: int, line: str) -> None:
    """A victim that could not keep its bounds does not start."""
    result = subprocess.run(
        c_victim(*words.split()), capture_output=True, text=True, timeout=120, check=False
    )
    assert (result.returncode, result.stdout) == (status, "")
    assert result.stderr == f"victim: {line}\n"
