"""The picture of `sentinel top` in docs/: real runs in a real terminal, drawn as they were seen.

    python -m docs.screenshot >docs/top.svg                  on this machine
    python -m tests.lab --kernel 6.1 -- .venv/bin/python -m docs.screenshot >docs/top.svg

A leak on its way to its limit, a build that works, a run that was frozen by a key, and one that
was just stopped at its limit.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from sentinel.dashboard.board import Size
from sentinel.dashboard.pane import screen_lines
from tests.cli.terminal import Size as TerminalSize
from tests.cli.terminal import Terminal, terminal
from tests.lab import ROOT

SIZE = Size(108, 18)
QUIET = 0.3
"""Seconds; pictures follow each other once a second."""

PATIENCE = 120.0
"""Seconds; an emulated CPU takes its time."""

WORKER = "import time; held = bytearray(b'x') * (24 << 20); time.sleep(900)"
LEAKER = [sys.executable, os.path.join(ROOT, "tests", "leaker.py")]
FONT_FACE = re.compile(r"@font-face \{.*?\}\n", re.DOTALL)
"""What would have a reader's browser ask somebody else for a font."""


class Stage:
    """A place of its own for the runs of the picture."""

    def __init__(self, directory: str, ends: ExitStack) -> None:
        """`ends` ends what is started."""
        self._directory = directory
        self._ends = ends

    def argv(self, *words: str) -> list[str]:
        """The command line of a Sentinel that sees only these runs."""
        return [sys.executable, "-m", "tests.cli.private", self._directory, *words]

    def start(self, name: str, limit: str, command: Sequence[str]) -> None:
        """Guard `command`."""
        words = self.argv("exec", "-q", "--name", name, "--limit", limit, "--", *command)
        process = subprocess.Popen(
            words,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._ends.callback(process.wait)
        self._ends.callback(self._kill, name)

    def _kill(self, name: str) -> None:
        """End a run, frozen ones too."""
        subprocess.run(self.argv("kill", name), cwd=ROOT, capture_output=True, check=False)


def see(opened: Terminal, pattern: str) -> None:
    """Wait until a line of the screen shows `pattern`."""
    opened.wait_for(
        pattern,
        lambda: any(re.search(pattern, line) for line in opened.screen.display),
        PATIENCE,
    )


def select(opened: Terminal, name: str) -> None:
    """Move the cursor down, from the first run, until it is at `name`."""
    opened.press("\x1b[H")
    at_top = partial(_is_first_selected, opened)
    opened.wait_for("the cursor at the first run", at_top, PATIENCE)
    for _ in range(4):
        see(opened, "▶ ")
        here = next(line for line in opened.screen.display if line.startswith("▶"))[:20]
        if name in here:
            return
        opened.press("\x1b[B")
        moved = partial(_is_gone, opened, here)
        opened.wait_for("a move of the cursor", moved, PATIENCE)
    raise LookupError(f"{name} is not on the screen")


def _is_first_selected(opened: Terminal) -> bool:
    return opened.screen.display[2].startswith("▶")


def _is_gone(opened: Terminal, start: str) -> bool:
    return not any(line.startswith(start) for line in opened.screen.display)


class Quiet:
    """Whether nothing was drawn for a while: the screen holds one whole picture."""

    def __init__(self, opened: Terminal) -> None:
        """Count from now."""
        self._opened = opened
        self._seen = -1
        self._since = 0.0

    def __call__(self) -> bool:
        """Look."""
        shown = len(self._opened.text)
        if shown != self._seen:
            self._seen, self._since = shown, time.monotonic()
        return time.monotonic() - self._since > QUIET


def perform(stage: Stage) -> list[Text]:
    """Let the runs do what the picture is to show; the screen when they do."""
    workers = " & ".join([f'"$0" -c "{WORKER}"'] * 3)
    stage.start("build", "1G", ["sh", "-c", f"{workers} & wait", sys.executable])
    stage.start("train", "200M", [*LEAKER, "--rate", "4"])
    stage.start("report", "64M", ["sleep", "900"])
    with terminal(stage.argv("top"), {"PYTHONPATH": ROOT, "COLORTERM": "truecolor"}) as opened:
        see(opened, "report .*watching")
        opened.resize(TerminalSize(SIZE.rows, SIZE.columns))
        see(opened, "PID BACKEND")
        see(opened, "build .*watching")
        see(opened, "train .*watching")
        select(opened, "report")
        opened.press("f")
        see(opened, "freeze report")
        opened.press("y")
        see(opened, "report +frozen")
        select(opened, "train")
        opened.press("+")
        see(opened, "raise the limit of train")
        opened.press("y")
        see(opened, "limit changed")
        see(opened, r"train .* [5-8]\d% ")
        stage.start("nightly", "40M", [*LEAKER, "--rate", "16"])
        see(opened, "nightly +soft-limit")
        see(opened, "PROCESSES BY MEMORY")
        opened.wait_for("a whole picture", Quiet(opened), PATIENCE)
        lines = screen_lines(opened.screen, SIZE)
        opened.press("q")
        opened.wait()
    return lines


def picture(lines: Sequence[Text]) -> str:
    """The lines as an SVG that asks nobody for a font."""
    console = Console(record=True, file=io.StringIO(), width=SIZE.columns, legacy_windows=False)
    for line in lines:
        console.print(line, crop=True, no_wrap=True)
    shape = FONT_FACE.sub("", CONSOLE_SVG_FORMAT)
    return console.export_svg(title="sentinel top", code_format=shape, unique_id="top")


def main() -> None:
    """Draw it."""
    with tempfile.TemporaryDirectory() as directory, ExitStack() as ends:
        drawn = picture(perform(Stage(directory, ends)))
    print(drawn)


if __name__ == "__main__":
    main()
