"""The exporter as a program, started by runs and by no person: `python -m`, no verb.

And what puts it together, for those who start it: `sentinel exec --metrics` and
`sentinel metrics`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sentinel.control.registry import Entry, live
from sentinel.metrics.attendant import Exporters, MetricsAttendant
from sentinel.metrics.seat import Seat, Wish
from sentinel.model.spec import Observation

if TYPE_CHECKING:
    from sentinel.metrics.subject import Subject

# -P: a directory called sentinel where the command happens to run is not what is meant.
PROGRAM = (sys.executable, "-P", "-m", "sentinel.commands.exporter")

USAGE = "usage: exporter --linger SECONDS --seat LOCK LISTENER DOOR PATH"


def attendant(
    wanted: Observation,
    say: Callable[[str], None],
    spare: Callable[[int], None] | None = None,
) -> MetricsAttendant | None:
    """Who sees to the metrics of a run that asked for them; None for a run that did not.

    `spare` is told the number of an exporter that becomes a child of the guard: a backend that
    knows its family by descent must leave it out.
    """
    if wanted.metrics is None:
        return None
    wish = Wish(wanted.metrics, wanted.metrics_address, wanted.metrics_linger)
    return MetricsAttendant(wish, Exporters(PROGRAM, spare), say)


def subjects() -> list[Subject]:
    """The live runs of this user."""
    return [subject(entry) for entry in live()]


def subject(entry: Entry) -> Subject:
    """A run of the registry, as those know it who collect."""
    from sentinel.metrics.subject import Subject

    return Subject(*(getattr(entry, field) for field in Subject._fields))


def main(words: Sequence[str]) -> int:
    """Serve until nobody needs it; the exit status."""
    if len(words) != 7 or (words[0], words[2]) != ("--linger", "--seat"):
        print(USAGE, file=sys.stderr)
        return 2
    lock, listener, door = map(int, words[3:6])
    from sentinel.metrics.exporter import run

    run(subjects, Seat(lock, listener, door, words[6]), float(words[1]))
    return 0


if __name__ == "__main__":
    os._exit(main(sys.argv[1:]))
