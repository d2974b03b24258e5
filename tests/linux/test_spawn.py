"""The command is born as if Sentinel were not there; what cannot start says why."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.linux.launching import ENVIRONMENT, Launched, launch
from tests.victims.build import victim
from tests.victims.running import wait_until


@pytest.fixture
def sandbox(tmp_path: Path) -> Path:
    """A directory with everything that cannot be executed."""
    (tmp_path / "directory").mkdir()
    (tmp_path / "plain").write_text("#!/bin/sh\n")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    for name, text in {
        "orphan": "#!/no/such/interpreter\n",
        "closed": f"#!{tmp_path}/plain\n",
        "bare": 'echo "bare $0 $1"\n',
        "good": "#!/bin/sh\necho good\n",
    }.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return tmp_path


def refused(argv0: bytes, **how: Any) -> tuple[int, str, str]:
    """Exit status, message and remedy of a command that does not start."""
    (line,) = launch([argv0], **how).lines
    return line["exit_status"], line["error"], line["remedy"]


@pytest.mark.parametrize(
    ("name", "status", "message", "remedy"),
    [
        ("missing", 127, "{}: no such file", "check the spelling or give its path"),
        (
            "plain/x",
            126,
            "{} cannot be executed: Not a directory",
            "run it without sentinel to compare",
        ),
        ("directory", 126, "{} is a directory", "name a program"),
        ("plain", 126, "{} cannot be executed: Permission denied", "chmod +x {}"),
        (
            "closed",
            126,
            "{} cannot be executed: Permission denied",
            "see that its interpreter is executable, and its mount not noexec",
        ),
        (
            "dangling",
            127,
            "{} names an interpreter or link target that does not exist",
            "check its first line",
        ),
        (
            "orphan",
            127,
            "{} names an interpreter or link target that does not exist",
            "check its first line",
        ),
        (
            "loop",
            126,
            "{} cannot be executed: Too many levels of symbolic links",
            "run it without sentinel to compare",
        ),
    ],
)
def test_what_cannot_be_executed(
    sandbox: Path, name: str, status: int, message: str, remedy: str
) -> None:
    """126 when it is there and 127 when it is not, with the reason and the remedy."""
    path = f"{sandbox}/{name}"
    expected = (status, message.format(repr(path)), remedy.format(repr(path)))
    assert refused(os.fsencode(path)) == expected


@pytest.mark.parametrize("name", ["no-such-command-anywhere", "", "orphan"])
def test_not_found_on_path(sandbox: Path, name: str) -> None:
    """A bare name that PATH does not have, or has only without its interpreter, is 127."""
    env = ENVIRONMENT | {"PATH": f"/nowhere:{sandbox}"}
    expected = (127, f"{name!r}: not found on PATH", "check the spelling or give its path")
    assert refused(name.encode(), launcher_env=env) == expected


def test_a_bare_name_says_nothing_about_the_working_directory(sandbox: Path) -> None:
    """A program on PATH without permission is not the directory of the same name here."""
    (sandbox / "elsewhere").mkdir()
    (sandbox / "elsewhere" / "directory").write_text("")
    env = ENVIRONMENT | {"PATH": f"{sandbox}/elsewhere"}
    status, message, remedy = refused(
        b"directory", launcher_env=env, prepare=lambda: os.chdir(sandbox)
    )
    assert (status, message) == (126, "'directory' cannot be executed: Permission denied")
    assert remedy == "chmod +x 'directory'"


@pytest.mark.parametrize("name", [b"a\nb", b"\x1b[31mred", b"\xff\xfe", b"{0}%s[bold]"])
def test_a_name_is_data(tmp_path: Path, name: bytes) -> None:
    """A hostile name makes neither a second line nor a colour of the terminal."""
    path = os.fsencode(tmp_path) + b"/" + name
    Path(os.fsdecode(path)).write_text("")
    status, message, remedy = refused(path)
    assert status == 126
    assert (message + remedy).isprintable()


def test_a_name_in_a_missing_program_is_data() -> None:
    """So does one that is not there."""
    assert refused(b"./\x1b]0;\n") == (
        127,
        repr("./\x1b]0;\n") + ": no such file",
        "check the spelling or give its path",
    )


@pytest.mark.parametrize(
    ("enter", "message", "remedy"),
    [
        ("refused", "cannot write '0' to /a/cgroup.procs: Device or resource busy", "look there"),
        ("broken", "cannot prepare the command: ValueError('of no use')", ""),
    ],
)
def test_what_cannot_be_placed_is_not_started(
    tmp_path: Path, enter: str, message: str, remedy: str
) -> None:
    """125 with the reason, the file and the errno; the command never ran."""
    witness = os.fsencode(tmp_path / "ran")
    (line,) = launch([b"touch", witness], enter=enter).lines
    assert line == {"error": message, "remedy": remedy, "exit_status": 125}
    assert not os.path.exists(witness)


def test_a_reason_longer_than_the_pipe_takes_is_cut() -> None:
    """A path of five thousand characters costs the remedy, not the verdict."""
    (line,) = launch([b"true"], enter="long").lines
    assert line["exit_status"] == 125
    assert line["error"].startswith("cannot write '0' to /xxxx")
    assert line["remedy"] == ""


@pytest.mark.parametrize(
    ("limit", "message", "remedy"),
    [
        (
            resource.RLIMIT_NPROC,
            "cannot start a process: Resource temporarily unavailable",
            "raise ulimit -u or the pids.max of a cgroup above",
        ),
        (resource.RLIMIT_NOFILE, "cannot start a process: Too many open files", "raise ulimit -n"),
    ],
)
@pytest.mark.skipif(os.geteuid() != 0, reason="changes to a user who has no process yet")
def test_out_of_processes_or_descriptors(limit: int, message: str, remedy: str) -> None:
    """Where nothing can be forked the refusal names the limit; it is no traceback."""
    program = (
        "import os, resource, sys\n"
        "from sentinel.linux.signals import SignalDesk\n"
        "from sentinel.linux.spawn import spawn\n"
        "from sentinel.model.errors import StartError\n"
        "from sentinel.model.spec import Command\n"
        "desk = SignalDesk()\n"
        "os.setgid(54321), os.setuid(54321)\n"
        "before = sorted(os.listdir('/proc/self/fd'))\n"
        f"taken = {limit} == resource.RLIMIT_NOFILE\n"
        f"resource.setrlimit({limit}, (len(before) - 1, 100) if taken else (0, 0))\n"
        "try:\n"
        "    spawn(Command((b'true',), ()), lambda: None, desk, 15)\n"
        "except StartError as error:\n"
        "    resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))\n"
        "    print(error.exit_status, error.message, error.remedy, sep='|')\n"
        "    print(sorted(os.listdir('/proc/self/fd')) == before)\n"
    )
    out = _python(program)
    assert out == f"125|{message}|{remedy}\nTrue\n"


def _python(program: str) -> str:
    """Output of a Python program that can import Sentinel."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_script_without_an_interpreter_line_runs_under_sh(sandbox: Path) -> None:
    """As under env(1) and nohup(1)."""
    path = os.fsencode(sandbox / "bare")
    assert launch([path, b"one"]).output == b"bare " + path + b" one\n"


def test_the_search_goes_on_behind_what_may_not_be_executed(sandbox: Path) -> None:
    """Like execvp(3): a file without permission, a directory and a missing entry are passed by."""
    for name in ("first", "second"):
        (sandbox / name).mkdir()
    (sandbox / "first" / "good").write_text("not executable")
    (sandbox / "second" / "good").mkdir()
    path = f"{sandbox}/first:{sandbox}/second:{sandbox}/plain:/nowhere:{sandbox}"
    assert launch([b"good"], launcher_env=ENVIRONMENT | {"PATH": path}).output == b"good\n"


def test_without_path_the_c_librarys_own_is_searched() -> None:
    """An unset PATH finds what is in /bin and /usr/bin."""
    env = {key: value for key, value in ENVIRONMENT.items() if key != "PATH"}
    assert launch([b"true"], launcher_env=env).lines[-1] == {"exited": 0}


def test_an_empty_path_is_the_working_directory(sandbox: Path) -> None:
    """POSIX: a zero-length prefix means the current directory."""
    told = launch(
        [b"good"], launcher_env=ENVIRONMENT | {"PATH": ""}, prepare=lambda: os.chdir(sandbox)
    )
    assert told.output == b"good\n"


def state(
    *argv: bytes, environment: Sequence[bytes] = (), **how: Any
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What a command was born with, and what the launcher told."""
    told = launch([victim().encode(), b"state", *argv], environment, **how)
    return json.loads(told.output), told.lines


def test_argv_and_environment_are_the_same_bytes() -> None:
    """Entries that are doubled, empty, without a name or not text arrive in their order."""
    environment = [
        b"A=1",
        b"",
        b"NOTHING",
        b"=odd",
        b"A=2",
        b"B=\xff\xfe\x01",
        b"LC_CTYPE=",
        b"A=1",
    ]
    argv = [b"", b"\xff", b"two words", b"$(true)", b"-x"]
    found, _ = state(*argv, environment=environment)
    assert bytes.fromhex(found["environ"]) == b"".join(entry + b"\0" for entry in environment)
    words = [victim().encode(), b"state", *argv]
    assert bytes.fromhex(found["argv"]) == b"".join(word + b"\0" for word in words)


def test_no_environment_is_no_environment() -> None:
    """`env -i` means nothing at all, not even what Python adds for itself."""
    found, _ = state()
    assert found["environ"] == ""


def test_inherited_descriptors_reach_the_command_and_none_of_ours_do() -> None:
    """It has its standard streams and what was inherited, nothing of the launcher's."""
    inherited = os.open("/dev/zero", os.O_RDONLY)
    try:
        found, _ = state(inherit=[inherited])
    finally:
        os.close(inherited)
    assert set(found["fds"]) == {"0", "1", "2", str(inherited)}
    assert bytes.fromhex(found["fds"][str(inherited)]["target"]) == b"/dev/zero"


@pytest.mark.parametrize("closed", [[0], [2], [0, 2]])
def test_closed_standard_streams_stay_closed(closed: list[int]) -> None:
    """What the launcher opens for itself in their place does not show in the command."""

    def prepare() -> None:
        for fd in closed:
            os.close(fd)

    found, _ = state(prepare=prepare)
    assert set(found["fds"]) == {str(fd) for fd in (0, 1, 2) if fd not in closed}


def bits(numbers: Sequence[int]) -> str:
    """A signal set as /proc/PID/status writes it."""
    return f"{sum(1 << (number - 1) for number in numbers):016x}"


def signals_of(field: str) -> str:
    """The set in a field of /proc/PID/status without the C library's own signals, 32 and 33.

    Nobody can ask the library for those; make(1) has them ignored in what it starts.
    """
    return f"{int(field, 16) & ~(3 << 31):016x}"


ALL = [number for number in range(1, 65) if number not in (9, 19, 32, 33)]
PYTHONS = (signal.SIGPIPE, signal.SIGXFSZ)


@pytest.mark.parametrize(
    "ignored",
    [
        [],
        [signal.SIGHUP],
        [signal.SIGCHLD],
        [signal.SIGINT, signal.SIGQUIT],
        [signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU],
        [signal.SIGTERM, signal.SIGUSR1, signal.SIGWINCH],
        [number for number in ALL if number not in PYTHONS],
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "blocked", [[], [signal.SIGCHLD], [signal.SIGTERM, signal.SIGTTOU, 40], ALL], ids=str
)
def test_the_signal_state_is_inherited_exactly(ignored: list[int], blocked: list[int]) -> None:
    """Ignored stays ignored, blocked stays blocked, and nothing is caught or pending."""

    def prepare() -> None:
        for number in ALL:
            wanted = signal.SIG_IGN if number in ignored else signal.SIG_DFL
            signal.signal(number, wanted)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    found, lines = state(prepare=prepare)
    assert lines[-1] == {"exited": 0}
    assert signals_of(found["SigIgn"]) == bits(ignored)
    assert signals_of(found["SigBlk"]) == bits(blocked)
    assert (found["SigPnd"], found["ShdPnd"], found["SigCgt"]) == (bits([]),) * 3


def test_sigpipe_and_sigxfsz_are_default_again() -> None:
    """Python ignores them for itself; `yes | head` must end."""
    found, _ = state()
    assert signals_of(found["SigIgn"]) == bits([])


def test_what_was_pending_for_us_is_not_pending_for_the_command() -> None:
    """A TERM and an INT sent before the fork are the launcher's to read, and its alone."""
    found, lines = state(send=[15, 2])
    assert sorted(lines[0]["received"]) == [2, 15]
    assert (found["SigPnd"], found["ShdPnd"]) == (bits([]), bits([]))


def test_the_rest_is_the_callers_too(tmp_path: Path) -> None:
    """Working directory, umask and resource limits are as they were."""

    def prepare() -> None:
        os.chdir(tmp_path)
        os.umask(0o027)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 128))

    found, _ = state(prepare=prepare)
    assert bytes.fromhex(found["cwd"]) == os.fsencode(tmp_path)
    assert found["Umask"] == "0027"
    assert found["rlimits"][resource.RLIMIT_CORE] == [0, 0]
    assert found["rlimits"][resource.RLIMIT_NOFILE] == [64, 128]


@pytest.mark.parametrize(
    ("argv", "status"),
    [
        ([b"sh", b"-c", b"exit 0"], {"exited": 0}),
        ([b"sh", b"-c", b"exit 255"], {"exited": 255}),
        ([b"sh", b"-c", b"kill -KILL $$"], {"signalled": 9}),
        ([b"sh", b"-c", b"kill -TERM $$"], {"signalled": 15}),
        ([b"sh", b"-c", b"ulimit -c 0; kill -QUIT $$"], {"signalled": 3}),
    ],
)
def test_the_status_is_the_commands(argv: list[bytes], status: dict[str, int]) -> None:
    """A code or a signal, never both."""
    assert launch(argv).lines[-1] == status


def test_a_parent_that_ignored_sigchld_still_learns_the_status() -> None:
    """An inherited SIG_IGN would have the kernel reap the command unseen."""
    told = launch([b"sh", b"-c", b"exit 7"], prepare=lambda: _set(signal.SIGCHLD, signal.SIG_IGN))
    assert told.lines[-1] == {"exited": 7}


def _set(number: int, how: signal.Handlers) -> None:
    signal.signal(number, how)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_the_command_hears_of_our_sudden_death(tmp_path: Path, number: int) -> None:
    """The parent-death signal arrives when the launcher is SIGKILLed, though the command forks."""
    witness = tmp_path / "heard"
    script = f"import signal, os\nprint('up', flush=True)\nn = signal.sigwait({{{number}}})\n"
    script += f"open({str(witness)!r}, 'w').write(str(n))"
    mask = f"import signal; signal.pthread_sigmask(signal.SIG_BLOCK, {{{number}}})\n"
    argv = [sys.executable.encode(), b"-c", (mask + script).encode()]
    running = Launched(argv, death_signal=int(number))
    try:
        running.line()
        assert running.process.stdout is not None
        assert running.process.stdout.readline() == b"up\n"
        os.kill(running.process.pid, signal.SIGKILL)
        wait_until("the death signal", lambda: witness.exists() and witness.read_text())
    finally:
        running.close()
    assert witness.read_text() == str(int(number))


def test_a_parent_that_dies_during_the_fork_takes_the_command_with_it() -> None:
    """Killed between the fork and the exec, the launcher leaves nothing that lives on."""
    running = Launched([b"sleep", b"60"], enter="orphan")
    try:
        assert running.process.wait(timeout=120) == -signal.SIGKILL
        assert running.process.stdout is not None
        # The pipe's end is the end of the last process that holds it: the child's own.
        assert running.process.stdout.read() == b""
    finally:
        running.close()
