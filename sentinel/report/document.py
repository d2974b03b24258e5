"""An outcome as one JSON document. Its fields are a promise: a change of meaning is a new schema.

Sizes are bytes, times are seconds, unknown is null. Text is valid Unicode whatever the bytes
were: what is not UTF-8 is written with backslashes.
"""

from __future__ import annotations

from sentinel.model.outcome import Exited, Outcome, Signalled
from sentinel.model.snapshot import Reading
from sentinel.model.spec import Limits
from sentinel.report.lines import escape

SCHEMA = 1

Json = dict[str, object]


def document(outcome: Outcome) -> bytes:
    """`outcome` as one line of JSON in ASCII, newline included."""
    import json

    text = json.dumps(as_json(outcome), allow_nan=False, ensure_ascii=True)
    return text.encode("ascii") + b"\n"


def as_json(outcome: Outcome) -> Json:
    """`outcome` as JSON values."""
    ledger = outcome.ledger
    return {
        "schema": SCHEMA,
        "name": _text(outcome.name),
        "backend": _text(outcome.backend),
        "verdict": outcome.verdict.value,
        "exit_status": outcome.exit_status,
        "command_status": _command_status(outcome),
        "asked_by": _text(outcome.asked_by),
        "failure": _text(outcome.failure),
        "limits": _limits(outcome.limits),
        "peak": {"current": ledger.peak_current, "working_set": ledger.peak_working_set},
        "timeline": [
            {
                "at": moment.at,
                "what": _text(moment.what),
                "detail": _text(moment.detail),
                "current": moment.current,
            }
            for moment in outcome.timeline
        ],
        "survivors_killed": outcome.survivors_killed,
        "left_behind": [
            {"pid": one.pid, "name": _text(one.name), "state": _text(one.state)}
            for one in ledger.left_behind
        ],
        "unremoved": _text(ledger.unremoved),
        "unenforced": list(outcome.unenforced),
        "evidence": _evidence(outcome),
    }


def _command_status(outcome: Outcome) -> Json | None:
    status = outcome.command_status
    if isinstance(status, Exited):
        return {"exited": status.code}
    if isinstance(status, Signalled):
        return {"signalled": status.signal}
    return None


def _limits(limits: Limits) -> Json:
    return {
        "soft": limits.soft,
        "hard": limits.hard,
        "swap": limits.swap,
        "pids": limits.pids,
        "cpus": limits.cpus,
        "count": limits.counted.value,
        "ceiling": None
        if limits.ceiling is None
        else {"size": limits.ceiling.size, "label": _text(limits.ceiling.label)},
    }


def _evidence(outcome: Outcome) -> Json:
    ledger = outcome.ledger
    return {
        "counters": [
            {"path": _text(counter.path), "counts": counter.counts} for counter in ledger.counters
        ],
        "trigger": _trigger(outcome.trigger),
        "reaction": {
            "from_first_event": _seconds(outcome.reaction.from_first_event),
            "from_first_over": _seconds(outcome.reaction.from_first_over),
        },
        "grace": {"allowed": outcome.grace, "used": _seconds(outcome.grace_used)},
        "oom_above": None if ledger.oom_above is None else _text(ledger.oom_above),
        "wall_in_grace": outcome.wall_in_grace,
        "high_events": {"counted": ledger.high_events, "ignored": ledger.high_ignored},
        "elapsed": _seconds(outcome.elapsed),
    }


def _trigger(reading: Reading | None) -> Json | None:
    """The reading that was acted upon. Its time stands in the timeline."""
    if reading is None:
        return None
    parts = reading.composition
    return {
        "current": reading.current,
        "working_set": reading.working_set,
        "anon": reading.anon,
        "tasks": reading.tasks,
        "composition": None if parts is None else parts._asdict(),
    }


def _seconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)


def _text(text: str) -> str | None:
    """`text` without surrogates, which many JSON readers refuse; None when there is none."""
    return "".join(escape(c) if "\ud800" <= c <= "\udfff" else c for c in text) or None
