"""What the control socket answers: a run's status as lines for people and as a document.

Unknown is `unknown` in the lines and null in the document, never 0. json is imported by the
first answer that needs it: a run that nobody asks for JSON never pays for it.
"""

from __future__ import annotations

from collections.abc import Mapping

from sentinel.control.codec import VERBS
from sentinel.model.errors import SentinelError
from sentinel.model.outcome import Moment, Outcome
from sentinel.model.snapshot import Reading
from sentinel.model.status import Actions, RunStatus
from sentinel.model.units import format_duration, format_size

SCHEMA = 1
UNKNOWN = "unknown"
Document = Mapping[str, object]

_COLUMN = 13


def dumped(document: Document) -> str:
    """One line of JSON. Undecodable bytes of names stand as lone escapes, as json writes them."""
    import json

    return json.dumps(document, separators=(",", ":")) + "\n"


def error_line(error: SentinelError | str, *, json: bool = False) -> str:
    """One line that says what is wrong and what to do."""
    text = str(error)
    return dumped({"schema": SCHEMA, "error": text}) if json else f"error: {text}\n"


def told(name: str, text: str, *, json: bool) -> str:
    """One line that says what was begun."""
    return dumped({"schema": SCHEMA, "name": name, "answer": text}) if json else f"{text}\n"


def help_text(*, json: bool) -> str:
    """The verbs."""
    if json:
        verbs = {name: {"words": verb.words, "help": verb.help} for name, verb in VERBS.items()}
        return dumped({"schema": SCHEMA, "verbs": verbs})
    lines = [f"{name} {verb.words}".ljust(24) + verb.help for name, verb in VERBS.items()]
    lines.append("A last word `json` makes the answer JSON.")
    return "".join(line + "\n" for line in lines)


def status_text(status: RunStatus, runs: int = 1) -> str:
    """Aligned lines; `runs` is how many live runs of the owner the line may have meant."""
    first = [f"1 of {runs} runs, see: sentinel ls"] if runs > 1 else []
    pairs = (
        ("name", status.name),
        ("verdict", status.verdict or "none so far"),
        ("state", status.state + (", frozen" if status.frozen else "")),
        ("backend", status.backend),
        ("pid", str(status.pid)),
        ("command", status.command),
        ("elapsed", format_duration(status.elapsed)),
        *_memory_pairs(status.reading),
        ("peak", _sizes(status.tally.peak_current, status.tally.peak_working_set)),
        *_limit_pairs(status),
        ("high events", _events(status)),
        ("growth", _growth(status)),
        ("time to limit", _time_to_limit(status)),
        *(() if status.pressure is None else (("pressure", _pressure(status)),)),
    )
    lines = [f"{label:<{_COLUMN}}  {shown(value)}" for label, value in pairs]
    return "".join(line + "\n" for line in (*first, *lines))


def shown(text: str) -> str:
    """Text of a run for a terminal: what cannot be printed is escaped."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def _size(size: int | None) -> str:
    return UNKNOWN if size is None else format_size(size)


def _sizes(current: int | None, working_set: int | None) -> str:
    return f"{_size(current)} (working set {_size(working_set)})"


def _memory_pairs(reading: Reading | None) -> tuple[tuple[str, str], ...]:
    if reading is None:
        return (("current", UNKNOWN), ("working set", UNKNOWN), ("anon", UNKNOWN))
    return (
        ("current", _size(reading.current)),
        ("working set", _size(reading.working_set)),
        ("anon", _size(reading.anon)),
    )


def _limit_pairs(status: RunStatus) -> tuple[tuple[str, str], ...]:
    limits = status.limits
    hard = "none" if limits.hard is None else format_size(limits.hard)
    return (
        ("limit", f"{format_size(limits.soft)} of {limits.counted.value}"),
        ("hard limit", hard),
        ("grace", format_duration(status.stop.grace)),
    )


def _events(status: RunStatus) -> str:
    return f"{status.tally.high_events} counted, {status.tally.high_ignored} ignored"


def _growth(status: RunStatus) -> str:
    if status.growth is None:
        return UNKNOWN
    sign = "+" if status.growth > 0 else ""
    return f"{sign}{format_size(status.growth)}/s"


def _time_to_limit(status: RunStatus) -> str:
    if status.growth is None:
        return UNKNOWN
    left = status.time_to_limit
    return "does not grow" if left is None else format_duration(left)


def _pressure(status: RunStatus) -> str:
    pressure = status.pressure
    return "" if pressure is None else f"some {pressure.some:.1f}%, full {pressure.full:.1f}%"


def status_document(status: RunStatus, uid: int, runs: int = 1) -> dict[str, object]:
    """What `status json` says: sizes in bytes, times in seconds, null where nobody knows."""
    limits, tally = status.limits, status.tally
    return {
        "schema": SCHEMA,
        "name": status.name,
        "state": status.state,
        "verdict": status.verdict or None,
        "backend": status.backend,
        "pid": status.pid,
        "leaf": status.leaf or None,
        "command": status.command,
        "uid": uid,
        "started": status.started,
        "elapsed": status.elapsed,
        "frozen": status.frozen,
        "memory": None if status.reading is None else _memory_document(status.reading),
        "peak": {"current": tally.peak_current, "working_set": tally.peak_working_set},
        "limits": {
            "soft": limits.soft,
            "hard": limits.hard,
            "swap": limits.swap,
            "pids": limits.pids,
            "cpus": limits.cpus,
            "count": limits.counted.value,
        },
        "grace": status.stop.grace,
        "high_events": {"counted": tally.high_events, "ignored": tally.high_ignored},
        "growth": status.growth,
        "time_to_limit": status.time_to_limit,
        "pressure": None if status.pressure is None else status.pressure._asdict(),
        "runs": runs,
    }


def _memory_document(reading: Reading) -> dict[str, object]:
    made_of = reading.composition
    return {
        "current": reading.current,
        "working_set": reading.working_set,
        "anon": reading.anon,
        "composition": None if made_of is None else made_of._asdict(),
        "tasks": reading.tasks,
    }


def metrics_document(status: Document, actions: Actions) -> dict[str, object]:
    """What `metrics json` says: the status, and the guard's own counters."""
    return {
        "schema": SCHEMA,
        "status": status,
        "actions": dict(actions.counts),
        "reactions": list(actions.reactions),
        "terminations": list(actions.terminations),
    }


def hello_line(status: RunStatus) -> str:
    """The first line of `events`."""
    return dumped({"schema": SCHEMA, "event": "hello", "name": status.name, "state": status.state})


def event_line(status: RunStatus, moment: Moment, told_at: tuple[float, float]) -> str:
    """A moment of the timeline; `told_at` is monotonic and wall time, `state` the present one."""
    monotonic, wall = told_at
    return dumped(
        {
            "at": moment.at,
            "monotonic": monotonic,
            "time": wall,
            "name": status.name,
            "event": moment.what,
            "detail": moment.detail,
            "current": moment.current,
            "state": status.state,
        }
    )


def lost_line(count: int) -> str:
    """In place of `count` lines that a reader was too slow for."""
    return dumped({"event": "lost", "count": count})


def over_line(outcome: Outcome, told_at: tuple[float, float]) -> str:
    """The last line of `events`."""
    monotonic, wall = told_at
    return dumped(
        {
            "event": "over",
            "verdict": outcome.verdict.value,
            "name": outcome.name,
            "exit_status": outcome.exit_status,
            "at": outcome.elapsed,
            "monotonic": monotonic,
            "time": wall,
            "asked_by": outcome.asked_by or None,
        }
    )
