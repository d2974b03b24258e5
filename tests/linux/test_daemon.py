"""A process that shares nothing of ours but what it is given."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sentinel.linux.daemon import start_daemon
from tests.lab import ROOT

REPORT = """
import json, os, signal, sys
fds = {}
for name in os.listdir('/proc/self/fd'):
    try:
        fds[name] = os.readlink('/proc/self/fd/' + name)
    except OSError:
        pass
handlers = [n for n in signal.valid_signals() if signal.getsignal(n) == signal.SIG_IGN]
told = {
    'fds': fds, 'session': os.getsid(0), 'pid': os.getpid(), 'ignored': handlers,
    'blocked': list(signal.pthread_sigmask(signal.SIG_BLOCK, [])), 'environment': dict(os.environ),
}
os.write(int(sys.argv[1]), json.dumps(told).encode())
"""
ASKING = """
import os, sys, typing, json
os.write(int(sys.argv[1]), json.dumps(os.environ.get('PYTHONPATH')).encode())
"""
PYTHONS = {signal.SIGPIPE, signal.SIGXFSZ}
"""What every Python ignores by itself."""


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What a daemon says of itself that was started amid open pipes and blocked signals."""
    monkeypatch.setenv("SECRET", "x")
    reading, writing = os.pipe()
    inherited = os.dup(reading)
    os.set_inheritable(inherited, True)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD})
    ignored = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        argv = [sys.executable, "-I", "-c", REPORT, str(writing)]
        pid = start_daemon(argv, {writing})
        assert not os.get_inheritable(writing)
        os.close(writing)
        os.waitpid(pid, 0)
        found = json.loads(os.read(reading, 1 << 16))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        signal.signal(signal.SIGHUP, ignored)
        os.close(inherited)
        os.close(reading)
    assert isinstance(found, dict)
    assert found["pid"] == pid
    return {**found, "kept": str(writing)}


def test_it_has_the_kept_descriptors_and_no_others(told: dict[str, object]) -> None:
    """Streams are /dev/null; pipes that were meant for a command stay out."""
    fds = told["fds"]
    assert isinstance(fds, dict)
    assert {fds[name] for name in ("0", "1", "2")} == {"/dev/null"}
    pipes = [name for name, target in fds.items() if target.startswith("pipe:")]
    assert pipes == [told["kept"]]


def test_it_leads_a_session_and_has_default_signals(told: dict[str, object]) -> None:
    """No terminal can reach it, and it can be ended."""
    assert told["session"] == told["pid"]
    assert told["blocked"] == []
    ignored = told["ignored"]
    assert isinstance(ignored, list)
    assert set(ignored) <= PYTHONS


def test_it_gets_few_variables(told: dict[str, object]) -> None:
    """What a run's environment holds is the run's."""
    environment = told["environment"]
    assert isinstance(environment, dict)
    assert "SECRET" not in environment
    assert set(environment) <= {
        *("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ"),
        *("PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE"),
    }


def test_it_looks_for_modules_where_we_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In our order, which need not be that of PYTHONPATH; where that is not set, by itself."""
    (tmp_path / "typing.py").write_text("raise RuntimeError('of a guarded project')\n")
    wanted = [*sys.path, str(tmp_path)]
    monkeypatch.setattr(sys, "path", wanted)
    for value, found in ((str(tmp_path), os.pathsep.join(wanted)), (None, None)):
        monkeypatch.delenv("PYTHONPATH", raising=False)
        if value is not None:
            monkeypatch.setenv("PYTHONPATH", value)
        reading, writing = os.pipe()
        argv = [sys.executable, "-P", "-c", ASKING, str(writing)]
        pid = start_daemon(argv, {writing})
        os.close(writing)
        assert os.waitpid(pid, 0)[1] == 0
        assert json.loads(os.read(reading, 1 << 16)) == found
        os.close(reading)


BACKGROUND = """
import json, os, resource, sys
from sentinel.linux.daemon import become_background
os.chdir(sys.argv[1])
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 64), hard))
become_background('a-daemon')
print(json.dumps({
    'name': open('/proc/self/comm').read(), 'cwd': os.getcwd(), 'umask': os.umask(0),
    'nice': os.getpriority(os.PRIO_PROCESS, 0),
    'descriptors': resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard),
}))
"""


def test_in_the_background_it_holds_nothing_and_outranks_nobody(tmp_path: Path) -> None:
    """A name of its own, no directory, a closed umask, all descriptors that it may have."""
    argv = [sys.executable, "-c", BACKGROUND, str(tmp_path)]
    if os.geteuid() == 0:
        argv = ["nice", "-n", "-5", *argv]
    done = subprocess.run(argv, capture_output=True, check=True, cwd=ROOT)
    assert json.loads(done.stdout) == {
        "name": "a-daemon\n",
        "cwd": "/",
        "umask": 0o077,
        "nice": 0,
        "descriptors": True,
    }
