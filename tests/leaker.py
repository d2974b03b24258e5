"""A program that leaks: it appends to a list, at a steady rate, until somebody stops it.

    python3 tests/leaker.py --rate 20 --max 1G --checkpoint state.json

It needs nothing but the standard library, so that it runs wherever Python does. It always ends by
itself: at ``--max``, or as soon as it holds more memory than the machine has left.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import sys
import time
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

MIB = 1 << 20
BLOCK = MIB  # bytes per append
STEPS_PER_SECOND = 4
LARGEST_STEP = 16  # MiB; also how far the leak can go between two looks at the machine's memory

_UNITS = {"": 1.0, "K": 1 / 1024, "M": 1.0, "G": 1024.0, "T": 1024.0 * 1024.0}


class Asked(Exception):
    """SIGTERM arrived: write the checkpoint and go."""


class OneLineParser(argparse.ArgumentParser):
    """argparse without the usage text: a bad argument is one line and exit status 2."""

    def error(self, message: str) -> NoReturn:
        """Exit with status 2 and one line."""
        self.exit(2, f"leaker: {message}; see --help\n")


def mebibytes(text: str) -> float:
    """Parse ``512``, ``512M``, ``0.5GiB`` (bare numbers are MiB) into MiB, above 0 and finite."""
    bare = text.strip().upper()
    unit = ""
    for ending in ("IB", "B"):
        if bare.endswith(ending):
            bare = bare.removesuffix(ending)
            break
    if bare and bare[-1] in "KMGT":
        bare, unit = bare[:-1], bare[-1]
    try:
        value = float(bare) * _UNITS[unit]
    except ValueError:
        value = math.nan
    if not (0 < value < math.inf):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a size above 0: give MiB, or a number with K, M or G such as 512M"
        )
    return value


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line; a checkpoint that could not be written later is refused now."""
    parser = OneLineParser(
        prog="leaker",
        description=__doc__,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--rate", type=mebibytes, default=20.0, metavar="MIB", help="MiB per second (default 20)"
    )
    parser.add_argument(
        "--max",
        type=mebibytes,
        default=1024.0,
        metavar="SIZE",
        help="exit 0 when this much is held: MiB, or 512M, 1G (default 1G)",
    )
    parser.add_argument(
        "--checkpoint",
        metavar="FILE",
        help="on SIGTERM write what was reached to FILE, then exit 0",
    )
    options = parser.parse_args(argv)
    if options.checkpoint is not None:
        folder = os.path.dirname(os.path.abspath(options.checkpoint))
        if os.path.isdir(options.checkpoint) or not os.access(folder, os.W_OK | os.X_OK):
            parser.error(
                f"--checkpoint {options.checkpoint!r} cannot be written: "
                "name a file in a directory that exists and is writable"
            )
    return options


def available() -> int | None:
    """MemAvailable of the machine in bytes; None when /proc/meminfo does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        return None
    return None


def say(text: str) -> None:
    """One line on stdout, at once: whoever watches wants to see the leak as it happens."""
    print(f"leaker: {text}", flush=True)


def leak(held: list[bytes], rate: float, maximum: float) -> str | None:
    """Append to `held` until `maximum` MiB; returns None then, or why it stopped before.

    The comparison with what is left caps the leak near half of what was free at the start, and
    sooner when others grow too. The pace does not catch up after a pause: a leak that was braked
    goes on at its rate instead of in one burst.
    """
    due = time.monotonic()
    step = min(max(rate / STEPS_PER_SECOND, 1.0), LARGEST_STEP)
    total = next_step = 0.0
    while total < maximum:
        if total >= next_step:
            next_step = total + step
            if total:
                say(f"{total:.0f} MiB")
            left = available()
            if left is None:
                return "/proc/meminfo does not say how much memory is left"
            if next_step * MIB > left:
                return (
                    f"--max {maximum:.0f} MiB was not reached, because only "
                    f"{left // MIB} MiB are left on this machine: give a smaller --max"
                )
        block = min(BLOCK / MIB, maximum - total)
        # Not zeros: bytes(n) comes from calloc, whose pages are not there until somebody writes.
        held.append(b"\xa5" * max(1, int(block * MIB)))
        total += block
        due = max(due + block / rate, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))
    say(f"{total:.0f} MiB")
    return None


def write_checkpoint(path: str, held: int) -> None:
    """Replace `path` in one step, on disk when this returns: never half a checkpoint."""
    folder = os.path.dirname(os.path.abspath(path))
    draft = os.path.join(folder, f".{os.path.basename(path)}.{os.getpid()}")
    try:
        with open(draft, "w", encoding="ascii") as file:
            json.dump({"held_bytes": held}, file)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except OSError:
        if os.path.exists(draft):
            os.unlink(draft)
        raise
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def on_term(_number: int, _frame: FrameType | None) -> None:
    """Leave the leak at once; a second SIGTERM must not interrupt the checkpoint."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Asked


def save(path: str, held: list[bytes]) -> int:
    """Answer the SIGTERM; returns the exit status."""
    total = sum(map(len, held))
    try:
        write_checkpoint(path, total)
    except OSError as error:
        reason = f"--checkpoint {path!r} was not written: {error.strerror}"
        print(f"leaker: {reason}; name a file on a disk with room", file=sys.stderr)
        return 1
    say(f"checkpoint of {total // MIB} MiB written to {path}")
    return 0


def main(argv: Sequence[str]) -> int:
    """Leak as asked; 0 at the maximum or after a checkpoint, 1 when stopped short, 2 for usage."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `leaker | head` ends like any other program
    options = parse(argv)
    held: list[bytes] = []
    try:
        if options.checkpoint is not None:
            signal.signal(signal.SIGTERM, on_term)
        stopped = leak(held, options.rate, options.max)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the end is decided, whoever asks now
    except Asked:
        return save(options.checkpoint, held)
    except MemoryError:
        stopped = "no memory was given: give a smaller --max or a larger `ulimit -v`"
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    if stopped is not None:
        print(f"leaker: {stopped}", file=sys.stderr)
        return 1
    say(f"reached --max {options.max:.0f} MiB, done")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
