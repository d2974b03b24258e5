"""The benchmarks' own C programs, each compiled once, and named after what it was made from."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess

from benchmarks.guarded import word
from tests.lab import STATE

_HERE = os.path.dirname(os.path.abspath(__file__))
WORKLOAD, CLIENTS = "workload", "clients"
_FLAGS = ("-O2", "-std=gnu17", "-Wall", "-Wextra", "-Werror", "-static")


@functools.cache
def program(which: str = WORKLOAD) -> str:
    """Path of a program. Raises OSError without a compiler, CalledProcessError if it fails."""
    source = os.path.join(_HERE, f"{which}.c")
    with open(source, "rb") as file:
        name = hashlib.sha256(" ".join(_FLAGS).encode() + file.read()).hexdigest()[:16]
    path = os.path.join(STATE, "victims", f"{which}-{name}")
    if os.access(path, os.X_OK):
        return path
    compiler = shutil.which("cc")
    if compiler is None:
        raise FileNotFoundError("cc: not found: apt-get install gcc libc6-dev")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    draft = f"{path}.{os.getpid()}"
    subprocess.run([compiler, *_FLAGS, "-o", draft, source], check=True)
    os.replace(draft, path)
    return path


def seconds_per_unit(lines: tuple[str, ...]) -> float:
    """What one unit of work took, from the line that the program prints."""
    units, took = word(lines, "worked", "units"), word(lines, "worked", "took_us")
    if not units or took is None:
        raise ValueError(f"the workload did not end by itself: {lines}")
    return took / 1e6 / units
