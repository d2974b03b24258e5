"""Those who attend a run: made once the command has started, so that they cost no launch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from sentinel.guard.attendant import Attendant
from sentinel.model.spec import Observation, RunSpec
from sentinel.model.status import Actions, RunStatus

# -P: a directory called sentinel where the command happens to run is not what is meant.
_EXPORTER = (sys.executable, "-P", "-m", "sentinel.commands.exporter")


def attendants(
    spec: RunSpec, hear: Callable[[str], None], spare: Callable[[int], None]
) -> Sequence[Attendant]:
    """Everybody who attends the run `spec`; `hear` tells its user one line.

    `spare` leaves a process of Sentinel's own out of the run.
    """
    from sentinel.control.server import ControlServer, Settings

    control = ControlServer(Settings(spec.observation), hear, _exposition)
    if spec.observation.metrics is None:
        return [control]
    # A run's last word comes before the registry forgets the run.
    return [_metrics(spec.observation, hear, spare), control]


def _metrics(
    wanted: Observation, hear: Callable[[str], None], spare: Callable[[int], None]
) -> Attendant:
    from sentinel.metrics.attendant import Exporters, MetricsAttendant
    from sentinel.metrics.wish import Wish

    wish = Wish(wanted.metrics or 0, wanted.metrics_address, wanted.metrics_linger)
    return MetricsAttendant(wish, Exporters(_EXPORTER, spare), hear)


def _exposition(status: RunStatus, actions: Actions) -> str:
    """The metrics of one run as Prometheus reads them."""
    from sentinel.metrics.exposition import run_text

    return run_text(status, actions, status.started + status.elapsed)
