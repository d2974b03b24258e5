"""Compile the C victims on demand: one static program, named after the sources it was made from.

    python -m tests.victims.build        prints where it is

Static, because a start inside a kernel that emulates its CPU costs 16 times as much, and most of
a small program's start is the dynamic linker. The name holds a hash of the sources, so that an old
program is never run for new sources, and two builds at the same time make the same file.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
_CACHE = os.path.join(os.path.dirname(os.path.dirname(_HERE)), ".lab", "victims")
_FLAGS = ("-O2", "-std=gnu17", "-Wall", "-Wextra", "-Werror", "-static", "-pthread")
_LIMIT_SECONDS = 300  # a compiler in an emulated CPU is slow


class BuildFailed(Exception):
    """The C victims cannot be had here; the text says why and what to install."""


def sources() -> list[str]:
    """Every C source of the victims, header included, in a stable order."""
    return sorted(
        os.path.join(_HERE, name) for name in os.listdir(_HERE) if name.endswith((".c", ".h"))
    )


def _fingerprint(paths: list[str]) -> str:
    digest = hashlib.sha256(" ".join(_FLAGS).encode())
    for path in paths:
        with open(path, "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()[:16]


@functools.cache
def victim() -> str:
    """Path of the compiled victims; compiles when there is none for these sources.

    :raises BuildFailed: no C compiler, no static libc, or sources that do not compile.
    """
    paths = sources()
    program = os.path.join(_CACHE, f"victim-{_fingerprint(paths)}")
    if os.access(program, os.X_OK):
        return program
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise BuildFailed("cc: not found: apt-get install gcc libc6-dev")
    os.makedirs(_CACHE, exist_ok=True)
    draft = f"{program}.{os.getpid()}"
    units = [path for path in paths if path.endswith(".c")]
    result = subprocess.run(
        [compiler, *_FLAGS, "-o", draft, *units],
        capture_output=True,
        text=True,
        timeout=_LIMIT_SECONDS,
        check=False,
    )
    if result.returncode != 0:
        raise BuildFailed(f"{compiler} exited {result.returncode}: {result.stderr.strip()}")
    os.replace(draft, program)
    return program


def python_leaker() -> list[str]:
    """Argv of the Python twin of `victim leak`."""
    return [sys.executable, os.path.join(_HERE, "pyleak.py")]


if __name__ == "__main__":
    print(victim())
