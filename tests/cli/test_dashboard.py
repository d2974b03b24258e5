"""`sentinel exec --dashboard` in a real terminal: the guard, its command, and whoever watches."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.processes import children, members, state
from tests.cli.terminal import BASH, Shell, Size, Terminal, shell, terminal
from tests.lab import ROOT

LONG = 90.0
"""Seconds for what takes some programs' start."""

GIVEN_BACK = re.escape("\x1b[?25h\x1b[?1049l")
SAYS = 'say() { echo "$@"; }; '
WAITS = "trap 'exit 7' TERM; say begun; while :; do sleep 0.05; done"
LEAKS = shlex.join([sys.executable, os.path.join(ROOT, "tests", "leaker.py"), "--rate", "50"])
COUNTS = "i=0; while :; do i=$((i+1)); say number $i.; sleep 0.02; done"


class Stage:
    """A place for runs of its own, and the command lines of the Sentinel that uses it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.logs = directory / "state" / "sentinel" / "logs"
        self.gate = directory / "go"
        self.env = {"XDG_STATE_HOME": str(directory / "state"), "PYTHONPATH": ROOT}

    def argv(self, *words: str) -> list[str]:
        """The command line of `sentinel WORD...`."""
        return [sys.executable, "-m", "tests.cli.private", str(self.directory), *words]

    def dashboard(self, script: str, *options: str) -> list[str]:
        """The command line that runs `script` with a dashboard."""
        words = ["exec", "--dashboard", "--limit", "300M", *options]
        return self.argv(*words, "--", "bash", "-c", SAYS + script)

    def waits(self) -> str:
        """What a script waits with until `go`."""
        return f"while [ ! -e {self.gate} ]; do sleep 0.05; done"

    def go(self) -> None:
        """Let a script that waits go on."""
        self.gate.touch()

    def log(self) -> str:
        """What the log of the only run holds."""
        (path,) = self.logs.glob("*.log")
        return path.read_text()


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """No run yet."""
    return Stage(tmp_path)


@contextmanager
def shown(stage: Stage, script: str, *options: str) -> Iterator[Terminal]:
    """A terminal with `script` on a dashboard, which leads the session."""
    with terminal(stage.dashboard(script, *options), stage.env) as opened:
        yield opened


@contextmanager
def at_shell(stage: Stage, argv: Sequence[str]) -> Iterator[Shell]:
    """A shell where `run` runs `argv`."""
    script = stage.directory / "run"
    script.write_text(f"run() {{ {shlex.join(argv)}; }}\n")
    with shell("", stage.env) as bash:
        bash.run(f". {script}")
        yield bash


def text(opened: Terminal) -> str:
    """The screen in one text."""
    return "\n".join(line.rstrip() for line in opened.screen.display)


def see(opened: Terminal, *words: str) -> None:
    """Wait until the screen shows all of `words`."""
    opened.wait_for(f"{words} on the screen", lambda: all(w in text(opened) for w in words), LONG)


def guard_and_viewer(keeper: int) -> tuple[int, int]:
    """The two children of the process that the shell waits for."""
    guard, viewer = children(keeper)
    return guard, viewer


def wait_gone(opened: Terminal, *pids: int) -> None:
    """Wait until nothing is left of `pids`."""
    opened.wait_for("their end", lambda: all(state(pid) in "ZX" for pid in pids), LONG)


def test_a_command_with_a_dashboard(stage: Stage) -> None:
    """Its gauges and its output are seen; then its status, the path of the log, the terminal."""
    script = "printf 'plain\\n\\033[31mred\\033[0m\\n'; read -r go; say got $?; "
    with shown(stage, script + stage.waits() + "; exit 3", "--name", "worker") as opened:
        modes = opened.modes
        see(opened, "sentinel · worker · watching", "soft 300M", "plain", "red", "got 1")
        assert opened.modes != modes
        stage.go()
        opened.expect(GIVEN_BACK, LONG)
        log = opened.expect(r"sentinel: worker: output is in (\S+)\r\n", LONG)[1]
        assert opened.wait() == 3
        assert opened.modes == modes
    assert Path(log).parent == stage.logs
    assert "plain\n\x1b[31mred\x1b[0m\ngot 1\n" in Path(log).read_text()
    assert list(stage.logs.glob("*")) == [Path(log)]


def test_the_verdict_is_the_guards(stage: Stage) -> None:
    """Over its limit the command is stopped; the line stands on the terminal and in the log."""
    script = f"say begun; {stage.waits()}; exec {LEAKS}"
    with shown(stage, script, "--limit", "60M", "--name", "leak") as opened:
        see(opened, "sentinel · leak · watching", "soft 60M", "begun")
        stage.go()
        opened.expect(GIVEN_BACK, LONG)
        said = opened.expect(r"(sentinel: leak: soft-limit: .*?)\r\n", LONG)[1]
        opened.expect(r"sentinel: leak: output is in ", LONG)
        assert opened.wait() == 124
    assert said in stage.log()


def test_ctrl_c_is_the_commands(stage: Stage) -> None:
    """As without a dashboard: it ends by SIGINT, and the shell gives up what follows."""
    with at_shell(stage, stage.dashboard("say begun; sleep 600")) as bash:
        bash.press("for i in 1 2; do run; done; echo not reached\n")
        see(bash, "begun", "watching")
        bash.press("\x03")
        bash.expect(GIVEN_BACK)
        assert "not reached" not in bash.prompt()
        assert bash.ask("echo $?") == "130"


def test_a_command_may_handle_ctrl_c(stage: Stage) -> None:
    """Then it goes on, and so does the dashboard."""
    with shown(
        stage, "trap 'say caught; exit 5' INT; say begun; while :; do sleep 0.1; done"
    ) as it:
        see(it, "begun", "watching")
        it.press("\x03")
        it.expect(GIVEN_BACK, LONG)
        assert it.wait() == 5
    assert "caught\n" in stage.log()


def test_stop_by_a_key(stage: Stage) -> None:
    """It is asked back, the run ends politely, and the verdict says who asked."""
    with shown(stage, WAITS, "--name", "waits") as opened:
        see(opened, "begun", "watching")
        opened.press("s")
        see(opened, "(y/n) stop waits")
        opened.press("y")
        opened.expect(rf"sentinel: waits: stopped: asked for by uid {os.geteuid()}; ", LONG)
        assert opened.wait() == 7


def test_a_viewer_that_is_killed_takes_nothing_with_it(stage: Stage) -> None:
    """The terminal is given back, output goes on there and in the log, the limit stands."""
    script = f"{COUNTS.replace(':;', f'[ ! -e {stage.gate} ];', 1)}; exec {LEAKS}"
    with shown(stage, script, "--limit", "60M", "--name", "counts") as opened:
        modes = opened.modes
        see(opened, "number ", "watching")
        guard, viewer = guard_and_viewer(opened.pid)
        (command,) = [pid for pid in children(guard) if state(pid) != "Z"]
        os.kill(viewer, signal.SIGKILL)
        opened.expect(GIVEN_BACK, LONG)
        opened.expect("sentinel: the dashboard is gone .SIGKILL., the command goes on", LONG)
        assert opened.modes == modes
        last = opened.expect(r"number (\d+)\.\r\n", LONG)[1]
        opened.expect(f"number {int(last) + 1}.\r\n", LONG)
        assert (state(guard) in "SR", state(command) in "SR") == (True, True)
        stage.go()
        opened.expect(r"sentinel: counts: soft-limit: ", LONG)
        assert opened.wait() == 124
        assert opened.modes == modes
    assert f"number {last}.\nnumber {int(last) + 1}.\n" in stage.log()


def test_a_closed_dashboard_leaves_a_plain_run(stage: Stage) -> None:
    """Its output comes to the terminal; Ctrl-C is the command's; its size is the terminal's."""
    script = "trap 'stty size </dev/tty; exit 6' INT; say begun; while :; do sleep 0.1; done"
    with at_shell(stage, stage.dashboard(script, "--name", "closed")) as bash:
        modes = bash.modes
        bash.press("run\n")
        see(bash, "begun", "watching")
        bash.press("q")
        bash.expect(GIVEN_BACK)
        bash.expect("sentinel: the dashboard is closed, the command goes on; see sentinel top\r\n")
        assert bash.modes == modes
        bash.press("\x03")
        bash.expect("24 80\r\n")
        bash.expect("sentinel: closed: output is in ")
        bash.prompt()
        assert bash.ask("echo $?") == "6"


def test_the_command_has_a_terminal_of_its_own(stage: Stage) -> None:
    """A terminal as large as the pane, at every size; nothing to read; nobody else's session."""
    script = (
        "trap 'stty size </dev/tty' WINCH; test -t 1 && test -t 2 && ! test -t 0 && say its own;"
        "stty size </dev/tty; while :; do sleep 0.1; done"
    )
    with shown(stage, script) as opened:
        see(opened, "its own", "12 80", "watching")
        opened.resize(Size(50, 100))
        see(opened, "38 100")
        guard, viewer = guard_and_viewer(opened.pid)
        assert members(opened.pid) == [opened.pid, viewer]
        assert guard in members(guard)
        opened.press("\x03")
        opened.wait()


def test_what_the_command_writes_is_never_obeyed(stage: Stage) -> None:
    """Titles, screens and questions to the terminal stay in the pane; the log has them all."""
    nasty = "\\033]0;owned\\007\\033[?1049l\\033[6n\\033[2J\\033[31m"
    with shown(stage, f"printf '{nasty}shown\\n'; sleep 600") as opened:
        see(opened, "shown", "watching")
        drawn = opened.text
        assert "owned" not in drawn
        assert "\x1b[6n" not in drawn
        assert "\x1b[?1049l" not in drawn
        opened.press("\x03")
        opened.expect(GIVEN_BACK)
        opened.wait()
    assert "\x1b]0;owned\x07\x1b[?1049l\x1b[6n\x1b[2J\x1b[31mshown\n" in stage.log()


def test_much_output_is_whole_in_the_log(stage: Stage) -> None:
    """However fast it comes; nothing of the end is lost."""
    with shown(stage, "seq 1 600000; say done.; exit 4") as opened:
        opened.expect(GIVEN_BACK, LONG)
        assert opened.wait() == 4
    lines = [line for line in stage.log().splitlines() if not line.startswith("sentinel:")]
    assert lines == [*(str(number) for number in range(1, 600001)), "done."]


def test_a_log_that_takes_no_more_is_told_in_the_picture(stage: Stage) -> None:
    """A pane that stands still is not taken for a command that does; the end says it again."""
    command = stage.dashboard(f"seq 1 100000; {stage.waits()}; exit 4", "--name", "much")
    argv = ["bash", "-c", 'ulimit -f 64; exec "$@"', "-", *command]
    with terminal(argv, stage.env) as opened:
        see(opened, "── output, NOT WHOLE in /")
        stage.go()
        opened.expect(GIVEN_BACK, LONG)
        opened.expect(r"sentinel: much: output is in \S+, not whole: File too large\r\n", LONG)
        assert opened.wait() == 4


def test_environment_and_arguments_are_the_users(stage: Stage) -> None:
    """Byte for byte the same with a dashboard and without."""
    found = []
    for name, options in (("plain", []), ("shown", ["--dashboard"])):
        target = stage.directory / name
        script = f"cat /proc/self/environ >{target}; tr '\\0' ' ' </proc/$$/cmdline >>{target}"
        argv = stage.argv("exec", *options, "--", "bash", "-c", script.replace(name, '"$0"'), name)
        env = {**stage.env, "ODD": "a\x01b", "SENTINEL_LIMIT": "250M", "LC_ALL": ""}
        with terminal(argv, env) as opened:
            opened.wait()
        found.append(target.read_bytes().replace(name.encode(), b"NAME"))
    assert found[0] == found[1]
    assert b"ODD=a\x01b" in found[0]


def test_ctrl_z_freezes_the_run_until_fg(stage: Stage) -> None:
    """Nothing of it runs while the shell has the terminal."""
    with at_shell(stage, stage.dashboard(COUNTS, "--backend", "rss")) as bash:
        modes = bash.modes
        bash.press("run\n")
        see(bash, "number ", "watching")
        keeper = bash.foreground
        guard, viewer = guard_and_viewer(keeper)
        (command,) = [pid for pid in children(guard) if state(pid) != "Z"]
        bash.press("\x1a")
        bash.expect("Stopped")
        bash.prompt()
        stopped = (keeper, viewer, command)
        bash.wait_for("all to stop", lambda: {state(pid) for pid in stopped} == {"T"}, LONG)
        assert bash.modes == modes
        bash.screen.reset()
        bash.press("fg\n")
        see(bash, "watching", "output, kept in")
        bash.wait_for("the run to go on", lambda: state(command) in "SR", LONG)
        bash.press("\x03")
        bash.expect(GIVEN_BACK, LONG)
        bash.prompt()
        assert bash.modes == modes


def test_a_stop_for_sentinel_alone_suspends_all_of_it(stage: Stage) -> None:
    """TSTP from a process does what Ctrl-Z does."""
    with at_shell(stage, stage.dashboard("say begun; sleep 600")) as bash:
        modes = bash.modes
        bash.press("run\n")
        see(bash, "begun", "watching")
        keeper = bash.foreground
        _, viewer = guard_and_viewer(keeper)
        os.kill(keeper, signal.SIGTSTP)
        bash.expect("Stopped")
        bash.prompt()
        bash.wait_for("both to stop", lambda: state(keeper) + state(viewer) == "TT", LONG)
        assert bash.modes == modes
        bash.screen.reset()
        bash.press("fg\n")
        see(bash, "watching", "begun")
        bash.press("\x03")
        bash.expect(GIVEN_BACK, LONG)
        bash.prompt()
        assert bash.modes == modes


def test_a_signal_for_sentinel_is_the_commands(stage: Stage) -> None:
    """TERM is passed on; the dashboard ends with the run."""
    with shown(stage, WAITS) as opened:
        modes = opened.modes
        see(opened, "begun", "watching")
        os.kill(opened.pid, signal.SIGTERM)
        opened.expect(GIVEN_BACK, LONG)
        assert opened.wait() == 7
        assert opened.modes == modes


def test_a_killed_keeper_leaves_nobody_behind(stage: Stage) -> None:
    """The command's terminal hangs up, and the dashboard gives back the user's."""
    with at_shell(stage, stage.dashboard("say begun; sleep 600")) as bash:
        modes = bash.modes
        bash.press("run\n")
        see(bash, "begun", "watching")
        keeper = bash.foreground
        guard, viewer = guard_and_viewer(keeper)
        command = children(guard)
        os.kill(keeper, signal.SIGKILL)
        bash.expect("Killed")
        wait_gone(bash, guard, viewer, *command)
        assert bash.modes == modes


def test_a_killed_guard_leaves_nobody_behind(stage: Stage) -> None:
    """Sentinel ends with the status of a kill, on a terminal that was given back."""
    with shown(stage, "say begun; sleep 600") as opened:
        modes = opened.modes
        see(opened, "begun", "watching")
        guard, viewer = guard_and_viewer(opened.pid)
        command = children(guard)
        os.kill(guard, signal.SIGKILL)
        opened.expect(GIVEN_BACK, LONG)
        opened.expect("sentinel: bash: output is in ", LONG)
        assert opened.wait() == 137
        wait_gone(opened, viewer, *command)
        assert opened.modes == modes


def test_a_window_that_is_closed_ends_it_all(stage: Stage) -> None:
    """The command hears of it by SIGHUP, as without a dashboard."""
    told = stage.directory / "told"
    script = f"trap 'echo hup >{told}; exit 9' HUP; say begun; while :; do sleep 0.1; done"
    with shown(stage, script) as opened:
        see(opened, "begun", "watching")
        guard, viewer = guard_and_viewer(opened.pid)
        opened.hang_up()
        assert opened.wait() == 9
        wait_gone(opened, guard, viewer)
    assert told.read_text() == "hup\n"


@pytest.mark.parametrize(
    ("options", "variables", "said"),
    [
        (["--dashboard"], {}, "sentinel: no dashboard: standard input and output are not both "),
        (["--dashboard", "-q"], {}, ""),
        ([], {"SENTINEL_DASHBOARD": "1"}, ""),
        (["--dashboard=no"], {"SENTINEL_DASHBOARD": "1"}, ""),
    ],
)
def test_without_a_terminal_the_command_is_guarded_plainly(
    stage: Stage, options: list[str], variables: dict[str, str], said: str
) -> None:
    """Who asked for a dashboard on the command line is told why there is none, once."""
    done = subprocess.run(
        stage.argv("exec", "--backend", "rss", *options, "--", "sh", "-c", "cat; exit 4"),
        input=b"its own input",
        env={**os.environ, **stage.env, **variables},
        capture_output=True,
        timeout=LONG,
        check=False,
    )
    assert (done.returncode, done.stdout) == (4, b"its own input")
    assert done.stderr.decode().count("no dashboard") == bool(said)
    assert said in done.stderr.decode()
    assert not stage.logs.exists()


def test_a_place_for_the_log_is_needed(stage: Stage) -> None:
    """Without one the command is guarded all the same."""
    env = {**stage.env, "XDG_STATE_HOME": "/proc/nowhere"}
    argv = stage.argv("exec", "--dashboard", "--", *BASH, "-c", "test -t 0 && exit 4")
    with terminal(argv, env) as opened:
        opened.expect("sentinel: no dashboard: cannot keep the output in /proc/nowhere/")
        assert opened.wait() == 4


def test_the_environment_turns_it_on(stage: Stage) -> None:
    """And a terminal is all that it needs."""
    argv = stage.argv("exec", "--", "bash", "-c", "sleep 600")
    with terminal(argv, {**stage.env, "SENTINEL_DASHBOARD": "1"}) as opened:
        see(opened, "sentinel · bash · watching")
        opened.press("k")
        see(opened, "(y/n) kill bash")
        opened.press("y")
        opened.expect("sentinel: bash: killed: ", LONG)
        assert opened.wait() == 137


def test_an_option_that_is_wrong_is_told_before_anything_is_drawn(stage: Stage) -> None:
    """As without a dashboard."""
    with terminal(stage.argv("exec", "--dashboard", "--limit", "x", "--", "true"), stage.env) as it:
        it.expect("sentinel: --limit: 'x' is not a size")
        assert it.wait() == 2
        assert "\x1b" not in it.text


def test_a_command_that_is_not_there(stage: Stage) -> None:
    """The reason is told on the terminal that was given back."""
    argv = stage.argv("exec", "--dashboard", "--", "/nonexistent/program")
    with terminal(argv, stage.env) as opened:
        modes = opened.modes
        opened.expect("sentinel: '/nonexistent/program': no such file", LONG)
        assert opened.wait() == 127
        assert opened.modes == modes
