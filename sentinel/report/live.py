"""What a person hears while a run is still going on."""

from __future__ import annotations

from sentinel.model.events import Happening
from sentinel.model.outcome import ASKED, Moment
from sentinel.model.signals import signal_name
from sentinel.model.snapshot import Reading
from sentinel.model.spec import RunSpec
from sentinel.model.units import format_duration, format_size
from sentinel.report.memory import largest_share, over_limit


def resolved_line(spec: RunSpec, backend: str) -> str:
    """What was understood, in bytes and seconds: said with `-v` before the start."""
    limits, stop = spec.limits, spec.stop
    parts = [
        f"backend {backend}",
        f"limit {limits.soft} ({limits.counted.value})",
        f"hard limit {'none' if limits.hard is None else limits.hard}",
        f"swap {limits.swap}",
        f"grace {stop.grace:g}s",
        f"signal {signal_name(stop.signal)}{' to the main process' if stop.main_only else ''}",
    ]
    if stop.patience:
        parts.append(f"for {stop.patience:g}s")
    if stop.timeout is not None:
        parts.append(f"timeout {stop.timeout:g}s")
    if limits.pids is not None:
        parts.append(f"pids {limits.pids}")
    if limits.cpus is not None:
        parts.append(f"cpus {limits.cpus:g}")
    if limits.ceiling is not None:
        parts.append(f"above it {limits.ceiling.size}, {limits.ceiling.label}")
    return f"{spec.name}: {', '.join(parts)}"


class Narrator:
    """Follows the moments of one run and says which of them people should hear about."""

    def __init__(self, *, verbose: bool) -> None:
        """`verbose`: every moment is told."""
        self._verbose = verbose
        self._cause = ""

    def tell(self, spec: RunSpec, moment: Moment, reading: Reading | None) -> str:
        """The line for `moment`; empty when it is not worth one."""
        if moment.what == ASKED:
            return self._asked(spec, moment, reading)
        if moment.what == Happening.DEGRADED.value:
            return f"{spec.name}: degraded: {moment.detail}"
        if moment.what == "observer lost":
            return f"{spec.name}: {moment.detail}"
        self._cause = moment.what
        return self._noted(spec, moment) if self._verbose else ""

    def _asked(self, spec: RunSpec, moment: Moment, reading: Reading | None) -> str:
        why = self._why(spec, reading)
        if not why:
            return self._noted(spec, moment) if self._verbose else ""
        signal, grace = signal_name(spec.stop.signal), format_duration(spec.stop.grace)
        return f"{spec.name}: {why}: sent {signal}, {grace} to finish"

    def _why(self, spec: RunSpec, reading: Reading | None) -> str:
        """The cause of a stop of ours, in words; empty when the command ended by itself."""
        if self._cause == Happening.PATIENCE_ELAPSED.value and reading is not None:
            share, patience = largest_share(reading.composition), spec.stop.patience
            if patience:  # the reading is as old as that
                stayed = f"and stayed over it for {format_duration(patience)}"
                return f"{over_limit(reading, spec.limits, 'was')}{share} {stayed}"
            return f"{over_limit(reading, spec.limits, 'is')}{share}"
        if self._cause == Happening.TIMEOUT_ELAPSED.value and spec.stop.timeout is not None:
            return f"still running after {format_duration(spec.stop.timeout)}"
        if self._cause == Happening.STOP_REQUESTED.value:
            return "asked to stop"
        return ""

    def _noted(self, spec: RunSpec, moment: Moment) -> str:
        memory = "" if moment.current is None else f", memory {format_size(moment.current)}"
        detail = f": {moment.detail}" if moment.detail else ""
        return f"{spec.name}: {moment.at:+.3f}s {moment.what}{detail}{memory}"
