"""The first program that runs inside the guest kernel, as text.

The guest's root is the host's own root, mounted read-only: what runs in the guest can
neither litter nor harm the machine. Only the exchange directory is writable, and the places
in VOLATILE, each a fresh tmpfs. The script is run by busybox, so that it needs nothing of
the host but one static binary; the command itself sees the host's own tools.

With systemd as PID 1 the root is an overlay over the host's, all of it writable and none of
it kept, and the script ends as systemd: tests.lab.systemd puts it together from these parts.
"""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

VOLATILE = ("/tmp", "/run", "/dev/shm", "/var/tmp")
"""Directories that the guest sees empty and can write; what the host has there is hidden."""

SCRATCH = "/run/scratch"
"""Where the guest mounts the scratch disk (ext4)."""

OUTPUT, ERRORS, STATUS, RELEASE = "stdout", "stderr", "status", "release"
"""Files of the exchange directory. STATUS appears last, whole."""

ENVIRONMENT = {
    "HOME": "/tmp/home",
    "LANG": "C.UTF-8",
    "LOGNAME": "root",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    # Looking for plugins and writing caches takes seconds on an emulated CPU.
    "PYTEST_ADDOPTS": "-p no:cacheprovider",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUNBUFFERED": "1",
    "SENTINEL_SCRATCH": SCRATCH,
    "SHELL": "/bin/sh",
    "TERM": "dumb",
    "USER": "root",
}


class Job(NamedTuple):
    """What the guest is to do: `exchange` is its writable directory on the shared root."""

    argv: Sequence[str]
    cwd: str
    env: Mapping[str, str]
    exchange: str
    keep: Sequence[str]
    modules: Sequence[str]
    disk: str


def init_script(job: Job) -> str:
    """Return the init program: modules, mounts, the command, its status, power off."""
    return program(modules(job), mounts(job), only_exchange(job), work(job))


def program(*parts: Iterable[str]) -> str:
    """Return the steps as a program of busybox; the first that fails ends it.

    That ends init, and so the machine, with its reason on the console.
    """
    steps = [step for part in parts for step in part]
    return "\n".join(["#!/bin/busybox sh", "bb=/bin/busybox", "set -e", *steps]) + "\n"


def modules(job: Job) -> list[str]:
    """Return the steps that load the kernel's modules."""
    return [f"$bb insmod {shlex.quote(path)}" for path in job.modules]


def mounts(job: Job) -> list[str]:
    """Return the steps from an almost bare root to one that a command can live in."""
    hold = {path: f"/dev/lab/{number}" for number, path in enumerate(hidden(job.keep))}
    quote = shlex.quote
    return [
        "$bb mount -t proc proc /proc",
        "$bb grep -q ' /dev devtmpfs' /proc/mounts || $bb mount -t devtmpfs dev /dev",
        *(f"$bb mkdir -p {to}; $bb mount --bind {quote(path)} {to}" for path, to in hold.items()),
        "$bb mount -t sysfs sys /sys",
        "$bb mkdir -p /dev/pts /dev/shm",
        "$bb ln -sfT /proc/self/fd /dev/fd",
        *(
            f"$bb ln -sfT /proc/self/fd/{number} /dev/{name}"
            for number, name in enumerate(("stdin", "stdout", "stderr"))
        ),
        "$bb mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts",
        *(f"$bb mount -t tmpfs -o mode=1777 tmp {path}" for path in VOLATILE),
        "$bb chmod 755 /run",
        *(
            f"$bb mkdir -p {quote(path)}; $bb mount --move {to} {quote(path)}"
            f"; $bb mount -o remount,bind,ro {quote(path)}"
            for path, to in hold.items()
        ),
        "$bb mount -t cgroup2 -o nsdelegate cgroup2 /sys/fs/cgroup",
        "$bb ip link set lo up",
        "$bb hostname lab",
        "$bb mkdir -p /tmp/home",
        f"$bb mkdir -p {SCRATCH}; $bb mount -t ext4 -o noinit_itable {job.disk} {SCRATCH}",
        f"$bb chmod 1777 {SCRATCH}",
    ]


def only_exchange(job: Job) -> list[str]:
    """Return the steps that leave the exchange directory as the only place to write of /."""
    exchange = shlex.quote(job.exchange)
    return [
        f"$bb mount --bind {exchange} {exchange}",
        "$bb mount -o remount,bind,ro /",
        f"$bb mount -o remount,bind,rw {exchange}",
    ]


def work(job: Job) -> list[str]:
    """Return the steps that run the command, leave its output and status, and power off."""
    env = " ".join(
        shlex.quote(f"{key}={value}") for key, value in sorted((ENVIRONMENT | {**job.env}).items())
    )
    command = f"/usr/bin/env -i {env} /usr/bin/setsid {shlex.join(job.argv)}"
    return [
        f"cd {shlex.quote(job.exchange)}",
        f"$bb uname -r >{RELEASE}",
        f"exec 3>>{OUTPUT} 4>>{ERRORS}",
        "set +e",
        # The kernel starts init without a session; a command expects to have one.
        f"(cd {shlex.quote(job.cwd)} && exec {command} </dev/null >&3 2>&4 3>&- 4>&-)",
        f"echo $? >{STATUS}.new",
        f"$bb mv {STATUS}.new {STATUS}",
        "$bb poweroff -f",
    ]


def hidden(paths: Sequence[str]) -> list[str]:
    """Return those of `paths` that a fresh tmpfs would hide, parents only, each once."""
    found: list[str] = []
    for path in sorted(set(paths)):
        if not any(path == top or path.startswith(top + "/") for top in VOLATILE):
            continue
        if not any(path == parent or path.startswith(parent + "/") for parent in found):
            found.append(path)
    return found
