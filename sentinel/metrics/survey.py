"""One look at every run: the kernel's files, the guards' answers, and what is remembered.

A run whose files cannot be read, whose guard is silent or whose numbers make no sense costs its
own rows, never another run's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from sentinel import __version__
from sentinel.metrics.answer import answer_values, counted_row, put_state
from sentinel.metrics.catalogue import (
    DONE,
    KEPT_AFTER_THE_END,
    ROWS,
    VERDICTS,
    Kind,
    Value,
    Values,
    added,
    put,
)
from sentinel.metrics.detector import Point
from sentinel.metrics.families import Census, families, family_values, take_census
from sentinel.metrics.history import History
from sentinel.metrics.leaf import PRESENT, leaf_values, point
from sentinel.metrics.leaffiles import read_leaf
from sentinel.metrics.onrequest import Extras
from sentinel.metrics.past import Past
from sentinel.metrics.subject import Subject, own_pid_namespace

Answers = Mapping[str, Mapping[str, object]]
"""What guards answered to `metrics json`, by the path of their socket."""


_NONE = Extras()
TOLD_FOR = 3600.0
"""Seconds that a run is told of after its end; its counters are kept for the next of its name."""


class View(NamedTuple):
    """What is told of one run."""

    name: str
    values: Values


class Moment(NamedTuple):
    """The time of a look: monotonic seconds, and seconds since the epoch."""

    monotonic: float
    wall: float


class Surveyor:
    """Looks at the runs of one user, and remembers their memory's course between looks."""

    def __init__(self, past: Callable[[], Mapping[str, Past]]) -> None:
        """`past` tells of the runs that are over."""
        self._past = past
        self.histories: dict[tuple[str, int, float], History] = {}
        self._namespace = own_pid_namespace()

    def look(
        self, subjects: Sequence[Subject], answers: Answers, at: Moment, extras: Extras = _NONE
    ) -> list[View]:
        """Every run's rows, the live ones first, with the `extras` that were asked for."""
        past = self._remembered()
        live: dict[str, Subject] = {}
        for subject in subjects:
            before = past.get(subject.name)
            if before is None or not before.includes(subject.main, subject.started):
                live.setdefault(subject.name, subject)
        look = _Look(live.values(), at, extras, self._namespace)
        views = [
            view
            for subject in live.values()
            if (view := self._one(subject, look, answers, past.get(subject.name))) is not None
        ]
        views += [
            View(name, self._ended(name, of))
            for name, of in past.items()
            if name not in live and of.ended > at.wall - TOLD_FOR
        ]
        self._forget(live.values(), past)
        return views

    def _remembered(self) -> Mapping[str, Past]:
        try:
            return self._past()
        except Exception:  # noqa: BLE001 - the living are told of, whatever became of the dead
            return {}

    def _one(
        self, subject: Subject, look: _Look, answers: Answers, past: Past | None
    ) -> View | None:
        """The rows of a live run; None when it has gone meanwhile."""
        history = self.histories.setdefault(subject.key, History())
        try:
            values = look.read(subject, history)
        except Exception:  # noqa: BLE001 - an unreadable run: its rows, and those alone, are missing
            values = {}
        else:
            if not values:
                return None
            history.collected = look.at.wall
        answer = answers.get(subject.socket, {})
        try:
            told = answer_values(answer, has_leaf=bool(subject.leaf)) if answer else {}
        except Exception:  # noqa: BLE001 - the same for a guard that answers nonsense
            told = {}
        values = {**_known(subject), **values, **told}
        put(values, "sentinel_last_collection_timestamp_seconds", history.collected)
        _forecast(values, history, counted_row(answer))
        return View(subject.name, _with_past(values, past))

    def _ended(self, name: str, past: Past) -> Values:
        """A run that is over: what it counted, its peaks, and that it is done."""
        values = {row: of for row, of in past.values.items() if row in KEPT_AFTER_THE_END}
        for key, history in self.histories.items():
            if key[0] == name and past.includes(key[1], key[2]):
                told = values.get("sentinel_memory_anon_peak_bytes", {}).get(())
                peaks = (history.anon_peak, told if isinstance(told, float | int) else None)
                highest = max((peak for peak in peaks if peak is not None), default=None)
                values = dict(values)
                put(values, "sentinel_memory_anon_peak_bytes", highest)
        put_state(values, DONE)
        _put_info(values, past.backend, past.command)
        return values

    def _forget(self, live: Collection[Subject], past: Mapping[str, Past]) -> None:
        """Drop what was remembered of runs that are no more, but for the peaks of the last."""
        keys = {subject.key for subject in live}
        self.histories = {
            key: history
            for key, history in self.histories.items()
            if key in keys or (key[0] in past and key[1] == past[key[0]].ids[-1][0])
        }


class _Look:
    """What all runs of one look share: the census, limits above, and what was asked for."""

    def __init__(
        self, live: Collection[Subject], at: Moment, extras: Extras, namespace: int | None
    ) -> None:
        self.at = at
        self._extras = extras
        self._limits: dict[str, int | None] = {}
        # Numbers of another pid namespace mean other processes here.
        self._guards = {s.pid for s in live if not s.leaf and s.pid_namespace == namespace}
        self._census: Census = take_census() if self._guards else {}
        self._families = families(self._census, self._guards)

    def read(self, subject: Subject, history: History) -> Values:
        """What the kernel tells of `subject`; nothing when it has gone. Raises KernelFileError."""
        seen: Point | None
        if subject.leaf:
            texts = read_leaf(subject.leaf, PRESENT)
            if not texts:
                return {}
            values = leaf_values(subject.leaf, texts, self._limits)
            seen = point(texts, self.at.monotonic)
        else:
            family = self._families.get(subject.pid, ())
            values, seen = family_values(self._census, family, self.at.monotonic)
            if seen is None:
                return {}
        if seen is not None:
            history.add(seen)
        self._extras.put(values, subject.leaf, self._families.get(subject.pid, ()))
        return values


def _known(subject: Subject) -> Values:
    """What is true of a live run before anything is read."""
    values: Values = {}
    put(values, "sentinel_memory_soft_limit_bytes", subject.soft)
    put(values, "sentinel_memory_hard_limit_bytes", subject.hard)
    put(values, "sentinel_run_start_time_seconds", subject.started)
    _put_info(values, subject.backend, subject.command)
    return values


def _put_info(values: Values, backend: str, command: str) -> None:
    put(values, "sentinel_run_info", 1, backend, command, __version__)


def _forecast(values: Values, history: History, counted: str) -> None:
    """The trend of the floor, and when what is `counted` reaches the soft limit by it."""
    put(values, "sentinel_memory_anon_peak_bytes", history.anon_peak)
    trend = history.trend()
    if trend is None or "sentinel_memory_current_bytes" not in values:
        return
    put(values, "sentinel_memory_growth_bytes_per_second", trend.growth)
    put(values, "sentinel_memory_growth_confidence_ratio", trend.confidence)
    names = (counted, *(f"sentinel_memory_{n}_bytes" for n in ("working_set", "anon", "current")))
    used = next(v for n in names if (v := _single(values, n)) is not None)
    limit = _single(values, "sentinel_memory_soft_limit_bytes")
    if limit is not None:
        put(values, "sentinel_memory_limit_eta_seconds", trend.eta(used, limit))


def _single(values: Values, name: str) -> float | None:
    value: Value | None = values.get(name, {}).get(())
    return value if isinstance(value, float | int) else None


def _with_past(values: Values, past: Past | None) -> Values:
    """`values` with what earlier runs of the name counted.

    Only in rows that this run has: a row that fell back to the sum of the past would look like
    a restarted counter.
    """
    ended = "sentinel_runs_ended_total"
    for verdict in VERDICTS:
        put(values, ended, 0.0, verdict)
    if past is None:
        return values
    counted = {
        name: of
        for name, of in past.values.items()
        if name in values and ROWS[name].kind is not Kind.GAUGE
    }
    return added(values, counted)
