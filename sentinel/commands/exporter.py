"""The exporter as a program, started by runs and by no person: `python -m`, no verb."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sentinel.control.registry import Entry, live

if TYPE_CHECKING:
    from sentinel.metrics.subject import Subject

USAGE = "usage: exporter --linger SECONDS --seat LOCK LISTENER DOOR PATH"


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
    from sentinel.metrics.seat import Seat

    run(subjects, Seat(lock, listener, door, words[6]), float(words[1]))
    return 0


if __name__ == "__main__":
    os._exit(main(sys.argv[1:]))
