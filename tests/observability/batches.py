"""A program that works in batches and forgets to give back a part of each: memory as a staircase.

    python3 tests/observability/batches.py FOLDER [--seconds 6] [--kept 8]

Every batch reads a file of FOLDER and holds 24 MiB while it works; 8 MiB are never given back.
Asked to stop, it writes down how far it was and goes. It ends by itself after forty batches.
"""

import argparse
import os
import signal
import sys
import threading
from types import FrameType

MIB = 1 << 20
HELD = 24
MOST = 40
FILE = 6
"""MiB that a batch reads, so that there is page cache too."""


def work(folder: str, number: int) -> list[bytearray]:
    """One batch: what it held when it was done."""
    path = os.path.join(folder, f"batch-{number % 8}")
    with open(path, "wb") as file:
        file.write(os.urandom(MIB) * FILE)
    with open(path, "rb") as file:
        file.read()
    return [bytearray(b"\xa5") * MIB for _ in range(HELD)]


def main() -> int:
    """Work until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--seconds", type=float, default=6.0, help="from batch to batch")
    parser.add_argument("--kept", type=int, default=8, help="MiB of a batch that are forgotten")
    options = parser.parse_args()
    asked = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        asked.set()

    signal.signal(signal.SIGTERM, stop)
    forgotten: list[bytearray] = []
    done = 0
    while done < MOST and not asked.is_set():
        held = work(options.folder, done)
        asked.wait(options.seconds / 3)
        forgotten += held[: options.kept]
        del held
        done += 1
        asked.wait(options.seconds * 2 / 3)
    with open(os.path.join(options.folder, "progress"), "w", encoding="ascii") as file:
        file.write(f"{done} batches\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
