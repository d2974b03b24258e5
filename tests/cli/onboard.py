"""A dashboard of the runs that a file lists: `python -m tests.cli.onboard top FILE`.

FILE holds entries as in the registry, with a line `---` between them, and may be replaced at
any time. What cannot be read is an error of the dashboard's, as any fault of it would be.
"""

from __future__ import annotations

import sys
from functools import partial

from sentinel.commands import main, top
from sentinel.control.entry import Entry, parse_entry

SEPARATOR = b"---\n"


def listed(path: str) -> list[Entry]:
    """The runs in the file `path`."""
    with open(path, "rb") as file:
        texts = file.read().split(SEPARATOR)
    found = [parse_entry(text) for text in texts if text]
    if None in found:
        raise ValueError("the list of runs is broken")
    return [entry for entry in found if entry is not None]


if __name__ == "__main__":
    runs = partial(listed, sys.argv.pop())
    top._registry = lambda *, everyone: runs  # noqa: ARG005, SLF001
    main.main()
