"""Command lines that start nothing: the status and every word on stderr."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from sentinel import __version__
from sentinel.config.options import OPTIONS

SENTINEL = os.path.join(os.path.dirname(sys.executable), "sentinel")
LIMIT = 60.0
"""Seconds after which a command line that should return at once has hung."""

TARGET = "give a path that you can write to, or fd:N"


class Said(NamedTuple):
    """What a finished process said."""

    status: int
    stdout: str
    stderr: str


Run = Callable[..., Said]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run `sentinel` in an empty directory, with an empty home, to its end."""
    work = tmp_path / "work"
    work.mkdir()

    def sentinel(*words: str | bytes, **environment: str) -> Said:
        done = subprocess.run(
            [SENTINEL, *words],
            cwd=work,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **environment},
            capture_output=True,
            timeout=LIMIT,
            check=False,
            start_new_session=True,  # without a terminal
        )
        assert os.listdir(work) == [], "something was started or written"
        return Said(done.returncode, done.stdout.decode(), done.stderr.decode())

    return sentinel


MARK = ("touch", "started")
"""A command that would leave a trace if it were started."""


@pytest.mark.parametrize(
    ("words", "status", "line"),
    [
        ([], 2, "no command given; write: sentinel exec CMD, or see sentinel --help"),
        (["exec"], 2, "no command given; write: sentinel exec [OPTIONS] CMD [ARG]..."),
        (["exec", "--"], 2, "no command given; write: sentinel exec [OPTIONS] CMD [ARG]..."),
        (["--"], 2, "no command given; write: sentinel exec [OPTIONS] CMD [ARG]..."),
        (
            ["--limit", "1G", *MARK],
            2,
            "option '--limit' stands before the verb; write: sentinel exec --limit ...",
        ),
        (["-q", *MARK], 2, "option '-q' stands before the verb; write: sentinel exec -q ..."),
        (["exec", "--limti", "1G", *MARK], 2, "no such option: --limti; did you mean --limit?"),
        (["exec", "--zzz", *MARK], 2, "no such option: --zzz; see sentinel exec --help"),
        (["exec", "-x", *MARK], 2, "no such option: -x; see sentinel exec --help"),
        (["exec", "--limit"], 2, "Option '--limit' requires an argument; see sentinel exec --help"),
        (
            ["exec", "--quiet=1", *MARK],
            2,
            "Option '--quiet' does not take a value; see sentinel exec --help",
        ),
        (
            ["exec", "--limit", "12X", *MARK],
            2,
            "--limit: '12X' is not a size; write it like 200M, 1.5G or 50%",
        ),
        (
            ["exec", "--limit", "200", *MARK],
            2,
            "--limit: '200' is 200 bytes, too small for any program; did you mean 200M?",
        ),
        (
            ["exec", "--limit=200M", "--hard-limit=200M", *MARK],
            2,
            (
                "--hard-limit: '200M' (209715200 bytes) is not above the limit (209715200 bytes); "
                "give --hard-limit a larger size or none, to have it asked before it is killed"
            ),
        ),
        (
            ["exec", "--signal", "TREM", *MARK],
            2,
            "--signal: 'TREM' is no signal; did you mean TERM?",
        ),
        (
            ["exec", "--signal", "KILL", *MARK],
            2,
            "--signal: 'KILL' cannot be handled by any command; to kill at once use --grace 0",
        ),
        (
            ["exec", "--name", b"a\xff\n", *MARK],
            2,
            (
                "--name: 'a\\udcff\\n' has characters in it that cannot be shown; "
                "use a short word like worker"
            ),
        ),
        (
            ["exec", "-q", "-v", *MARK],
            2,
            "--quiet and --verbose contradict each other; give one of them",
        ),
        (
            ["exec", "-qv", *MARK],
            2,
            "--quiet and --verbose contradict each other; give one of them",
        ),
        (
            ["exec", "--json", "/proc/outcome.json", *MARK],
            125,
            f"--json: cannot write '/proc/outcome.json': No such file or directory; {TARGET}",
        ),
        (
            ["exec", "-q", "--json", "/", *MARK],
            125,
            f"--json: cannot write '/': Is a directory; {TARGET}",
        ),
        (
            ["exec", "--json", "/dev/tty", *MARK],
            125,
            f"--json: cannot write '/dev/tty': No such device or address; {TARGET}",
        ),
        (
            ["exec", "--json", "fd:9", *MARK],
            125,
            "--json: 'fd:9' is not open; open it, as in 9>outcome.json",
        ),
        (
            ["exec", "--json", "fd:0", *MARK],
            125,
            "--json: 'fd:0' is not open for writing; open it, as in 0>outcome.json",
        ),
    ],
)
def test_a_mistake_is_one_line_and_starts_nothing(
    run: Run, words: list[str | bytes], status: int, line: str
) -> None:
    """The line names the value and the remedy; stdout stays empty."""
    assert run(*words) == Said(status, "", f"sentinel: {line}\n")


def test_a_mistake_in_the_environment_names_the_variable(run: Run) -> None:
    """Whoever set it somewhere else can find it."""
    assert run("exec", *MARK, SENTINEL_LIMIT="lots") == Said(
        2,
        "",
        "sentinel: SENTINEL_LIMIT: 'lots' is not a size; write it like 200M, 1.5G or 50%\n",
    )
    assert run("exec", *MARK, SENTINEL_QUIET="hush") == Said(
        2, "", "sentinel: SENTINEL_QUIET: 'hush' is neither yes nor no; use yes or no\n"
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("limits = 1", "{path}: unknown key 'limits'; did you mean 'limit'?"),
        ("limit = '12X'", "{path}: limit: '12X' is not a size; write it like 200M, 1.5G or 50%"),
        (
            "limit",
            (
                "{path} is not valid TOML: Expected '=' after a key in a key/value pair (at end of "
                "document); correct or remove it"
            ),
        ),
    ],
)
def test_a_mistake_in_a_file_names_the_file(run: Run, tmp_path: Path, text: str, line: str) -> None:
    """The user's file is read from the XDG directory and from below HOME."""
    path = tmp_path / ".config" / "sentinel" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    said = Said(2, "", f"sentinel: {line.format(path=path)}\n")
    assert run("exec", *MARK) == said
    assert run("exec", *MARK, XDG_CONFIG_HOME=str(path.parent.parent)) == said


def test_the_working_directory_decides_nothing(tmp_path: Path) -> None:
    """A file in a project that somebody downloaded is not a configuration of ours."""
    for name in ("sentinel.toml", "config.toml", ".config/sentinel/config.toml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("nonsense")
    done = subprocess.run(
        [SENTINEL, "exec", "--limit", "12X", "true"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "XDG_CONFIG_HOME": ".config"},
        capture_output=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.stderr.startswith(b"sentinel: --limit: '12X' is not a size;")


def test_the_version(run: Run) -> None:
    """One line on stdout."""
    assert run("--version") == Said(0, f"sentinel {__version__}\n", "")


@pytest.mark.parametrize("words", [["--help"], ["-h"]])
def test_the_help_names_the_verbs(run: Run, words: list[str]) -> None:
    """`sentinel --help` shows each verb with a sentence."""
    said = run(*words)
    assert (said.status, said.stderr) == (0, "")
    assert "\n  exec " in said.stdout


@pytest.mark.parametrize("words", [["exec", "--help"], ["exec", "-h"], ["exec", "-h", *MARK]])
def test_the_help_names_every_option(run: Run, words: list[str]) -> None:
    """`sentinel exec --help` shows the whole table."""
    said = run(*words)
    assert (said.status, said.stderr) == (0, "")
    for option in OPTIONS:
        joint = "" if option.metavar.startswith("[=") else " "
        assert f"--{option.name}{joint}{option.metavar}".rstrip() in said.stdout


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
@pytest.mark.parametrize(("words", "status"), [("--version", 0), ("exec --limit 12X x", 2)])
def test_closed_standard_descriptors_are_no_errors(closed: str, words: str, status: int) -> None:
    """What can still be said is said, and the status is right."""
    done = subprocess.run(
        ["sh", "-c", f'"$1" {words} {closed}', "sh", SENTINEL],
        capture_output=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == status
    err_lines = 0 if "2>&-" in closed or status == 0 else 1
    assert done.stderr.count(b"\n") == err_lines
    assert done.stdout.count(b"\n") == (1 if status == 0 and "1>&-" not in closed else 0)


def test_nobody_reading_stderr_holds_up_nothing() -> None:
    """A last line waits for a slow reader, but not for one that never comes."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while os.write(writer, b"x" * 4096):
            pass
    except BlockingIOError:
        os.set_blocking(writer, True)
    process = subprocess.Popen([SENTINEL, "exec", "--limit", "12X", "true"], stderr=writer)
    try:
        assert process.wait(LIMIT) == 2
    finally:
        process.kill()
        process.wait()
        os.close(reader)
        os.close(writer)


def test_help_that_cannot_be_written_is_one_line() -> None:
    """A full disk is said; a reader that has seen enough is not."""
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [SENTINEL, "--help"], stdout=full, stderr=subprocess.PIPE, timeout=LIMIT, check=False
        )
    assert done.returncode == 125
    assert done.stderr == (
        b"sentinel: cannot write to standard output: No space left on device; "
        b"make room or redirect it\n"
    )
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as broken:
        done = subprocess.run(
            [SENTINEL, "--help"], stdout=broken, stderr=subprocess.PIPE, timeout=LIMIT, check=False
        )
    assert (done.returncode, done.stderr) == (1, b"")


def test_a_long_value_is_still_one_line(run: Run) -> None:
    """A line is never longer than what a pipe takes whole."""
    said = run("exec", "--limit", "9" * 100_000, *MARK)
    assert said.status == 2
    assert said.stderr.startswith("sentinel: --limit: '999")
    assert len(said.stderr.encode()) <= 4096
    assert said.stderr.endswith("9…\n")
