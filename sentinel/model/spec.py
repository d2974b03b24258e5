"""What a run was asked to be: resolved, validated, immutable."""

from enum import Enum
from typing import NamedTuple


class Count(Enum):
    """The part of memory that is compared with the limit (`--count`)."""

    ANON = "anon"
    WORKINGSET = "workingset"
    TOTAL = "total"


class Ceiling(NamedTuple):
    """The tightest limit above a run that was seen: bytes, and what sets it, for people."""

    size: int
    label: str


class Limits(NamedTuple):
    """What a run may use. Sizes in bytes; None means not limited.

    `ceiling` is nothing that was asked for: others hold the run to it, at its start.
    """

    soft: int
    hard: int | None
    swap: int = 0
    pids: int | None = None
    cpus: float | None = None
    counted: Count = Count.WORKINGSET
    ceiling: Ceiling | None = None


class StopPlan(NamedTuple):
    """How a run is asked to end. Durations in seconds."""

    signal: int = 15
    main_only: bool = False
    grace: float = 3.0
    patience: float = 0.0
    timeout: float | None = None


class Command(NamedTuple):
    """The guarded command, byte for byte as it was given."""

    argv: tuple[bytes, ...]
    environment: tuple[bytes, ...]
    """`NAME=value` entries in their order, duplicates and oddities included."""


class Observation(NamedTuple):
    """Who may watch and steer the run, and where. Ports are TCP ports, None: no metrics.

    `socket`: whether there is one at all; `socket_path`: where the run's own is, empty: in the
    runtime directory. `allow_uids` may speak besides the owner and root. `metrics_linger` is how
    many seconds the exporter outlives the last run.
    """

    socket: bool = True
    socket_path: str = ""
    allow_uids: frozenset[int] = frozenset()
    metrics: int | None = None
    metrics_address: str = "127.0.0.1"
    metrics_linger: float = 15.0
    dashboard: bool = False


class RunSpec(NamedTuple):
    """One run, ready to start. `explicit` holds the options that the user really gave."""

    name: str
    command: Command
    limits: Limits
    stop: StopPlan
    backend: str = "auto"
    preserve_status: bool = False
    explicit: frozenset[str] = frozenset()
    observation: Observation = Observation()
