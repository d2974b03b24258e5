"""A process that supervises runs on fake enclosures, for the tests of the supervisor.

    python supervised.py REPORT_FD ORDER

ORDER: JSON, a list of runs {"argv", "script": [[seconds, happening]...], "stop": {...},
"sweeps": [kind...]} and how the whole goes wrong, if it does. One JSON line for each moment as
it happens, then {"outcomes": ...} or {"failed": ...}.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from sentinel.enclosure import Waiter
from sentinel.guard.guardian import Launch
from sentinel.guard.supervisor import supervise
from sentinel.model.errors import KernelFileError
from sentinel.model.events import Event, Happening
from sentinel.model.outcome import Moment, Outcome
from sentinel.model.snapshot import Reading
from sentinel.model.spec import RunSpec
from tests.contract.fake import FakeEnclosure
from tests.guard.run import spec_of


class Sweeping:
    """A sweep of a kind: well-behaved, slow, or refusing at some moment."""

    def __init__(self, kind: str, say: Any) -> None:
        self.kind = kind
        self._say = say
        self._woken, self._wake = os.pipe2(os.O_CLOEXEC)

    def begin(self, waiter: Waiter) -> None:
        """Begin; be ready at once."""
        self._say(sweep="begin")
        if self.kind == "begin fails":
            raise KernelFileError("list", "/p", 13)
        waiter.watch(self._woken, self)
        os.write(self._wake, b"x")

    def turn(self) -> bool:
        """Whether there is nothing left to do."""
        self._say(sweep="turn")
        if self.kind == "turn fails":
            raise KernelFileError("read", "/p/cgroup.events", 19)
        if self.kind == "slow":
            return False
        os.set_blocking(self._woken, False)
        try:
            os.read(self._woken, 16)
        except BlockingIOError:
            return True
        return True

    def close(self) -> None:
        """Release."""
        self._say(sweep="close")


def main() -> int:
    """Supervise as ordered."""
    report, order = int(sys.argv[1]), json.loads(sys.argv[2])
    os.set_inheritable(report, False)

    def say(**words: object) -> None:
        os.write(report, json.dumps(words).encode() + b"\n")

    def listen(spec: RunSpec, moment: Moment, _reading: Reading | None) -> None:
        say(run=spec.name, at=moment.at, what=moment.what, detail=moment.detail)
        if moment.what == order.get("listener fails at"):
            raise RuntimeError("the listener failed")

    def opening() -> None:
        if "signal" in order:
            os.kill(os.getpid(), order["signal"])

    launches = [launch(run, say) for run in order["runs"]]
    try:
        outcomes = supervise(launches, listen, opening=opening)
    except RuntimeError as error:
        say(failed=str(error))
        return 1
    say(outcomes=[told(outcome) for outcome in outcomes])
    return 0


def launch(run: dict[str, Any], say: Any) -> Launch:
    """One run of the order."""
    script = [(at, Event(Happening(what))) for at, what in run.get("script", [])]
    spec = spec_of(*run["argv"], **run.get("stop", {}))._replace(name=run.get("name", "run"))
    # The first look is the guard's own affair: a script needs one to begin.
    enclosure = ScriptedEnclosure(script)
    sweeps = tuple(Sweeping(kind, say) for kind in run.get("sweeps", []))
    return Launch(spec, enclosure, sweeps)


class ScriptedEnclosure(FakeEnclosure):
    """Wakes the guard once, so that its script is begun."""

    def adopt(self, main: Any, waiter: Waiter, now: float) -> None:
        """Also be ready at once."""
        super().adopt(main, waiter, now)
        if self._script:
            self._ready = os.eventfd(1, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            self._first_waiter = waiter
            waiter.watch(self._ready, self)

    def look(self, now: float) -> Any:
        """No longer ready."""
        if hasattr(self, "_ready"):
            self._first_waiter.forget(self._ready)
            os.close(self._ready)
            del self._ready
        return super().look(now)


def told(outcome: Outcome) -> dict[str, object]:
    """The parts of an outcome that the tests read."""
    return {
        "name": outcome.name,
        "verdict": outcome.verdict.value,
        "status": None if outcome.command_status is None else outcome.command_status[0],
        "exit_status": outcome.exit_status,
        "failure": outcome.failure,
        "killed": outcome.survivors_killed,
        "asked_by": outcome.asked_by,
    }


if __name__ == "__main__":
    sys.exit(main())
