"""The Python twin of `victim leak`: same words, same lines, but an interpreter's way of leaking.

    python3 pyleak.py [rate=80M] [max=256M] [chunk=256K] [threads=1] [during=leak|stop]
                      [then=exit|hold] [term=default|ignore] [checkpoint=PATH] [handler=32M]
                      [seconds=30]

A Python handler runs in the main thread between two bytecodes, so one big allocation in flight
(chunk=40M) delays it. With then=hold it sits at `max` until the seconds are over.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from types import FrameType

DEFAULTS = {
    "rate": "0",
    "max": "256M",
    "chunk": "256K",
    "threads": "1",
    "during": "leak",
    "then": "exit",
    "term": "default",
    "checkpoint": "",
    "handler": "32M",
    "seconds": "30",
}


def parse(words: list[str]) -> dict[str, str]:
    """key=value words over the defaults; an unknown one ends the program with one line."""
    options = dict(DEFAULTS)
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or key not in options:
            sys.exit(f"pyleak: {word}: not an option; there are {' '.join(DEFAULTS)}")
        options[key] = value
    return options


def size(text: str) -> int:
    """``64M`` in bytes; bare numbers are bytes."""
    shift = {"K": 10, "M": 20, "G": 30}.get(text[-1:], 0)
    return int(text[:-1] if shift else text) << shift


def say(text: str) -> None:
    """One line in one write, so that handler and threads never mix theirs."""
    os.write(1, f"{text} t_us={time.monotonic_ns() // 1000}\n".encode())


class Leak:
    """The list that grows, its bounds, and what SIGTERM does to it."""

    def __init__(self, options: dict[str, str]) -> None:
        self.options = options
        self.held: list[bytes] = []
        self.threads = int(options["threads"])
        self.deadline = time.monotonic() + int(options["seconds"])
        self.asked = False

    def ended(self) -> bool:
        """True when the seconds are over."""
        return time.monotonic() >= self.deadline

    def grow(self) -> None:
        """Append until full, out of time or asked to stop, at one thread's share of the rate."""
        chunk, maximum = size(self.options["chunk"]), size(self.options["max"])
        rate = size(self.options["rate"]) / self.threads
        due = 0.0
        while len(self.held) * chunk < maximum and not self.asked and not self.ended():
            self.held.append(b"\xa5" * chunk)
            if rate:
                due = max(due, time.monotonic()) + chunk / rate
                time.sleep(max(0.0, due - time.monotonic()))

    def run(self) -> None:
        """Leak with as many threads as asked; with more than one, the main thread only waits."""
        if self.threads == 1:
            self.grow()
        else:
            others = [threading.Thread(target=self.grow, daemon=True) for _ in range(self.threads)]
            for thread in others:
                thread.start()
            for thread in others:
                thread.join()
        if self.options["then"] == "hold" and not self.ended():
            say(f"holding bytes={len(self.held) * size(self.options['chunk'])}")
            time.sleep(max(0.0, self.deadline - time.monotonic()))

    def on_term(self, _number: int, _frame: FrameType | None) -> None:
        """Do all of the work in the handler: that is what a limit's brake would hit."""
        say("handler")
        self.asked = self.options["during"] == "stop"
        scratch = b"\x5a" * size(self.options["handler"])
        say(f"handler-allocated bytes={len(scratch)}")
        path = self.options["checkpoint"]
        with open(f"{path}.part", "wb") as file:
            file.write(scratch)
            file.flush()
            os.fsync(file.fileno())
        os.replace(f"{path}.part", path)
        say(f"checkpoint bytes={len(scratch)}")
        os._exit(0)  # the other threads are not asked


def main() -> None:
    """Leak as the words say."""
    leak = Leak(parse(sys.argv[1:]))
    if leak.options["checkpoint"]:
        signal.signal(signal.SIGTERM, leak.on_term)
    elif leak.options["term"] == "ignore":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    say(f"ready pid={os.getpid()}")
    leak.run()
    say("done")


if __name__ == "__main__":
    main()
