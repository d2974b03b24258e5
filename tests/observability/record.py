"""Record what the exporter tells of a leak, in a real leaf.

    .venv/bin/python -m tests.observability.record [--kernel 6.12]

It boots that kernel in the lab and replaces tests/observability/batches.txt: batches.py under a
limit of 128 MiB, one scrape a second from its start until five seconds after its end. `make
diagram` then draws the pictures of docs/ anew.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
import urllib.request

from tests.lab import LabError, machine
from tests.lab.kernels import KERNELS
from tests.observability.recording import HERE, PATH, gathered, parse_page, write

PORT = 8000
LIMIT = "128M"
AFTER_SECONDS = 5.0
PATIENCE_SECONDS = 400.0


def page() -> dict[str, float] | None:
    """The exporter's page; None while nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/metrics", timeout=10) as answer:
            return parse_page(answer.read().decode())
    except OSError:
        return None


def inside() -> int:
    """In the guest: run, scrape, and leave the recording in the exchange directory."""
    scratch, exchange = os.environ["SENTINEL_SCRATCH"], os.environ["SENTINEL_EXCHANGE"]
    sentinel = os.path.join(os.path.dirname(sys.executable), "sentinel")
    argv = [sentinel, "exec", "--limit", LIMIT, f"--metrics={PORT}", "--name", "batches", "--"]
    argv += [sys.executable, os.path.join(HERE, "batches.py"), scratch]
    pages: list[tuple[float, dict[str, float]]] = []
    with subprocess.Popen(argv) as run:
        began = due = time.monotonic()
        until = began + PATIENCE_SECONDS
        while time.monotonic() < until:
            at = time.monotonic() - began
            found = page()
            if found:
                pages.append((at, found))
            if run.poll() is not None and until > due + AFTER_SECONDS:
                until = due + AFTER_SECONDS
            due = max(due + 1.0, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))
        print(f"status {run.wait()}, {len(pages)} scrapes")
    about = {"kernel": os.uname().release, "command": "batches.py", "limit": LIMIT}
    with open(os.path.join(exchange, "batches.txt"), "w", encoding="utf-8") as file:
        file.write(write(gathered(about, pages)))
    return 0


def main() -> int:
    """On the host: boot the lab, record in it, bring the file home."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.observability.record",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--kernel", choices=KERNELS, default="6.12")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        return inside()
    command = [sys.executable, "-m", "tests.observability.record", "--inside"]
    order = machine.Order(command, timeout=900, bring={"batches.txt": PATH})
    try:
        result = machine.run(options.kernel, order)
    except LabError as error:
        parser.error(str(error))
    if result.status is None:
        print(f"the lab did not finish; its console said:\n{result.console}", file=sys.stderr)
    return 1 if result.status is None else result.status


if __name__ == "__main__":
    sys.exit(main())
