"""The picture: what stands where, at any size, whatever the runs are called."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from sentinel.dashboard.board import Board, Process, Size
from sentinel.dashboard.detail import event_lines, gauge_lines
from sentinel.dashboard.gauges import ASCII, UNICODE
from sentinel.dashboard.layout import pane_size
from sentinel.model.spec import Count
from tests.dashboard.boards import BOARD, HOSTILE, LEAK, RUNS, drawn, golden, watched

ALL_RUNS = """\
sentinel top · 3 runs
  NAME              STATE         USED  LIMIT OF LIMIT           GROWTH LIMIT IN
▶ leaker            watching      148M   200M ███████░░░  74%    +12M/s     4.3s
  frozen            frozen         20M   200M █░░░░░░░░░  10%         -        -
  over              terminating   230M   200M ██████████ 115%     -2M/s        -
── leaker, watching, pid 4242, cgroup, python3, runs for 12s ───────────────────
memory   █████████████████████▊░░░░░░░┃░░░░░░░░░░░░░░ 148M, soft 200M, hard 300M
history                                                    ▂▃▃▄▅▅▆▇▇██ peak 150M
made of  anon 147M · file 3M · kernel 1M · all 151M · 5 tasks
growth   +12M/s · limit in 4.3s · PSI 4% some, 0% full · grace 3s
PROCESSES BY MEMORY                      EVENTS
   100M    4242 python3 4 threads           +11.90s soft crossed 200M
    30M    4250 └ worker                    +12.00s asked to stop: SIGTERM
      -    4260   └ sh (Z)
    12M    4251 └ worker (D)
        2 more







↑↓ select  s stop  k kill  f freeze  + - limit  ? help  q quit"""

ONE_WITH_OUTPUT = """\
sentinel · leaker · watching, pid 4242, cgroup, python3, runs for 12s
memory   █████████████████████▊░░░░░░░┃░░░░░░░░░░░░░░ 148M, soft 200M, hard 300M
history                                                    ▂▃▃▄▅▅▆▇▇██ peak 150M
made of  anon 147M · file 3M · kernel 1M · all 151M · 5 tasks
growth   +12M/s · limit in 4.3s · PSI 4% some, 0% full · grace 3s
PROCESSES BY MEMORY                      EVENTS
   100M    4242 python3 4 threads           +11.90s soft crossed 200M
    30M    4250 └ worker                    +12.00s asked to stop: SIGTERM
      -    4260   └ sh (Z)
        3 more
── output, kept in /home/me/x.log ──────────────────────────────────────────────
line 1
line 2
line 3
line 4
line 5
line 6
line 7
line 8
line 9
line 10
line 11
line 12
s stop  k kill  f freeze  + - limit  ^C interrupt  ? help  q close"""

NARROW_ASCII_QUESTION = """\
sentinel top - 3 runs
  NAME          STATE         USED  LIMIT LIMIT IN
  leaker        watching      148M   200M     4.3s
  frozen        frozen         20M   200M        -
> over          terminating   230M   200M        -
-- over, terminating, pid 4242, cgroup, python3, ~
memory   #########|.... 230M, soft 200M, hard 300M
history                      ########### peak 232M
made of  anon 229M - file 3M - kernel 1M
growth   -2M/s - PSI 4% some, 0% full - grace 3s
PROCESSES BY MEMORY
   100M    4242 python3 4 threads
        5 more
(y/n) stop over: its signal, then its grace?"""

sizes = st.builds(Size, st.integers(1, 220), st.integers(1, 70))


def test_all_runs_at_80x24() -> None:
    """The table, the selected run closely, its processes by memory, its newest events."""
    assert golden(drawn(BOARD, Size(80, 24))) == ALL_RUNS


def test_one_run_with_its_output_at_80x24() -> None:
    """No table, and half of the screen for what the command writes."""
    board = BOARD._replace(runs=RUNS[:1], pane="/home/me/x.log")
    output = tuple(Text(f"line {number}") for number in range(1, 13))
    assert golden(drawn(board, Size(80, 24), output)) == ONE_WITH_OUTPUT


def test_a_small_terminal_without_unicode() -> None:
    """What tells least is left out, and a question stands before the keys."""
    board = BOARD._replace(selected=2, question="stop over: its signal, then its grace?")
    assert golden(drawn(board, Size(50, 14), glyphs=ASCII)) == NARROW_ASCII_QUESTION


def test_no_run() -> None:
    """An empty board says how to fill it."""
    lines = drawn(Board(), Size(60, 8))
    assert lines[0].rstrip() == "sentinel top · 0 runs"
    assert lines[2].rstrip() == " no run is live: start one with sentinel exec CMD"


def test_very_many_runs_scroll() -> None:
    """The selected run is always among those that are shown, and always shown closely."""
    runs = tuple(watched(f"run-{number}", 1 << 20) for number in range(300))
    for selected in (0, 150, 299):
        lines = drawn(Board(runs=runs, selected=selected), Size(80, 24))
        (cursor,) = [line for line in lines if line.startswith("▶")]
        assert cursor.split()[1] == f"run-{selected}"
        assert sum("watching" in line for line in lines) > 10
        assert any(line.startswith("memory") for line in lines)
        first = min(max(0, selected - 8), 284)
        assert lines[0].rstrip() == f"sentinel top · 300 runs · lines {first + 1} to {first + 16}"


def test_what_is_not_known_is_a_dash() -> None:
    """A run that has not answered has no numbers, rather than zeros."""
    unknown = LEAK._replace(status=None, used=None, history=(), events=())
    lines = drawn(Board(runs=(unknown,)), Size(80, 24))
    assert lines[2].split() == ["▶", "leaker", "new", "-", "-", "-", "-", "-"]


def test_a_run_without_a_socket_is_no_alarm() -> None:
    """It cannot be asked, which is not the same as being silent."""
    deaf = LEAK._replace(socket="", status=None, why_silent="it was started with --no-socket")
    lines = drawn(Board(runs=(deaf,)), Size(80, 24))
    assert lines[2].split()[1:4] == ["leaker", "no", "socket"]
    assert lines[4].rstrip() == "leaker: it was started with --no-socket"


def test_a_frozen_run_does_not_grow() -> None:
    """Growth is not judged, so that nothing is said of the time to the limit either."""
    frozen = watched("frozen", 20 << 20, growth=1 << 20, frozen=True)
    assert (frozen.growth, frozen.time_to_limit) == (None, None)
    assert drawn(Board(runs=(frozen,)), Size(80, 24))[2].split()[-2:] == ["-", "-"]


@pytest.mark.parametrize(
    ("count", "used", "peak"),
    [("workingset", 148, 150), ("workingset", 151, 151), ("total", 1, 156)],
)
def test_the_peak_is_of_what_counts(count: str, used: int, peak: int) -> None:
    """And no less than what is used now: the rss backend tells it at its surveys only."""
    assert LEAK.status is not None
    limits = LEAK.status.limits._replace(counted=Count(count))
    status = LEAK.status._replace(limits=limits)
    run = LEAK._replace(status=status, used=used << 20)
    assert drawn(Board(runs=(run,)), Size(80, 24))[5].endswith(f" peak {peak}M")


@pytest.mark.parametrize(
    ("pane", "columns", "foot"),
    [
        (None, 60, "↑↓ select  s stop  k kill  f freeze  ? help  q quit"),
        (None, 40, "↑↓ select  s stop  ? help  q quit"),
        (None, 20, "? help  q quit"),
        ("/x", 60, "s stop  k kill  f freeze  + - limit  ? help  q close"),
        ("/x", 20, "? help  q close"),
    ],
)
def test_the_foot_of_a_narrow_terminal(pane: str | None, columns: int, foot: str) -> None:
    """Keys that have no room are left out whole; help and the way out always stand there."""
    lines = drawn(BOARD._replace(pane=pane), Size(columns, 8))
    assert lines[-1].rstrip() == foot


def test_what_a_run_answered_leaves_the_way_out_in_sight() -> None:
    """Where both have room; it stays until the next key."""
    told = BOARD._replace(message="leaker: limit 220M")
    wide, narrow = (drawn(told, Size(columns, 24))[-1] for columns in (60, 30))
    assert wide == "leaker: limit 220M" + " " * 28 + "? help  q quit"
    assert narrow.rstrip() == "leaker: limit 220M"


def test_the_foot_of_the_help() -> None:
    """It says how to leave it."""
    assert drawn(BOARD._replace(help=True), Size(80, 24))[-1].rstrip() == "any key goes back"


def test_a_silent_run_is_shown_with_its_last_answer() -> None:
    """Why it is silent stands above the numbers, which stay."""
    silent = LEAK._replace(why_silent="no answer within 0.9 s")
    lines = drawn(Board(runs=(silent,)), Size(80, 24))
    assert lines[2].split()[:4] == ["▶", "leaker", "silent", "148M"]
    assert lines[4].rstrip() == "no answer: no answer within 0.9 s"
    assert lines[5].startswith("memory")


def test_only_labels_are_dim() -> None:
    """What is looked for in the night stands out: the figures, and what happened."""
    console = Console()
    lines = gauge_lines(LEAK, 80, UNICODE) + event_lines(LEAK.events, 2)
    for line, word in zip(lines, ("148M", "peak", "anon", "+12M/s", "soft", "asked"), strict=True):
        assert line.get_style_at_offset(console, 0).dim
        assert not line.get_style_at_offset(console, line.plain.index(word)).dim


@given(sizes)
def test_every_size_is_filled_exactly(size: Size) -> None:
    """Nothing wraps and nothing scrolls, down to a single character."""
    for board in (BOARD, BOARD._replace(help=True), BOARD._replace(pane="/x", runs=RUNS[:1])):
        lines = drawn(board, size, (Text("x" * 300),) * 80)
        assert len(lines) == size.rows
        assert {cell_len(line) for line in lines} == {size.columns}


@given(sizes)
def test_the_pane_has_the_rows_that_the_command_is_told(size: Size) -> None:
    """What the command writes on its last row is seen."""
    inner = pane_size(size)
    board = BOARD._replace(pane="/x", runs=RUNS[:1])
    output = tuple(Text(chr(ord("A") + row % 26)) for row in range(inner.rows))
    lines = drawn(board, size, output)
    if size.rows >= 4:
        assert [line[0] for line in lines[-inner.rows - 1 : -1]] == [row.plain for row in output]


@pytest.mark.parametrize("size", [Size(80, 24), Size(200, 50), Size(20, 5)])
def test_names_are_data(size: Size) -> None:
    """Escape sequences, markup, line ends and stray bytes are shown, never obeyed."""
    run = LEAK._replace(name=HOSTILE, events=(LEAK.events[0]._replace(detail=HOSTILE),))
    assert run.status is not None
    run = run._replace(status=run.status._replace(command=HOSTILE, state=HOSTILE))
    processes = (Process(1, 0, HOSTILE, "S", 1 << 20, 1),)
    board = Board(runs=(run,), processes=processes, question=HOSTILE, pane=None)
    for one in (board, board._replace(question="", message=HOSTILE), board._replace(pane=HOSTILE)):
        lines = drawn(one, size)
        assert len(lines) == size.rows
        assert all(line.isprintable() for line in lines)
    unknown = run._replace(status=None)
    for told in (unknown._replace(why_silent=HOSTILE), unknown._replace(ended=HOSTILE)):
        assert all(line.isprintable() for line in drawn(board._replace(runs=(told,)), size))
    wide = drawn(board._replace(question=""), Size(200, 50))
    assert wide[2].split()[1] == "\\x1b[31m[red]\\n\\u202e\\x80"
