"""Directories of the lab below .lab: one per run, gone when the run is over."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.lab import STATE, LabError


@contextmanager
def workspace() -> Iterator[str]:
    """Make a directory for one run and remove it afterwards, and those of labs that died.

    A directory is alive while its lab holds it locked. Raises LabError for a checkout whose
    path a kernel command line cannot carry.
    """
    runs = os.path.join(STATE, "runs")
    if any(letter.isspace() for letter in runs):
        raise LabError(f"{runs!r} has a space in it: move the checkout, a kernel cannot be told")
    with locked(runs):
        _sweep(runs)
        work = tempfile.mkdtemp(prefix="", dir=runs)
        hold = os.open(work, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(hold, fcntl.LOCK_EX)
    try:
        yield work
    finally:
        shutil.rmtree(work)
        os.close(hold)


@contextmanager
def locked(directory: str) -> Iterator[None]:
    """Make `directory` and hold it locked: labs that start at once take turns."""
    os.makedirs(directory, exist_ok=True)
    lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _sweep(runs: str) -> None:
    """Remove the directories that nobody holds; call it with `runs` locked."""
    for name in os.listdir(runs):
        path = os.path.join(runs, name)
        with suppress(FileNotFoundError, BlockingIOError):
            found = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path)
            finally:
                os.close(found)
