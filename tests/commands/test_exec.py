"""The way through `exec`, with the guard and the backends played by stand-ins."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from sentinel.commands import exec as verb
from sentinel.commands.words import Given
from sentinel.guard.attendance import ATTEND_AFTER
from sentinel.guard.supervisor import Attend, Launch
from sentinel.metrics import lastword
from sentinel.model.errors import SentinelError, UsageFault
from sentinel.model.outcome import Moment, Outcome, Signalled, Verdict
from sentinel.model.snapshot import Reading
from sentinel.model.spec import RunSpec
from sentinel.model.units import GIB, MIB
from tests.metrics.trees import LEAF, make_cgroup
from tests.report.outcomes import TRIGGER, outcome

Listener = Callable[[RunSpec, Moment, Reading | None], None]

LIMIT_LINE = "sentinel: limit 1.6G (80% of 2G)\n"
ASKED_LINE = (
    "sentinel: leaker: working set 201.5M is over the 200M limit (anon 98%): "
    "sent SIGTERM, 3s to finish\n"
)
VERDICT_LINE = (
    "sentinel: leaker: soft-limit: working set 201.5M was over the 200M limit "
    "(anon 198M, file 4M); ended by SIGTERM (100ms of the 3s grace used)\n"
)


class Stage:
    """Stands in for selection and guard: what they were given, and what they answer."""

    def __init__(self) -> None:
        """A run that is stopped at its limit, in a place without remarks."""
        self.launched: list[RunSpec] = []
        self.notices: tuple[str, ...] = ()
        self.refusal: SentinelError | None = None
        self.leaf = "/sys/fs/cgroup/run"
        self.after = -1.0
        self.outcome = outcome(
            Verdict.SOFT_LIMIT,
            trigger=TRIGGER,
            grace_used=0.1,
            command_status=Signalled(15),
            exit_status=124,
        )

    def enclose(self, spec: RunSpec) -> tuple[Any, tuple[()], tuple[str, ...]]:
        """Refuse, or be an enclosure."""
        del spec
        if self.refusal:
            raise self.refusal
        self.backend = "cgroup"
        self.where = self.leaf
        return self, (), self.notices

    def supervise(
        self,
        launches: Sequence[Launch],
        listener: Listener,
        *,
        opening: Callable[[], None],
        attend: Attend,
    ) -> list[Outcome]:
        """Cross the limit and end, with nobody to attend it."""
        self.after = attend.after
        opening()
        (launch,) = launches
        self.launched.append(launch.spec)
        listener(launch.spec, Moment(1.0, "patience elapsed"), None)
        listener(launch.spec, Moment(1.0, "asked to stop", "1 processes", 203 * MIB), TRIGGER)
        listener(launch.spec, Moment(1.1, "emptied"), None)
        return [self.outcome]


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stage:
    """The stand-ins in place, on a machine of 2G, without configuration."""
    stage = Stage()
    monkeypatch.setattr(verb, "allowance", lambda: (2 * GIB, "the machine's memory"))
    monkeypatch.setattr(verb, "enclose", stage.enclose)
    monkeypatch.setattr(verb, "supervise", stage.supervise)
    for name in [name for name in os.environ if name.startswith("SENTINEL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return stage


def given(*flags: str, **values: str) -> Given:
    """A command line."""
    return Given({"limit": "200M", **values}, frozenset(flags), (b"leaker",))


def test_a_run_is_told_from_its_limit_to_its_end(
    stage: Stage, capfd: pytest.CaptureFixture[str]
) -> None:
    """The live line, the verdict, the outcome's exit status, and nothing on stdout."""
    assert verb.execute(given()) == 124
    assert capfd.readouterr() == ("", ASKED_LINE + VERDICT_LINE)
    (spec,) = stage.launched
    assert (spec.name, spec.command.argv, spec.limits.soft) == ("leaker", (b"leaker",), 200 * MIB)


def test_a_limit_that_nobody_named_is_echoed(
    stage: Stage, capfd: pytest.CaptureFixture[str]
) -> None:
    """Before the start, with what it is a share of; the backend's remark follows."""
    stage.notices = ("no cgroup here: guarded by RSS; run it as root",)
    verb.execute(Given({}, frozenset(), (b"leaker",)))
    assert capfd.readouterr().err == (
        LIMIT_LINE
        + "sentinel: no cgroup here: guarded by RSS; run it as root\n"
        + ASKED_LINE.replace("200M", "1.6G").replace("working set 201.5M", "memory 203M")
        + VERDICT_LINE
    )


@pytest.mark.parametrize("how", ["flag", "variable"])
def test_quiet_says_nothing(
    stage: Stage, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Neither notices nor the live line nor the verdict; the exit status speaks."""
    stage.notices = ("remark",)
    if how == "variable":
        monkeypatch.setenv("SENTINEL_QUIET", "1")
    flags = ["quiet"] if how == "flag" else []
    assert verb.execute(given(*flags, **{"hard-limit": "4G"})) == 124
    assert capfd.readouterr() == ("", "")


def test_verbose_says_what_was_resolved(stage: Stage, capfd: pytest.CaptureFixture[str]) -> None:
    """In bytes and seconds, before anything else; then every moment."""
    verb.execute(given("verbose"))
    assert stage.launched
    assert capfd.readouterr().err == (
        "sentinel: leaker: backend cgroup, limit 209715200 (workingset), hard limit 314572800, "
        "swap 0, grace 3s, signal SIGTERM, above it 2147483648, the machine's memory\n"
        "sentinel: leaker: +1.000s patience elapsed\n"
        + ASKED_LINE
        + "sentinel: leaker: +1.100s emptied\n"
        + VERDICT_LINE
    )


def test_a_run_that_cannot_be_placed_is_an_outcome(
    stage: Stage, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Nothing is started; the line is said even quietly; the document tells why."""
    stage.refusal = SentinelError("no cgroup for --backend cgroup: /x is not ours", "delegate it")
    path = tmp_path / "outcome.json"
    assert verb.execute(given("quiet", backend="cgroup", json=str(path))) == 125
    line = "no cgroup for --backend cgroup: /x is not ours; delegate it"
    assert capfd.readouterr() == ("", f"sentinel: {line}\n")
    found = json.loads(path.read_text())
    assert (found["verdict"], found["failure"]) == ("failed-to-start", line)
    assert (found["exit_status"], found["backend"]) == (125, None)
    assert found["limits"]["soft"] == 200 * MIB
    assert stage.launched == []


@pytest.mark.parametrize("metrics", [True, False])
def test_a_run_that_nobody_attended_is_counted(
    metrics: bool,  # noqa: FBT001 - a case
    stage: Stage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the leaf's counters as they were at the end; only where runs are counted."""
    words: list[tuple[str, dict[str, str]]] = []

    def count(_: Outcome, command: str, texts: dict[str, str]) -> str:
        words.append((command, texts))
        return ""

    monkeypatch.setattr(lastword, "count_unattended", count)
    stage.leaf = str(make_cgroup(tmp_path / "leaf"))
    verb.execute(given(metrics="8000") if metrics else given())
    assert stage.after == ATTEND_AFTER
    if metrics:
        ((command, texts),) = words
        assert (command, texts["memory.peak"]) == ("leaker", LEAF["memory.peak"])
    else:
        assert words == []


def test_the_document_is_of_the_outcome(stage: Stage, tmp_path: Path) -> None:
    """Nothing stands at the target while the command runs."""
    path = tmp_path / "outcome.json"
    verb.execute(given(json=str(path)))
    assert stage.launched
    assert json.loads(path.read_text())["verdict"] == "soft-limit"


def test_a_document_that_cannot_be_delivered_is_said_even_quietly(
    stage: Stage, capfd: pytest.CaptureFixture[str]
) -> None:
    """The command has ended, so its exit status stands."""
    assert verb.execute(given("quiet", json="/dev/full")) == 124
    assert stage.launched
    assert capfd.readouterr().err == (
        "sentinel: --json: cannot write '/dev/full': No space left on device; "
        "give a path that you can write to, or fd:N\n"
    )


@pytest.mark.parametrize("values", [{"json": "/"}, {"grace": "x"}, {"limit": "1"}])
def test_nothing_is_placed_before_everything_is_understood(
    stage: Stage, values: dict[str, str]
) -> None:
    """Values and the target are judged first."""
    stage.refusal = AssertionError  # type: ignore[assignment]
    with pytest.raises(SentinelError) as caught:
        verb.execute(given(**values))
    assert caught.value.exit_status == (125 if "json" in values else 2)


def test_settings_come_from_the_environment_and_files(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The variable outweighs the file, and the option the variable."""
    path = tmp_path / "config" / "sentinel" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text("grace = 9\nswap = '64M'\ncpus = 2")
    monkeypatch.setenv("SENTINEL_SWAP", "32M")
    monkeypatch.setenv("SENTINEL_CPUS", "3")
    verb.execute(given(cpus="4"))
    (spec,) = stage.launched
    assert (spec.stop.grace, spec.limits.swap, spec.limits.cpus) == (9.0, 32 * MIB, 4.0)
    assert spec.explicit == {"limit", "grace", "swap", "cpus"}


def test_click_without_a_command_is_a_usage_fault() -> None:
    """Options alone guard nothing."""
    with pytest.raises(UsageFault) as caught:
        verb.from_click((), {"limit": "1G"})
    assert str(caught.value) == "no command given; write: sentinel exec [OPTIONS] CMD [ARG]..."


ODD = [b"A=1", b"A=2", b"=x", b"no equals sign", b"", b"B=caf\xe9\n"]

_SHOW = "from sentinel.commands.exec import _own_environment as own; print(own())"

_BECOME = """
import ctypes, os, sys
words, entries = eval(sys.argv[1])
strings = lambda items: (ctypes.c_char_p * (len(items) + 1))(*items)
ctypes.CDLL(None).execve(words[0], strings(words), strings(entries))
"""
"""os.execve takes a dictionary; the kernel takes anything."""


@pytest.mark.native
@pytest.mark.parametrize("entries", [[], ODD])
def test_the_environment_is_what_was_given(entries: list[bytes]) -> None:
    """Byte for byte, in order: duplicates, oddities, and no LC_CTYPE of Python's making."""
    words = [os.fsencode(sys.executable), b"-c", _SHOW.encode()]
    done = subprocess.run(
        [sys.executable, "-I", "-c", _BECOME, repr((words, entries))],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{tuple(entries)!r}\n"


def test_without_proc_the_environment_is_pythons(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unreadable /proc is no reason to start the command without an environment."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr("builtins.open", refuse)
    monkeypatch.setattr(os, "environb", {b"A": b"1", b"B": b"\xff"})
    assert verb._own_environment() == (b"A=1", b"B=\xff")  # noqa: SLF001 - no /proc to hide


@pytest.mark.native
def test_plain_runs_load_neither_click_nor_json() -> None:
    """What costs a launch is imported by those who ask for it."""
    heavy = ("argparse", "click", "inspect", "json", "pathlib", "psutil", "subprocess", "tomllib")
    program = (
        "import sys; import sentinel.commands.main, sentinel.commands.exec; "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
