"""`sentinel top` in a real terminal, with runs that are only said to be."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.fakeruns import FakeRun, FakeRuns, fake_runs
from tests.cli.processes import state
from tests.cli.terminal import Size, Terminal, shell, terminal
from tests.dashboard.boards import status

LONG = 90.0
"""Seconds for what takes a program's start and some rounds of questions."""

GIVEN_BACK = "\x1b[?25h\x1b[?1049l"


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[FakeRuns]:
    """The runs that a dashboard is shown."""
    with fake_runs(str(tmp_path)) as made:
        yield made


def program(runs: FakeRuns) -> list[str]:
    """The command line of a dashboard of `runs`."""
    return [sys.executable, "-m", "tests.cli.onboard", "top", runs.list]


@contextmanager
def dashboard(runs: FakeRuns) -> Iterator[Terminal]:
    """A dashboard on a terminal of 80x24."""
    with terminal(program(runs), {"PYTHONPATH": os.getcwd()}) as opened:
        yield opened


def see(opened: Terminal, *words: str) -> None:
    """Wait until the screen shows all of `words`."""
    opened.wait_for(f"{words} on the screen", lambda: all(w in text(opened) for w in words), LONG)


def see_no_more(opened: Terminal, word: str) -> None:
    """Wait until `word` is not on the screen."""
    opened.wait_for(f"the screen without {word}", lambda: word not in text(opened), LONG)


def text(opened: Terminal) -> str:
    """The screen in one text."""
    return "\n".join(line.rstrip() for line in opened.screen.display)


def line_of(opened: Terminal, name: str) -> str:
    """The line of the table that is about `name`."""
    return next((line for line in opened.screen.display if f" {name} " in line[:20]), "")


def wait_asked(opened: Terminal, run: FakeRun, line: str) -> None:
    """Wait until the run was asked for `line`."""
    opened.wait_for(f"the question {line!r}", lambda: line in run.asked, LONG)


def test_it_shows_runs_and_leaves_nothing_behind(runs: FakeRuns) -> None:
    """Gauges, composition, processes and events; q gives the terminal back as it was."""
    runs.add("one")
    run = runs.add("two")
    with dashboard(runs) as opened:
        modes = opened.modes
        see(opened, "sentinel top · 2 runs", "▶ one", "two", "100M, soft 200M", "PSI 4% some")
        see(opened, "anon 99M", "\\x1b[2Jmain")
        assert opened.modes != modes
        opened.press("\x1b[B")
        see(opened, "▶ two")
        run.tell("soft crossed", "\x1b[31mwhy")
        see(opened, "+5.00s soft crossed: \\x1b[31m")
        opened.press("q")
        opened.expect(re.escape(GIVEN_BACK))
        assert opened.wait() == 0
        assert opened.modes == modes


def test_orders_are_asked_back(runs: FakeRuns) -> None:
    """A y sends them, an n does not; the run's answer is shown."""
    run = runs.add("one")
    with dashboard(runs) as opened:
        see(opened, "100M, soft 200M")
        opened.press("k")
        see(opened, "(y/n) kill one now")
        opened.press("n")
        see(opened, "left alone")
        opened.press("+")
        see(opened, "(y/n) raise the limit of one from 200M to 220M?")
        opened.press("y")
        see(opened, "one: so be it")
        opened.press("f")
        see(opened, "(y/n) freeze one?")
        opened.press("y")
        wait_asked(opened, run, "freeze")
        run.status = run.status._replace(frozen=True)
        see(opened, "frozen")
        opened.press("f")
        see(opened, "(y/n) let one go on?")
        opened.press("y")
        wait_asked(opened, run, "thaw")
        run.reply = "error: already stopping"
        opened.press("s")
        see(opened, "(y/n) stop one")
        opened.press("y")
        see(opened, "one: error: already stopping")
        opened.press("?")
        see(opened, "freeze it, or let a frozen one go on")
        opened.press("?")
        see_no_more(opened, "let a frozen one")
        opened.press("\x03")
        assert opened.wait() == 0
    assert run.asked == [f"limit {220 << 20}", "freeze", "thaw", "stop"]


def test_a_silent_run_holds_nobody_up(runs: FakeRuns) -> None:
    """It is called silent; the others are asked on, and it comes back when it answers."""
    silent, lively = runs.add("silent"), runs.add("lively")
    with dashboard(runs) as opened:
        see(opened, "silent", "lively", "100M, soft 200M")
        silent.silent = True
        opened.wait_for("its silence", lambda: line_of(opened, "silent").count("silent") == 2, LONG)
        assert "100M" in line_of(opened, "silent")
        lively.status = status("lively", 120 << 20)
        opened.wait_for("news of the other", lambda: "120M" in line_of(opened, "lively"), LONG)
        silent.silent = False
        opened.wait_for("its answer", lambda: line_of(opened, "silent").count("silent") == 1, LONG)


def test_runs_come_and_go(runs: FakeRuns) -> None:
    """A new one appears, the selected one is followed, and an ended one tells its verdict."""
    first = runs.add("first")
    with dashboard(runs) as opened:
        see(opened, "1 run", "▶ first", "100M, soft 200M")
        second = runs.add("second")
        see(opened, "2 runs", "second")
        opened.press("\x1b[B")
        see(opened, "▶ second")
        first.end("soft-limit")
        runs.remove(first)
        see(opened, "1 run · 1 just ended", "▶ second", "soft-limit")
        see_no_more(opened, "just ended")
        runs.remove(second)
        see(opened, "0 runs · 1 just ended", "ended")
        see(opened, "no run is live")
        opened.press("s")
        see(opened, "there is no run to ask")


def test_a_new_size(runs: FakeRuns) -> None:
    """The picture follows, down to a size at which hardly anything is left, and back."""
    runs.add("one")
    with dashboard(runs) as opened:
        see(opened, "100M, soft 200M", "OF LIMIT")
        for size, there, gone in (
            (Size(12, 44), "▶ one", "OF LIMIT"),
            (Size(2, 12), "sentinel to", "one"),
            (Size(40, 132), "BACKEND", "nothing"),
        ):
            opened.screen.reset()
            opened.resize(size)
            see(opened, there)
            see_no_more(opened, gone)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_ends_it_with_the_terminal_given_back(
    runs: FakeRuns, number: signal.Signals
) -> None:
    """It ends by that signal, as a program that does not handle it."""
    runs.add("one")
    with dashboard(runs) as opened:
        modes = opened.modes
        see(opened, "100M, soft 200M")
        os.kill(opened.pid, number)
        opened.expect(re.escape(GIVEN_BACK))
        assert opened.wait() == -number
        assert opened.modes == modes


def test_a_fault_of_its_own_gives_the_terminal_back(runs: FakeRuns) -> None:
    """And is told on it afterwards."""
    runs.add("one")
    with dashboard(runs) as opened:
        modes = opened.modes
        see(opened, "100M, soft 200M")
        runs.spoil()
        assert opened.wait() == 125
        opened.expect(re.escape(GIVEN_BACK) + "sentinel: internal error: ValueError: the list")
        assert opened.modes == modes


def test_it_is_suspended_and_continued_by_the_shell(runs: FakeRuns) -> None:
    """While it is stopped the terminal is the shell's; fg draws everything again."""
    runs.add("one")
    with shell("", {"PYTHONPATH": os.getcwd(), "P": " ".join(program(runs))}) as bash:
        modes = bash.modes
        bash.press("$P\n")
        see(bash, "100M, soft 200M")
        job = bash.foreground
        for _ in range(2):
            bash.press("\x1a")
            bash.expect(re.escape(GIVEN_BACK))
            bash.expect(re.escape("Stopped"))
            bash.prompt()
            assert (state(job), bash.modes) == ("T", modes)
            bash.screen.reset()
            bash.press("fg\n")
            see(bash, "▶ one", "100M, soft 200M")
        bash.press("q")
        bash.prompt()
        assert bash.ask("echo $?") == "0"
        assert bash.modes == modes


def test_in_the_background_it_draws_nothing(runs: FakeRuns) -> None:
    """It waits for its turn on the terminal."""
    run = runs.add("one")
    with shell("", {"PYTHONPATH": os.getcwd(), "P": " ".join(program(runs))}) as bash:
        modes = bash.modes
        bash.press("$P &\n")
        bash.prompt()
        bash.wait_for("three rounds", lambda: run.questions >= 3, LONG)
        assert bash.modes == modes
        assert "\x1b[?1049h" not in bash.text
        bash.press("fg\n")
        see(bash, "▶ one")
        bash.press("q")
        bash.prompt()
        assert bash.modes == modes


def test_it_ends_with_its_terminal(runs: FakeRuns) -> None:
    """A window that is closed leaves no dashboard."""
    runs.add("one")
    with dashboard(runs) as opened:
        see(opened, "100M, soft 200M")
        opened.hang_up()
        assert opened.wait() == -signal.SIGHUP


def test_a_terminal_that_can_do_nothing_gets_a_table(runs: FakeRuns) -> None:
    """Printed once, as with --once."""
    runs.add("one")
    with terminal(program(runs), {"PYTHONPATH": os.getcwd(), "TERM": "dumb"}) as opened:
        opened.expect(r"NAME +STATE +USED +LIMIT +GROWTH[^\n]+\r\none +watching +100M +200M")
        assert opened.wait() == 0
        assert "\x1b" not in opened.text
