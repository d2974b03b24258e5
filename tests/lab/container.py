"""A container without an image or an engine: crun, with the guest's own files under it.

    .venv/bin/python -m tests.lab.container --kind privileged [--memory BYTES] -- CMD [ARG...]

It is for root in the systemd guest, or in a privileged container there (nested). The kinds
differ in what docker and podman make of /sys/fs/cgroup; all have namespaces of their own for
processes, mounts, IPC and names, the host's network, and an empty /tmp and /run.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from tests.lab import ROOT

CRUN = "/usr/bin/crun"
CGROUP = "/sys/fs/cgroup"


class Kind(NamedTuple):
    """What a container has of cgroups: a namespace of its own, a mount of `tree`, capabilities.

    `tree` is "own" (what is below its own cgroup) or "host", `access` is "ro" or "rw".
    """

    private: bool
    tree: str
    access: str
    privileged: bool


KINDS = {
    "default": Kind(private=True, tree="own", access="ro", privileged=False),
    "unmasked": Kind(private=True, tree="own", access="rw", privileged=False),
    "privileged": Kind(private=True, tree="own", access="rw", privileged=True),
    "host": Kind(private=False, tree="host", access="rw", privileged=True),
    "host-default": Kind(private=False, tree="host", access="ro", privileged=False),
    "disagreeing": Kind(private=True, tree="host", access="rw", privileged=False),
}
"""The kinds by name.

default       docker run: its own cgroup as 0::/, read-only
unmasked      podman --security-opt unmask=/sys/fs/cgroup: the same, and it can be written to
privileged    docker run --privileged: the same with all capabilities
host          docker run --privileged --cgroupns=host: the host's tree, all capabilities
host-default  docker run --cgroupns=host: the host's tree, read-only
disagreeing   a private namespace over the host's tree, bind-mounted: 0::/ is not what is there
"""

CAPABILITIES = (
    *("CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID"),
    *("CAP_KILL", "CAP_MKNOD", "CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETFCAP"),
    *("CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT"),
)
"""What docker leaves a container that is not privileged."""

ALL_CAPABILITIES = (
    *CAPABILITIES,
    *("CAP_AUDIT_CONTROL", "CAP_AUDIT_READ", "CAP_BLOCK_SUSPEND", "CAP_BPF"),
    *("CAP_CHECKPOINT_RESTORE", "CAP_DAC_READ_SEARCH", "CAP_IPC_LOCK", "CAP_IPC_OWNER"),
    *("CAP_LEASE", "CAP_LINUX_IMMUTABLE", "CAP_MAC_ADMIN", "CAP_MAC_OVERRIDE", "CAP_NET_ADMIN"),
    *("CAP_NET_BROADCAST", "CAP_PERFMON", "CAP_SYSLOG", "CAP_SYS_ADMIN", "CAP_SYS_BOOT"),
    *("CAP_SYS_MODULE", "CAP_SYS_NICE", "CAP_SYS_PACCT", "CAP_SYS_PTRACE", "CAP_SYS_RAWIO"),
    *("CAP_SYS_RESOURCE", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_WAKE_ALARM"),
)


class Container(NamedTuple):
    """A running container: the name that crun has for it, and crun itself."""

    name: str
    process: subprocess.Popen[str]


@contextmanager
def container(
    kind: str,
    argv: Sequence[str],
    memory: int | None = None,
    stdio: int | None = subprocess.PIPE,
    shared: Sequence[str] = (),
) -> Iterator[Container]:
    """Run `argv` in a container of `kind` with `memory` bytes; it is gone after the block.

    `stdio` is what its three streams are: pipes, or None for those of the caller. Directories
    in `shared` are the guest's own there too, as with the engines' option --volume.
    """
    bundle = tempfile.mkdtemp(prefix="container-")
    name = os.path.basename(bundle)
    specification = _specification(KINDS[kind], argv, memory, name)
    specification["mounts"] += [_bound(path, "rw") for path in shared]
    _write_bundle(bundle, specification)
    # Whatever has systemd booted leaves cgroups to it, as the engines do.
    manager = ["--systemd-cgroup"] if os.path.isdir("/run/systemd/system") else []
    crun = [CRUN, *manager, "run", "--bundle", bundle, name]
    try:
        with subprocess.Popen(crun, stdin=stdio, stdout=stdio, stderr=stdio, text=True) as process:
            try:
                yield Container(name, process)
            finally:
                subprocess.run([CRUN, "delete", "--force", name], check=False, capture_output=True)
    finally:
        shutil.rmtree(bundle)


def enter(name: str, argv: Sequence[str]) -> list[str]:
    """Return the command line that runs `argv` in the container `name`, as docker exec does."""
    return [CRUN, "exec", "--cwd", os.getcwd(), name, *argv]


def _specification(
    kind: Kind, argv: Sequence[str], memory: int | None, name: str
) -> dict[str, Any]:
    """Return the container's config.json, as the OCI runtime specification 1.0 has it."""
    allowed = ALL_CAPABILITIES if kind.privileged else CAPABILITIES
    namespaces = ["pid", "ipc", "uts", "mount", *(["cgroup"] if kind.private else [])]
    linux: dict[str, Any] = {
        "namespaces": [{"type": kind_of} for kind_of in namespaces],
        "resources": {} if memory is None else {"memory": {"limit": memory}},
    }
    if os.path.isdir("/run/systemd/system"):
        linux["cgroupsPath"] = f"system.slice:lab:{name}"
    else:
        linux["cgroupsPath"] = f"/{name}"
    if not kind.privileged:
        linux["maskedPaths"] = ["/proc/kcore", "/proc/keys", "/sys/firmware"]
        linux["readonlyPaths"] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"]
    return {
        "ociVersion": "1.0.0",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": list(argv),
            "env": [f"{key}={value}" for key, value in os.environ.items()],
            "cwd": os.getcwd(),
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), allowed),
        },
        "root": {"path": "root"},
        "hostname": name,
        "mounts": _mounts(kind),
        "linux": linux,
    }


def _mounts(kind: Kind) -> list[dict[str, Any]]:
    """Return the container's mounts: the usual ones, the guest's files, its view of cgroups."""
    quiet = ["nosuid", "noexec", "nodev"]
    if kind.tree == "host":
        # Bound: a new mount, in the host's namespace, would set nsdelegate for all of them.
        cgroup = _bound(CGROUP, kind.access)
    else:
        options = [*quiet, kind.access]
        cgroup = {"destination": CGROUP, "type": "cgroup", "source": "cgroup", "options": options}
    system = "rw" if kind.privileged else "ro"
    # Where the interpreter is, and the exchange directory of the run, may be anywhere.
    files = dict.fromkeys(("/usr", "/etc", ROOT, sys.prefix, sys.base_prefix))
    exchange = os.environ.get("SENTINEL_EXCHANGE")
    return [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        *_fresh("/dev", "mode=755"),
        {
            "destination": "/dev/pts",
            "type": "devpts",
            "source": "devpts",
            "options": [*quiet[:2], "newinstance", "ptmxmode=0666", "mode=0620"],
        },
        *_fresh("/dev/shm", "mode=1777"),
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": [*quiet, system]},
        cgroup,
        *_fresh("/run", "mode=755"),
        *_fresh("/tmp", "mode=1777"),
        *(_bound(path, "ro") for path in files),
        *([_bound(exchange, "rw")] if exchange else []),
    ]


def _fresh(path: str, mode: str) -> list[dict[str, Any]]:
    """Return the mount of an empty tmpfs."""
    return [{"destination": path, "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", mode]}]


def _bound(path: str, access: str) -> dict[str, Any]:
    """Return the mount of one of the guest's own directories where it is there too."""
    return {"destination": path, "type": "bind", "source": path, "options": ["rbind", access]}


def _write_bundle(bundle: str, specification: dict[str, Any]) -> None:
    """Write the container's configuration, and the links that Debian has in /."""
    for name in ("bin", "lib", "lib64", "sbin"):
        os.makedirs(os.path.join(bundle, "root"), exist_ok=True)
        os.symlink(f"usr/{name}", os.path.join(bundle, "root", name))
    with open(os.path.join(bundle, "config.json"), "w", encoding="utf-8") as file:
        json.dump(specification, file)


def main() -> int:
    """Run the command line in a container; return the command's exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.lab.container",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--kind", choices=KINDS, default="default")
    parser.add_argument("--memory", type=int, metavar="BYTES")
    parser.add_argument("command", nargs="+", metavar="CMD")
    options = parser.parse_args()
    with container(options.kind, options.command, options.memory, stdio=None) as running:
        return running.process.wait()


if __name__ == "__main__":
    sys.exit(main())
