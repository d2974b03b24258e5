"""`sentinel doctor`: which backend a run would get and why, proved with a real tiny victim."""

from __future__ import annotations

import os
import sys

import click

from sentinel.guard.supervisor import Launch, supervise
from sentinel.model.diagnosis import Check
from sentinel.model.errors import SentinelError
from sentinel.model.outcome import Exited, Moment, Outcome, Verdict
from sentinel.model.snapshot import Reading
from sentinel.model.spec import Command, Limits, RunSpec, StopPlan
from sentinel.model.units import MIB, format_duration, format_size
from sentinel.selection import diagnose, enclose, standing

EXIT_CGROUP = 0
EXIT_RSS = 1
EXIT_NOTHING = 125

_SAVED = 42
_VICTIM = f"""
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit({_SAVED}))
held = []
while len(held) < 90:
    held.append(bytearray(b"x") * (1 << 20))
    time.sleep(0.005)
time.sleep(10)
"""
"""Grows to 90 MiB and no further; answers SIGTERM with an exit status that nothing else has."""


_HELP = """\
Tell which backend a run would get here, prove it with a real leak, and name what would help.

The exit status is 0 when runs get a cgroup, 1 when cgroup-ro or rss is all that works, 125 when
nothing does.
"""


def command() -> click.Command:
    """The verb for click."""
    verbose = click.Option(["-v", "--verbose"], is_flag=True, help="Show the checks that passed.")
    return click.Command(
        "doctor",
        params=[verbose],
        callback=_examine,
        help=_HELP,
        short_help="Tell which backend a run would get, and why.",
    )


def _examine(*, verbose: bool) -> int:
    found = diagnose()
    proofs = {backend: _prove(backend) for backend in found}
    _print(found, proofs, standing(), verbose=verbose)
    if proofs["cgroup"].works:
        return EXIT_CGROUP
    return EXIT_RSS if any(proof.works for proof in proofs.values()) else EXIT_NOTHING


def _prove(backend: str) -> Check:
    """Let a real leak run into a limit of 32 MiB under `backend`."""
    subject = f"{backend} victim"
    spec = RunSpec(
        name="doctor",
        command=Command(
            (os.fsencode(sys.executable), b"-I", b"-S", b"-c", _VICTIM.encode()), (b"PATH=/bin",)
        ),
        limits=Limits(soft=32 * MIB, hard=128 * MIB),
        stop=StopPlan(timeout=30.0),
        backend=backend,
    )
    try:
        enclosed = enclose(spec)
        launch = Launch(spec, enclosed.enclosure, enclosed.sweeps)
        (outcome,) = supervise([launch], _hear_nothing, final=False)
    except SentinelError as error:
        return Check(subject, works=False, detail=error.message, remedy=error.remedy)
    return _judge(subject, outcome)


def _judge(subject: str, outcome: Outcome) -> Check:
    """Whether the victim was asked at its limit and could answer."""
    polite = outcome.verdict is Verdict.SOFT_LIMIT
    if not polite or outcome.command_status != Exited(_SAVED):
        what = outcome.failure or f"the verdict was {outcome.verdict.value}"
        return Check(subject, works=False, detail=what, remedy="please report this")
    trigger = outcome.trigger
    at = "" if trigger is None else f" at {format_size(trigger.current)}"
    used = "" if outcome.grace_used is None else f" after {format_duration(outcome.grace_used)}"
    detail = f"a leak was asked to stop{at} of 32M and ended politely{used}"
    return Check(subject, works=True, detail=detail)


def _hear_nothing(spec: RunSpec, moment: Moment, reading: Reading | None) -> None:
    del spec, moment, reading


def _print(
    found: dict[str, tuple[Check, ...]],
    proofs: dict[str, Check],
    guard: tuple[Check, ...],
    *,
    verbose: bool,
) -> None:
    """Say what was seen, then what a run gets, then the one thing that would improve it."""
    uname = os.uname()
    click.echo(f"kernel          {uname.sysname} {uname.release}, Python {sys.version.split()[0]}")
    for backend, checks in found.items():
        for check in (*checks, proofs[backend]):
            if verbose or not check.works or check is proofs[backend]:
                click.echo(_line(check))
    for check in guard:
        if verbose or not check.works:
            click.echo(_line(check))
    gets = next((backend for backend, proof in proofs.items() if proof.works), None)
    click.echo(f"a run gets      {gets or 'nothing: no backend works here'}")
    wanting = [check for check in (proofs["cgroup"], *found["cgroup"]) if not check.works]
    if gets is None:
        wanting.insert(0, proofs["rss"])  # that any works comes first
    if wanting:
        click.echo(f"to improve it   {wanting[0].remedy}")


def _line(check: Check) -> str:
    mark = "ok" if check.works else "no"
    remedy = f" -> {check.remedy}" if check.remedy else ""
    return f"{check.subject:<15} {mark}: {check.detail}{remedy}"
