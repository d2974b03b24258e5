"""What guards answer to `metrics json`, as the control room writes it."""

from __future__ import annotations

from sentinel.control.answers import metrics_document, status_document
from sentinel.model.snapshot import Composition, Reading
from sentinel.model.spec import Limits, StopPlan
from sentinel.model.status import Actions, RunStatus, Tally

MIB = 1 << 20

STATUS = RunStatus(
    name="worker",
    state="watching",
    verdict="",
    backend="rss",
    pid=11,
    leaf="",
    command="worker",
    started=1000.0,
    elapsed=5.0,
    reading=Reading(5.0, 40 * MIB, 30 * MIB, 28 * MIB, Composition(28, 2, 0, 0, 0, 0), tasks=2),
    tally=Tally(50 * MIB, 35 * MIB, 9, 4),
    limits=Limits(soft=100 * MIB, hard=150 * MIB),
    stop=StopPlan(),
)
ACTIONS = Actions({"lift": 1, "sigterm": 1}, (0.03,), (0.2,))


def answered(status: RunStatus = STATUS, actions: Actions = ACTIONS) -> dict[str, object]:
    """The document."""
    return metrics_document(status_document(status, uid=1000), actions)
