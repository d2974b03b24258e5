"""Tab, in the real shells: verbs, options, the names of live runs, files of the command."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from sentinel.control import registry
from sentinel.control.registry import Entry
from tests.cli.terminal import BASH, PATIENCE, PROMPT, SENTINEL, terminal

READY = PROMPT.replace("$", r"\$")
START = {
    "bash": [*BASH, "-i"],
    "zsh": ["zsh", "-f", "-i"],
}
LOAD = {
    "bash": "source <(sentinel completion bash)",
    "zsh": f"PS1='{PROMPT}'; autoload -Uz compinit; compinit -u; source <(sentinel completion zsh)",
}
CLEAR = "\x15"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A home of one's own, and `sentinel` on the path."""
    path = f"{os.path.dirname(SENTINEL)}:/usr/bin:/bin"
    return {"PATH": path, "HOME": str(tmp_path), "ZDOTDIR": str(tmp_path), "SHELL": "/bin/bash"}


@pytest.fixture
def name() -> Iterator[str]:
    """The name of a live run, which no shell may take for anything but data."""
    boot, namespace = registry.whereabouts()
    named = registry.free_name(f"tab{os.getpid()}$(exit) x,y")
    entry = Entry(
        named, os.getpid(), 1, os.geteuid(), 1.0, boot, namespace, "", "rss", 1, None, "", "sh"
    )
    registration = registry.register(entry)
    yield named
    registration.close()


@pytest.mark.parametrize("shell", START)
def test_tab(shell: str, environment: dict[str, str], name: str) -> None:
    """Tab completes verbs, options and names, which are quoted, and the command's own files."""
    with terminal(START[shell], environment) as opened:
        opened.expect(READY)
        opened.press(f"{LOAD[shell]}\n")
        opened.expect(READY)
        opened.press("sentinel fre\t")
        opened.expect("freeze")
        opened.press(f"{CLEAR}sentinel limit --js\t")
        opened.expect("--json")
        opened.press(f"{CLEAR}sentinel stop {name[:-11]}\t")
        opened.expect(r"\\\$\\\(exit\\\)\\ x\\?,y|\\\$\(exit\)\\ x\\?,y")
        opened.press(f"{CLEAR}sentinel exec --limit 1G cat /etc/hostna\t")
        opened.expect("/etc/hostname")


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("sentinel fre", "freeze"),
        ("sentinel limit --js", "--json"),
        ("sentinel exec --limit 1G cat /etc/hostna", "/etc/hostname"),
    ],
)
def test_tab_in_fish(line: str, completed: str, environment: dict[str, str]) -> None:
    """Fish completes verbs, options and the command's own files."""
    assert completed in _fish(line, environment).split()


def test_names_in_fish(environment: dict[str, str], name: str) -> None:
    """Fish completes the names of live runs."""
    assert name in _fish(f"sentinel stop {name[:5]}", environment)


def _fish(line: str, environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        [
            *("fish", "--no-config", "-c"),
            "sentinel completion fish | source; complete -C $argv[1]",
            line,
        ],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


def sentinel(environment: Mapping[str, str], *words: str) -> str:
    """What `sentinel WORDS` prints."""
    done = subprocess.run(
        [SENTINEL, *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize(
    ("shell", "path"),
    [
        ("bash", ".local/share/bash-completion/completions/sentinel"),
        ("zsh", ".zfunc/_sentinel"),
        ("fish", ".config/fish/completions/sentinel.fish"),
    ],
)
def test_install(shell: str, path: str, environment: dict[str, str], tmp_path: Path) -> None:
    """The script is written where the shell of $SHELL, or the one that is named, looks for it."""
    said = sentinel({**environment, "SHELL": f"/usr/bin/{shell}"}, "completion", "install")
    assert said.startswith(f"written: {tmp_path / path}\n")
    script = (tmp_path / path).read_text()
    assert script == sentinel(environment, "completion", shell)
    assert sentinel(environment, "completion", "install", shell) == said


def test_an_installed_script_is_found_by_fish(environment: dict[str, str]) -> None:
    """Nothing more is to be done in fish: its next start completes."""
    sentinel(environment, "completion", "install", "fish")
    done = subprocess.run(
        ["fish", "-c", "complete -C 'sentinel fre'"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert done.stdout.split("\t")[0] == "freeze"


def test_an_installed_script_is_found_by_zsh(environment: dict[str, str], tmp_path: Path) -> None:
    """The advice, put into .zshrc, is all that zsh needs."""
    said = sentinel(environment, "completion", "install", "zsh")
    advice = said.splitlines()[-1].rpartition(": ")[2]
    (tmp_path / ".zshrc").write_text(
        f"{advice}\nautoload -Uz compinit; compinit -u\nPS1='{PROMPT}'\n"
    )
    with terminal(["zsh", "-i"], environment) as opened:
        opened.expect(READY)
        opened.press("sentinel fre\t")
        opened.expect("freeze")


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("completion", "tcsh"), 2, "is not one of 'bash', 'zsh', 'fish', 'install'"),
        (("completion", "install"), 2, "write: sentinel completion install SHELL"),
        (("completion", "bash", "zsh"), 2, "one shell too many: 'zsh'"),
        (("completion", "install", "fish"), 125, "write it elsewhere: sentinel completion fish"),
    ],
)
def test_what_cannot_be_installed(
    words: tuple[str, ...], status: int, said: str, environment: dict[str, str], tmp_path: Path
) -> None:
    """One line with the remedy, and the status of its kind."""
    (tmp_path / ".config").write_text("in the way")
    done = subprocess.run(
        [SENTINEL, *words],
        env={**environment, "SHELL": "/bin/tcsh"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (status, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
