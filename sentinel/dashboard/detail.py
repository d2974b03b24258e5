"""One run in some lines: gauges, composition, processes by memory, events."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from sentinel.dashboard import gauges
from sentinel.dashboard.board import Happened, Process, Watched
from sentinel.dashboard.gauges import Glyphs
from sentinel.model.spec import Count
from sentinel.model.status import RunStatus
from sentinel.report.lines import printable

LABEL = 9


def gauge_lines(run: Watched, width: int, glyphs: Glyphs) -> list[Text]:
    """The most telling line first."""
    if run.status is None:
        why = run.ended or f"{run.name}: {run.why_silent or 'asked, no answer yet'}"
        return [Text(printable(why), "dim")]
    lines = [
        _limits(run, run.status, width, glyphs),
        _history(run, run.status, width, glyphs),
        _parts(run.status, width, glyphs),
        _trend(run, run.status, width, glyphs),
    ]
    if run.why_silent and not run.ended:
        lines.insert(0, Text(f"no answer: {printable(run.why_silent)}", "bold red"))
    return lines


def _labelled(label: str) -> Text:
    # A style given to Text itself is that of all that is appended, too.
    return Text(no_wrap=True).append(label.ljust(LABEL), "dim")


def _limits(run: Watched, status: RunStatus, width: int, glyphs: Glyphs) -> Text:
    limits = status.limits
    hard = "no hard limit" if limits.hard is None else f"hard {gauges.size(limits.hard)}"
    counted = {"workingset": "", "anon": " anon", "total": " total"}[limits.counted.value]
    figures = f" {gauges.size(run.used)}{counted}, soft {gauges.size(limits.soft)}, {hard}"
    line = _labelled("memory")
    line.append_text(gauges.bar(run.used, limits, width - LABEL - len(figures), glyphs))
    line.append(figures)
    return line


def _history(run: Watched, status: RunStatus, width: int, glyphs: Glyphs) -> Text:
    figures = f" peak {gauges.size(_peak(status, run.used))}"
    room = width - LABEL - len(figures)
    values = [sample.used for sample in run.history]
    line = _labelled("history")
    drawn = gauges.sparkline(values, room, status.limits.soft, glyphs)
    line.append(" " * (room - len(drawn)))
    line.append_text(drawn)
    line.append(figures)
    return line


def _peak(status: RunStatus, used: int | None) -> int | None:
    """The most that counted as the run tells it, or what is `used` now, between two surveys."""
    tally = status.tally
    told = tally.peak_working_set
    if told is None or status.limits.counted is Count.TOTAL:
        told = tally.peak_current
    return max((size for size in (told, used) if size is not None), default=None)


def _parts(status: RunStatus, width: int, glyphs: Glyphs) -> Text:
    """What the memory is made of, largest first; with the cache that reclaim can free."""
    reading = status.reading
    line = _labelled("made of")
    if reading is None:
        line.append("not read yet" if status.state != "done" else gauges.UNKNOWN, "dim")
        return line
    known = [] if reading.composition is None else list(reading.composition._asdict().items())
    if not known and reading.anon is not None:
        known = [("anon", reading.anon)]
    parts = [f"{name} {gauges.size(part)}" for name, part in _largest(known) if part]
    parts.append(f"all {gauges.size(reading.current)}")
    if reading.tasks is not None:
        parts.append(f"{reading.tasks} task{'' if reading.tasks == 1 else 's'}")
    line.append(_fitting(parts, width - LABEL, glyphs))
    return line


def _fitting(words: Sequence[str], room: int, glyphs: Glyphs) -> str:
    """As many of `words` as have room whole, the first in any case."""
    kept = list(words)
    while len(kept) > 1 and len(glyphs.gap.join(kept)) > room:
        kept.pop()
    return glyphs.gap.join(kept)


def _largest(parts: list[tuple[str, int]]) -> list[tuple[str, int]]:
    return sorted(parts, key=lambda part: -part[1])


def _trend(run: Watched, status: RunStatus, width: int, glyphs: Glyphs) -> Text:
    growth, left = run.growth, run.time_to_limit
    words = [gauges.growth(growth)]
    if left is not None and growth is not None and growth >= gauges.STEADY:
        words.append(f"limit in {gauges.seconds(left)}")
    if status.pressure is not None:
        some, full = status.pressure
        words.append(f"PSI {some:.0f}% some, {full:.0f}% full")
    words.append(f"grace {gauges.seconds(status.stop.grace)}")
    tally = status.tally
    if status.backend != "rss":
        words.append(f"high events {tally.high_events}, {tally.high_ignored} ignored")
    line = _labelled("growth")
    line.append(_fitting(words, width - LABEL, glyphs))
    return line


def process_lines(processes: Sequence[Process], omitted: int, glyphs: Glyphs) -> list[Text]:
    """The process tree, siblings by their memory, the largest first."""
    lines = []
    for depth, process in _walk(processes):
        line = Text(f"{gauges.size(process.rss):>7} ", no_wrap=True)
        line.append(f"{process.pid:>7} ", "dim")
        line.append("  " * max(0, depth - 1) + (glyphs.branch if depth else ""), "dim")
        line.append(printable(process.name))
        if process.state in ("T", "D", "Z"):
            line.append(f" ({process.state})", "bold")
        if process.threads is not None and process.threads > 1:
            line.append(f" {process.threads} threads", "dim")
        lines.append(line)
    if omitted:
        lines.append(Text(f"{'':8}{omitted} more", "dim"))
    return lines


DEEPEST = 6


def _walk(processes: Sequence[Process]) -> list[tuple[int, Process]]:
    """Every process once with its depth; whose parent is not among them is at the top."""
    known = {process.pid: process for process in processes}
    ordered = sorted(known.values(), key=lambda process: -(process.rss or 0))
    below: dict[int, list[Process]] = {}
    for process in ordered:
        at_top = process.parent not in known or process.parent == process.pid
        below.setdefault(0 if at_top else process.parent, []).append(process)
    walked: list[tuple[int, Process]] = []
    waiting = [(0, process) for process in reversed(below.get(0, []))]
    while waiting:
        depth, process = waiting.pop()
        walked.append((min(depth, DEEPEST), process))
        if process.pid:
            waiting += [(depth + 1, child) for child in reversed(below.pop(process.pid, []))]
    return walked


def event_lines(events: Sequence[Happened], room: int) -> list[Text]:
    """The newest `room` events, oldest first."""
    lines = []
    for event in events[-room:] if room > 0 else ():
        line = Text(no_wrap=True).append(f"{event.at:+9.2f}s ", "dim")
        line.append(printable(event.what))
        if event.detail:
            line.append(f": {printable(event.detail)}")
        if event.current is not None:
            line.append(f" {gauges.size(event.current)}", "dim")
        lines.append(line)
    return lines
