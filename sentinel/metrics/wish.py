"""What a run asks for when it asks for metrics."""

from __future__ import annotations

from typing import NamedTuple


class Wish(NamedTuple):
    """Where metrics are to be served, and for how many seconds after the last run."""

    port: int
    address: str = "127.0.0.1"
    linger: float = 15.0
