"""Programs of others that these tests run: unpacked beside the lab's kernels, never installed.

    python3 -m tests.observability.programs      fetches what this machine lacks

Debian's Prometheus is a service that would start when it is installed, and listen to the network.
Unpacked it is two programs. Grafana's types and TypeScript are files of the npm registry, each
checked against the digest that is written here.
"""

import base64
import glob
import hashlib
import os
import shutil
import subprocess
import sys

from tests.lab import STATE, LabError
from tests.lab.kernels import package_manager
from tests.lab.workspace import locked

HOME = os.path.join(STATE, "observability")
PROMETHEUS = os.path.join(HOME, "prometheus")
MODULES = os.path.join(HOME, "node_modules")

NPM = {
    "@grafana/schema": (
        "11.6.1",
        "117D6g9TQ3w3ERx01EG61Meokd5Cws5fwVnlkHFvx45zk7HqPtnH0kPYKLj3JyLFN+A8xyuqiUI5rKFZ0MRyjw==",
    ),
    "tslib": (
        "2.8.1",
        "oJFu94HQb+KVduSUQL7wnpmqnfmLsOA/nAh6b6EH0wCEoK0/mPeXU6c3wKDV83MkOuHPRHtSXKKU99IBazS/2w==",
    ),
    "typescript": (
        "5.8.3",
        "p1diW6TqL9L07nNxvRMM7hMMw4c5XOo/1ibL4aAIGmSAt9slTE1Xgw5KWuof2uTOvCg9BY7ZRi+GaF+7sfgPeQ==",
    ),
}
"""Version and SHA-512 in base 64, by name; Grafana's is that of the compose file."""


def path(program: str) -> str:
    """Where `prometheus` or `promtool` is: on this machine, or unpacked. Raises LabError."""
    installed = shutil.which(program)
    if installed:
        return installed
    unpacked = os.path.join(PROMETHEUS, "usr/bin", program)
    if not os.path.exists(unpacked):
        with locked(HOME):
            if not os.path.exists(unpacked):
                _unpack_prometheus()
    return unpacked


def modules() -> str:
    """The directory of the npm packages, each of the pinned version. Raises LabError."""
    with locked(HOME):
        for name, (version, digest) in NPM.items():
            there = os.path.join(MODULES, name)
            stamp = os.path.join(there, f".{version}")
            if not os.path.exists(stamp):
                shutil.rmtree(there, ignore_errors=True)
                _unpack_module(name, version, digest)
                with open(stamp, "w", encoding="ascii"):
                    pass
    return MODULES


def _unpack_prometheus() -> None:
    """Fetch Debian's package and unpack it; the directory appears only when it is complete."""
    work = os.path.join(HOME, "unpacking")
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    if os.geteuid() == 0:
        # What a stale list names may be gone from the mirror.
        package_manager("apt-get", "update", "-qq")
    package_manager("apt-get", "download", "prometheus", cwd=work)
    (deb,) = glob.glob(os.path.join(work, "*.deb"))
    package_manager("dpkg", "-x", deb, os.path.join(work, "tree"))
    shutil.rmtree(PROMETHEUS, ignore_errors=True)
    os.rename(os.path.join(work, "tree"), PROMETHEUS)
    shutil.rmtree(work)


def _unpack_module(name: str, version: str, digest: str) -> None:
    """Fetch one npm package, compare its digest, and unpack it where node looks for it."""
    work = os.path.join(HOME, "unpacking")
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    argv = ["npm", "pack", "--silent", "--ignore-scripts", f"{name}@{version}"]
    try:
        done = subprocess.run(argv, cwd=work, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise LabError("npm is not on this machine: run make lab-deps as root") from None
    found = glob.glob(os.path.join(work, "*.tgz"))
    if len(found) != 1:
        words = done.stderr.strip().splitlines() or ["no reason given"]
        raise LabError(f"npm pack {name}@{version}: {words[-1]}: run make lab-deps as root")
    with open(found[0], "rb") as file:
        got = base64.b64encode(hashlib.sha512(file.read()).digest()).decode()
    if got != digest:
        raise LabError(f"{name}@{version} is {got}, not {digest}: do not use it")
    package_manager("tar", "-xzf", found[0], cwd=work)
    target = os.path.join(MODULES, name)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    os.rename(os.path.join(work, "package"), target)
    shutil.rmtree(work)


def main() -> int:
    """Fetch the programs that this machine lacks, and say where they are."""
    try:
        print(f"prometheus: {path('prometheus')}")
        print(f"npm packages: {modules()}")
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
