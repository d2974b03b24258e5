"""Real runs under the rss backend: exit statuses, words and documents, as a caller finds them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import leaker

SENTINEL = os.path.join(os.path.dirname(sys.executable), "sentinel")
LIMIT = 120.0
"""Seconds after which a run that should be over has hung."""

LEAKER = [sys.executable, "-I", leaker.__file__, "--rate", "100"]
_IGNORE = "import signal; signal.signal(15, 1); a = []\nwhile 1: a += [0]"
DEAF = [sys.executable, "-I", "-c", _IGNORE]


def run(*words: str, **popen: Any) -> subprocess.CompletedProcess[str]:
    """Run `sentinel exec --backend rss` to its end."""
    environment = {name: text for name, text in os.environ.items() if "SENTINEL" not in name}
    environment["XDG_CONFIG_HOME"] = "/nonexistent"
    return subprocess.run(
        [SENTINEL, "exec", "--backend", "rss", "--limit", "64M", *words],
        **{"env": environment, "capture_output": True, "text": True, "timeout": LIMIT, **popen},
        check=False,
    )


@pytest.mark.parametrize("status", [0, 1, 2, 7, 124, 125, 126, 127, 255])
def test_the_commands_own_status_passes_through_without_a_word(status: int) -> None:
    """Whatever the command exits with, ours included."""
    done = run("sh", "-c", f"exit {status}")
    assert (done.returncode, done.stdout, done.stderr) == (status, "", "")


@pytest.mark.parametrize(("name", "number"), [("TERM", 15), ("KILL", 9), ("SEGV", 11), ("HUP", 1)])
def test_a_signal_is_128_and_its_number(name: str, number: int) -> None:
    """Said by its name, unless quiet."""
    command = ["sh", "-c", f"kill -{name} $$"]
    done = run(*command)
    assert done.returncode == 128 + number
    assert done.stderr == f"sentinel: sh: signalled: ended by SIG{name}\n"
    quiet = run("-q", *command)
    assert (quiet.returncode, quiet.stderr) == (128 + number, "")


@pytest.mark.parametrize(
    ("command", "status", "line"),
    [
        ("nosuch", 127, "'nosuch': not found on PATH; check the spelling or give its path"),
        ("./nosuch", 127, "'./nosuch': no such file; check the spelling or give its path"),
        ("/tmp", 126, "'/tmp' is a directory; name a program"),
        ("./plain", 126, "'./plain' cannot be executed: Permission denied; chmod +x './plain'"),
    ],
)
def test_a_command_that_cannot_run_is_one_line_and_a_document(
    tmp_path: Path, command: str, status: int, line: str
) -> None:
    """Said even quietly; the verdict is failed-to-start."""
    (tmp_path / "plain").write_text("")
    done = run("-q", "--grace", "7s", "--json", "outcome.json", command, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", f"sentinel: {line}\n")
    found = json.loads((tmp_path / "outcome.json").read_text())
    assert (found["verdict"], found["failure"]) == ("failed-to-start", line)
    assert (found["exit_status"], found["command_status"]) == (status, None)
    assert found["evidence"]["grace"] == {"allowed": 7.0, "used": None}


def test_a_leak_is_told_as_it_happens_and_at_its_end(tmp_path: Path) -> None:
    """The live line, the verdict line, 124, and a document that agrees with both."""
    path = tmp_path / "outcome.json"
    done = run("--name", "worker", "--json", str(path), *LEAKER)
    assert done.returncode == 124
    live, verdict = done.stderr.splitlines()
    size = r"\d+(\.\d)?M"
    by = r"(\d+(\.\d)?[KM] )?"
    assert re.fullmatch(
        rf"sentinel: worker: working set {size} is {by}over the 64M limit( \(anon \d+%\))?: "
        r"sent SIGTERM, 3s to finish",
        live,
    )
    assert re.fullmatch(
        rf"sentinel: worker: soft-limit: working set {size} was {by}over the 64M limit"
        rf"( \(anon {size}.*\))?; ended by SIGTERM \(\d+(\.\d)?m?s of the 3s grace used\)",
        verdict,
    )
    found = json.loads(path.read_text())
    assert (found["schema"], found["name"], found["backend"]) == (1, "worker", "rss")
    assert (found["verdict"], found["exit_status"]) == ("soft-limit", 124)
    assert found["command_status"] == {"signalled": 15}
    assert found["limits"]["soft"] == 64 << 20
    assert found["evidence"]["trigger"]["working_set"] > 64 << 20
    assert 0 <= found["evidence"]["grace"]["used"] <= 3
    told = [moment["what"] for moment in found["timeline"]]
    assert told[0] == "started"
    assert told[-1] == "over"
    assert "asked to stop" in told


def test_a_preserved_status_is_the_commands() -> None:
    """A limit ended it, and the caller wants to know how."""
    done = run("-q", "--preserve-status", *LEAKER)
    assert (done.returncode, done.stderr) == (143, "")


def test_a_command_that_does_not_listen_is_killed() -> None:
    """After the grace, whatever it does."""
    done = run("--grace", "100ms", *DEAF)
    assert done.returncode == 124
    assert done.stderr.splitlines()[-1].endswith(
        "; still running 100ms after SIGTERM, killed; 1 process needed SIGKILL"
    )
    assert ": soft-limit-killed: " in done.stderr


def test_time_is_a_limit_too() -> None:
    """Said when it is over, and how it ended."""
    done = run("--timeout", "200ms", "sleep", "60")
    assert done.returncode == 124
    live, verdict = done.stderr.splitlines()
    assert live == "sentinel: sleep: still running after 200ms: sent SIGTERM, 3s to finish"
    assert verdict.startswith("sentinel: sleep: timeout: ran longer than 200ms; ended by SIGTERM (")


def test_verbose_tells_what_is_done() -> None:
    """What was resolved, the start with its pid, and the end."""
    done = run("-v", "--hard-limit", "none", "sh", "-c", "exit 3")
    assert done.returncode == 3
    first, second, *_, last = done.stderr.splitlines()
    assert first.startswith(
        "sentinel: sh: backend rss, limit 67108864 (workingset), hard limit none, swap 0, "
        "grace 3s, signal SIGTERM, above it "
    )
    assert re.fullmatch(r"sentinel: sh: \+0\.000s started: pid \d+.*", second)
    assert re.fullmatch(r"sentinel: sh: \+\d\.\d{3}s over: exited", last)


def test_an_option_that_rss_cannot_enforce_is_one_warning(tmp_path: Path) -> None:
    """It stands in the document, too."""
    done = run("--pids", "5", "--json", "outcome.json", "true", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr.count("\n") == 1
    assert "--pids" in done.stderr
    assert json.loads((tmp_path / "outcome.json").read_text())["unenforced"] == ["pids"]


@pytest.mark.parametrize("target", ["-", "fd:2", "/dev/stderr"])
def test_the_document_can_go_to_stderr(target: str) -> None:
    """As one line without a prefix."""
    done = run("--json", target, "true")
    assert json.loads(done.stderr)["verdict"] == "exited"


def test_the_document_can_go_to_a_descriptor() -> None:
    """One that the caller opened; the command inherits it as well."""
    reader, writer = os.pipe()
    done = run(
        "--json", f"fd:{writer}", "sh", "-c", f"echo hi >/dev/fd/{writer}", pass_fds=(writer,)
    )
    os.close(writer)
    with os.fdopen(reader) as stream:
        greeting, document = stream.read().splitlines()
    assert (done.returncode, done.stderr, greeting) == (0, "", "hi")
    assert json.loads(document)["exit_status"] == 0


def test_a_name_of_any_bytes_stays_on_its_line(tmp_path: Path) -> None:
    """A command's name is data: it cannot forge a line or move a cursor."""
    name = b"a\n\x1b[2J\xff"
    path = os.path.join(os.fsencode(tmp_path), name)
    with open(path, "w", opener=lambda name, flags: os.open(name, flags, 0o755)) as script:
        script.write("#!/bin/sh\nkill -TERM $$\n")
    done = run(os.fsdecode(path))
    assert (done.returncode, done.stderr) == (
        143,
        "sentinel: a__[2J\\xff: signalled: ended by SIGTERM\n",
    )
    missing = run(os.fsdecode(name))
    assert (missing.returncode, missing.stderr) == (
        127,
        "sentinel: 'a\\n\\x1b[2J\\\\xff': not found on PATH; check the spelling or give its path\n",
    )
