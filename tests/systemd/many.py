"""Many runs of Sentinel's from one interpreter: what 200 starts of Python would cost is not paid.

    python many.py NUMBER OPTION... -- COMMAND...

Each run is a fork that goes through main() to the end of the process: a pid, a scope, a leaf and
a verdict of its own. Fails with the first that does.
"""

from __future__ import annotations

import os
import sys

import sentinel.cgroup.coexistence
import sentinel.cgroup.namespace
import sentinel.cgroup.scope
import sentinel.commands.exec  # noqa: F401 - imported once here, not again in each child
from sentinel.commands import main


def run(words: list[str]) -> int:
    """The status of `sentinel exec WORDS`."""
    pid = os.fork()
    if pid == 0:
        sys.argv = ["sentinel", "exec", *words]
        main.main()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    for _ in range(int(sys.argv[1])):
        if status := run(sys.argv[2:]):
            sys.exit(f"a run ended with {status}")
