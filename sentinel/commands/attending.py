"""Those who attend a run: made once the command has started, so that they cost no launch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sentinel.guard.attendant import Attendant
from sentinel.model.spec import RunSpec
from sentinel.model.status import Actions, RunStatus


def attendants(spec: RunSpec, hear: Callable[[str], None]) -> Sequence[Attendant]:
    """Everybody who attends the run `spec`; `hear` tells its user one line."""
    from sentinel.control.server import ControlServer, Settings

    return [ControlServer(Settings(spec.observation), hear, _exposition)]


def _exposition(status: RunStatus, actions: Actions) -> str:
    """The metrics of one run as Prometheus reads them."""
    from sentinel.metrics.exposition import run_text

    return run_text(status, actions, status.started + status.elapsed)
