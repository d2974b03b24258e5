"""What the numbers of this process were measured on. No name of a host is part of it."""

from __future__ import annotations

import os
import sys

from benchmarks.record import Scene
from tests.lab.capability import plain

HOW = {
    "6.1": "user-mode Linux",
    "6.1-systemd": "user-mode Linux, systemd",
    "6.12": "QEMU, its CPU emulated in software",
}


def scene(site: str) -> Scene:
    """The scene as this kernel shows it; in a guest, `machine` is what the guest is told."""
    how = f" ({HOW[site]}, {size()})" if site in HOW else ""
    release = plain(os.uname().release)
    return Scene(machine(), f"Linux {release}{how}", f"Python {sys.version.split()[0]}")


def machine() -> str:
    """Processor and size of the machine as this kernel sees it."""
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    return f"{names[0] if names else 'unnamed processor'}, {size()}"


def size() -> str:
    """CPUs and memory."""
    cpus = os.cpu_count() or 1
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / (1 << 30)
    return f"{cpus} CPU{'s' if cpus > 1 else ''}, {memory:.0f} GiB"
