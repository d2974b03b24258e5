"""Containers by hand: a cgroup, a cgroup and mount namespace over it, its own view of the tree."""

from __future__ import annotations

import os
import shlex
import subprocess

from tests.kernel.guarded import PATIENCE, SENTINEL

_MOUNT = "umount -R /sys/fs/cgroup && mount -t cgroup2 -o {} cgroup2 /sys/fs/cgroup && "


def sentinel(*words: str) -> str:
    """A line of shell that runs `sentinel exec --backend cgroup`."""
    return shlex.join([SENTINEL, "exec", "--backend", "cgroup", *words])


def within(cgroup: str, *, options: str = "rw") -> list[str]:
    """What to put before a command so that it runs in a namespace whose root is `cgroup`.

    The tree that it sees is mounted with `options`, as a container engine does it; without any
    it keeps the view from outside. No process of it stays between the caller and the command.
    """
    mount = _MOUNT.format(options) if options else ""
    inside = ["unshare", "--cgroup", "--mount", "sh", "-c", f'{mount}exec "$@"', "sh"]
    return ["sh", "-c", f'echo 0 > {cgroup}/cgroup.procs; exec "$@"', "sh", *inside]


def contained(cgroup: str, script: str, *, options: str = "rw") -> subprocess.Popen[str]:
    """Start `script` in a shell whose cgroup namespace has `cgroup` for its root."""
    return subprocess.Popen(
        [*within(cgroup, options=options), "sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def in_container(cgroup: str, script: str, *, options: str = "rw") -> tuple[int, str, str]:
    """Run `script` there to its end: status, stdout, stderr."""
    process = contained(cgroup, script, options=options)
    try:
        stdout, stderr = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return process.returncode, stdout, stderr


def put_into(cgroup: str, *command: str) -> int:
    """Do what `docker exec` does from outside: a new process into `cgroup`; the errno, or 0."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE)
    try:
        with open(os.path.join(cgroup, "cgroup.procs"), "w", encoding="ascii") as file:
            file.write(str(process.pid))
    except OSError as error:
        return error.errno or 0
    finally:
        process.kill()
        process.communicate()
    return 0
