"""From outside the lab: boot a kernel, have it measure, bring the results back."""

from __future__ import annotations

import compileall
import os
import sys
import tempfile
from collections.abc import Sequence

from benchmarks import guest
from benchmarks.record import Record, load
from benchmarks.scene import machine
from benchmarks.site import SYSTEMD
from benchmarks.workload import CLIENTS, program
from tests.lab import ROOT, LabError
from tests.lab import machine as lab_machine
from tests.victims.build import victim

TIMEOUTS = {"6.1": 1800, "6.1-systemd": 900, "6.12": 3600}
"""Seconds for the boot and all rows."""


def measure(kernel: str, rows: Sequence[str], *, quick: bool) -> Record:
    """Measure `rows` in one boot of `kernel`; what was measured before a deadline counts.

    Raises LabError when nothing was.
    """
    prepare()
    words = [*(["--quick"] if quick else []), *rows]
    with tempfile.TemporaryDirectory(prefix="sentinel-bench-") as directory:
        path = os.path.join(directory, guest.RESULTS)
        order = lab_machine.Order(
            [sys.executable, "-m", "benchmarks.guest", *words],
            timeout=TIMEOUTS[kernel],
            bring={guest.RESULTS: path},
            init="systemd" if kernel.endswith(SYSTEMD) else "busybox",
        )
        result = lab_machine.run(kernel.removesuffix(SYSTEMD), order)
        record = load(path)
    if result.status != 0:
        why = f"no end within {TIMEOUTS[kernel]} s" if result.timed_out else "it failed"
        print(f"kernel {kernel}: {why}; the rows after the last one shown are missing")
    if record is None:
        raise LabError(f"kernel {kernel} measured nothing; its console said:\n{result.console}")
    return record._replace(scene=record.scene._replace(machine=machine()))


def prepare() -> None:
    """Compile what the guest will run: its root is read-only and its CPU may be emulated."""
    for package in ("sentinel", "tests", "benchmarks"):
        compileall.compile_dir(os.path.join(ROOT, package), quiet=2)
    victim()
    program()
    program(CLIENTS)
