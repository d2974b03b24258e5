"""What a command is born with: argv, environment, limits, signals, place, as without Sentinel."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest

from sentinel.linux.libc import execvpe
from tests.cli.pairs import GUARDED, LIMIT, alike, parse_state, run, state
from tests.cli.terminal import ENVIRONMENT, SENTINEL
from tests.victims.build import victim

ALL = [number for number in range(1, 65) if number not in (9, 19, 32, 33)]


def test_no_environment_is_no_environment() -> None:
    """`env -i sentinel exec env` prints nothing, not even what Python adds for itself."""
    assert run(["env", "-i", SENTINEL, "exec", "--", "env"])[:2] == (0, b"")


@pytest.mark.parametrize("name", ["LC_ALL", "LC_CTYPE", "LANG"])
@pytest.mark.parametrize("locale", ["C", "POSIX", "C.UTF-8", "xx_YY.none", ""])
def test_python_coerces_no_locale_but_its_own(name: str, locale: str) -> None:
    """PEP 538 puts an LC_CTYPE into the environment of C and POSIX; the command has none of it."""
    found = state(env={name: locale})
    assert bytes.fromhex(found["environ"]) == f"{name}={locale}\0".encode()


ENVIRONMENTS = {
    "odd": [b"A=1", b"", b"NOTHING", b"=odd", b"A=2", b"B=\xff\xfe\x01\n", b"LC_CTYPE=", b"A=1"],
    "python's": [b"PYTHONWARNINGS=error", b"PYTHONUTF8=0", b"PYTHONDEVMODE=1", b"PYTHONINSPECT=1"],
    "large": [b"X%d=%s" % (number, b"y" * 1000) for number in range(500)],
}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_an_environment_of_any_bytes(name: str) -> None:
    """Doubled, empty, without a name, not text, Python's own, large: all in their order."""
    entries = [b"PATH=/usr/bin:/bin", *ENVIRONMENTS[name]]
    for guard in ([], GUARDED):
        argv = [os.fsencode(word) for word in (*guard, victim(), "state")]
        # A dictionary of names could not hold them.
        done = run(["unused"], preexec_fn=partial(execvpe, argv, entries))
        assert (done.status, done.stderr) == (0, b"")
        environ = bytes.fromhex(parse_state(done.stdout)["environ"])
        assert environ == b"".join(entry + b"\0" for entry in entries)


@pytest.fixture(scope="module")
def traps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a module for each of Python's own, and for libraries; each of them raises."""
    place = tmp_path_factory.mktemp("traps")
    # What Python loads before the first line of any program is nobody's to choose.
    script = "import __future__, sys; print(*{name.split('.')[0] for name in sys.modules})"
    started = run([sys.executable, "-c", script]).stdout.decode().split()
    libraries = {"click", "prometheus_client", "psutil", "pyroute2", "rich"}
    for name in sys.stdlib_module_names.union(libraries).difference(started):
        if find_spec(name):  # what another system's Python has is asked for here in vain
            (place / f"{name}.py").write_text(f"raise RuntimeError('a trap: {name}')\n")
    return place


@pytest.mark.parametrize("named", ["{}", "{}/../nosuch:{}", ":/nosuch", "."])
def test_a_projects_modules_are_not_taken_for_ours(traps: Path, named: str) -> None:
    """PYTHONPATH, the working directory in it, is the command's, and changes nothing for us."""
    value = named.format(traps, traps)
    argv = [SENTINEL, "exec", "--json", "-", "--", "sh", "-c", 'echo "$PYTHONPATH"']
    done = run(argv, env={**ENVIRONMENT, "PYTHONPATH": value}, cwd=traps)
    assert (done.status, done.stdout) == (0, value.encode() + b"\n")
    assert json.loads(done.stderr.splitlines()[-1])["verdict"] == "exited"


@pytest.mark.parametrize("words", [["exec", "--help"], ["ls", "--json"], ["metrics"]], ids=" ".join)
def test_no_verb_takes_a_projects_modules(traps: Path, words: list[str]) -> None:
    """Nor does click, or what the verbs load."""
    done = run([SENTINEL, *words], env={**ENVIRONMENT, "PYTHONPATH": str(traps)})
    assert (done.status, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    "words",
    [
        [b"", b""],
        [b"\xff\xfe", b"\x80", b"caf\xc3\xa9"],
        [b"--", b"-v", b"--limit", b"1", b"-h"],
        [b"two words", b"new\nline", b"$(true)", b"'", b"%s{}[bold]"],
        [b"x" * 100_000],
    ],
    ids=["empty", "bytes", "dashes", "quotes", "long"],
)
@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_words_of_any_bytes(words: list[bytes], locale: str) -> None:
    """In whatever locale Python decodes them, they come out as they went in."""
    found = state(None, *words, env={**ENVIRONMENT, "LC_ALL": locale})
    expected = [os.fsencode(victim()), b"state", *words]
    assert bytes.fromhex(found["argv"]) == b"".join(word + b"\0" for word in expected)


def limiting(which: int, soft: int, hard: int | None = None) -> Callable[[], None]:
    """Set one resource limit."""
    return lambda: resource.setrlimit(which, (soft, soft if hard is None else hard))


LIMITS = {
    "few descriptors": (resource.RLIMIT_NOFILE, 16),
    "little address space": (resource.RLIMIT_AS, 48 << 20),
    "little data": (resource.RLIMIT_DATA, 32 << 20),
    "no core": (resource.RLIMIT_CORE, 0),
    "no locked memory": (resource.RLIMIT_MEMLOCK, 0),
    "little CPU": (resource.RLIMIT_CPU, 20, 30),
    "small stack": (resource.RLIMIT_STACK, 1 << 20),
    "no file may grow": (resource.RLIMIT_FSIZE, 0),
}


@pytest.mark.parametrize("name", LIMITS)
def test_resource_limits_are_the_callers(name: str) -> None:
    """Soft and hard, also where they leave Sentinel itself little room."""
    which, soft, *hard = LIMITS[name]
    found = state(limiting(which, soft, *hard))
    assert found["rlimits"][which] == [soft, *(hard or [soft])]


def ignoring(ignored: Sequence[int], blocked: Sequence[int]) -> Callable[[], None]:
    """Set the dispositions and the mask of all signals."""

    def prepare() -> None:
        for number in ALL:
            wanted = signal.SIG_IGN if number in ignored else signal.SIG_DFL
            signal.signal(number, wanted)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    return prepare


PYTHONS = (signal.SIGPIPE, signal.SIGXFSZ)
IGNORED = [[], [signal.SIGHUP], [signal.SIGCHLD], [n for n in ALL if n not in PYTHONS]]
BLOCKED = [[], [signal.SIGCHLD, signal.SIGTERM, signal.SIGTTOU, 40], ALL]


@pytest.mark.parametrize("ignored", IGNORED, ids=["none", "HUP", "CHLD", "all"])
@pytest.mark.parametrize("blocked", BLOCKED, ids=["none", "some", "all"])
def test_signals_are_ignored_and_blocked_as_for_the_caller(
    ignored: list[int], blocked: list[int]
) -> None:
    """And nothing is caught or pending."""
    found = state(ignoring(ignored, blocked))
    assert signals_of(found["SigIgn"]) == sum(1 << number - 1 for number in ignored)
    assert signals_of(found["SigBlk"]) == sum(1 << number - 1 for number in blocked)


def signals_of(field: str) -> int:
    """The set in a field of /proc/PID/status without 32 and 33, which are the C library's own.

    Nobody can ask the library for those; make(1) has them ignored in what it starts.
    """
    return int(field, 16) & ~(3 << 31)


def test_a_caller_that_ignores_sigpipe_is_the_one_exception() -> None:
    """Python has forgotten it: the command's SIGPIPE is default, so that pipelines end."""
    words = ["grep", "SigIgn", "/proc/self/status"]
    guarded = run([*GUARDED, *words], preexec_fn=ignoring(PYTHONS, []), restore_signals=False)
    assert signals_of(guarded.stdout.decode().split()[1]) == 0


def test_nohup() -> None:
    """`nohup sentinel exec`: neither Sentinel nor the command minds a HUP."""
    script = "echo $$ $PPID; read -r line; echo got $line"
    with subprocess.Popen(
        ["nohup", *GUARDED, "sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=ENVIRONMENT,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for pid in map(int, process.stdout.readline().split()):
            os.kill(pid, signal.SIGHUP)
        assert process.communicate(b"on\n", timeout=LIMIT)[0] == b"got on\n"
        assert process.returncode == 0


def test_umask_and_working_directory(tmp_path: Path) -> None:
    """As the caller set them."""

    def prepare() -> None:
        os.chdir(tmp_path)
        os.umask(0o027)

    found = state(prepare)
    assert found["Umask"] == "0027"
    assert bytes.fromhex(found["cwd"]) == os.fsencode(tmp_path)


def test_a_working_directory_that_is_gone(tmp_path: Path) -> None:
    """Removed under the caller's feet: the command runs all the same."""

    def prepare() -> None:
        gone = tmp_path / f"gone{os.getpid()}"
        gone.mkdir()
        os.chdir(gone)
        gone.rmdir()

    found = state(prepare)
    assert found["cwd"] == ""


PROC = """
own='Pid|Tgid|NSpid|NStgid|NSpgid|PPid|Vm|Rss|Hugetlb|SigQ|.*ctxt|Threads|ShdPnd|Name'
grep -vE "^($own)" /proc/self/status
for name in limits personality timerslack_ns coredump_filter sessionid loginuid sched; do
    echo "== $name"; grep -sE 'policy|prio|^[^ ]*$|Max|^[0-9a-f]+$' /proc/self/$name
done
readlink /proc/self/ns/* /proc/self/root /proc/self/cwd | grep -v cgroup
ionice; chrt -p $$ | sed 's/[0-9]* *.s //; s/pid [0-9]*//'; taskset -p $$ | sed 's/pid [0-9]*//'
ulimit -a; umask; nice
"""


@pytest.mark.parametrize("prepare", ["nothing", "nice", "batch", "one CPU"])
def test_all_that_proc_knows(prepare: str) -> None:
    """Credentials, namespaces, scheduling, niceness, affinity, personality, timers' slack."""
    prepares: dict[str, Callable[[], object]] = {
        "nothing": lambda: None,
        "nice": lambda: os.nice(5),
        "batch": lambda: os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0)),
        "one CPU": lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}),
    }
    done = alike(["bash", "-c", PROC], preexec_fn=prepares[prepare])
    assert (done.status, done.stderr) == (0, b"")
    assert done.stdout.count(b"\n") > 60
