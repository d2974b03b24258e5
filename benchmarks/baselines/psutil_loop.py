"""The plain loop: every half second, add up the resident sets of the family, stop it if too much.

    python psutil_loop.py LIMIT_BYTES [-o REPORT] -- CMD [ARG...]

What most memory guards in scripts are. It writes what it saw when it struck, as JSON, to REPORT.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time

import psutil

INTERVAL = 0.5
GRACE = 3.0


def resident(root: psutil.Process) -> int:
    """Summed RSS of the family, bytes."""
    total = 0
    for process in [root, *root.children(recursive=True)]:
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def watch(command: subprocess.Popen[bytes], limit: int) -> dict[str, float] | None:
    """Look until the command ends or is too large; what was seen then."""
    root = psutil.Process(command.pid)
    while command.poll() is None:
        try:
            found = resident(root)
        except psutil.NoSuchProcess:
            continue
        if found > limit:
            return {"resident": found, "at": time.monotonic()}
        time.sleep(INTERVAL)
    return None


def stop(command: subprocess.Popen[bytes]) -> None:
    """TERM, then KILL."""
    command.terminate()
    try:
        command.wait(GRACE)
    except subprocess.TimeoutExpired:
        command.kill()
        command.wait()


def main(argv: list[str]) -> int:
    """Guard the command; 124 when it was stopped, else its own exit status."""
    split = argv.index("--")
    options, words = argv[:split], argv[split + 1 :]
    command = subprocess.Popen(words)
    struck = watch(command, int(options[0]))
    if struck is not None:
        stop(command)
    if "-o" in options:
        with open(options[options.index("-o") + 1], "w", encoding="ascii") as report:
            json.dump(struck, report)
    return 124 if struck is not None else command.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
