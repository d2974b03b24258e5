"""Many runs of Sentinel's from one interpreter: what 256 launches would cost is not paid.

    python many.py exits        `exit n` for each n from 0 to 255
    python many.py signals      `kill -n $$` for each signal that does not stop

Each run is a fork that goes through main() to the end of the process. Writes the statuses, as
a shell would show them, as one JSON list.
"""

from __future__ import annotations

import json
import os
import signal
import sys

from sentinel.commands import main

STOPS = {signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
LIBRARYS = {32, 33}
"""The C library's own, which nobody can ask it for; make(1) has them ignored in what it starts."""
SCRIPTS = {
    "exits": [f"exit {status}" for status in range(256)],
    "signals": [f"kill -{number} $$" for number in range(1, 65) if number not in STOPS | LIBRARYS],
}


def status_of(script: str) -> int:
    """The status of `sentinel exec -q -- sh -c SCRIPT`."""
    pid = os.fork()
    if pid == 0:
        sys.argv = ["sentinel", "exec", "-q", "--", "sh", "-c", script]
        main.main()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    status_of("true")  # and what is imported late is imported in the child alone
    from sentinel.commands import exec as _warm  # noqa: F401
    from sentinel.rss import enclosure as _too  # noqa: F401

    print(json.dumps([status_of(script) for script in SCRIPTS[sys.argv[1]]]))
