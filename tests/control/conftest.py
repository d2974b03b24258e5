"""Fixtures of the tests that talk to a control server over real sockets."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import pytest

from tests.control.stage import Stage


@pytest.fixture
def short() -> Iterator[str]:
    """A directory with a short path: a socket's has 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="s-") as path:
        yield path


@pytest.fixture
def stage(short: str) -> Iterator[Stage]:
    """A server for one run."""
    made = Stage(short)
    yield made
    made.close()
