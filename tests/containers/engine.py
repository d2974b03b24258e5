"""The compose file with a real Docker engine, on a real cgroup v2 kernel: make test-containers.

    .venv/bin/python -m tests.containers.engine

Docker 20.10 and docker-compose 1.29, Debian's, in the lab's 6.12, whose CPU is emulated: up to
half an hour. Images that cannot be pulled are those of standins.py; the workstation's is built
from its Dockerfile. The engine is unpacked below .lab, never installed: it would start.
"""

from __future__ import annotations

import argparse
import glob
import os
import shutil
import subprocess
import sys

from tests.containers import standins
from tests.containers.standins import StandIn
from tests.lab import ROOT, STATE, LabError, kernels, layer, machine
from tests.lab.kernels import BUSYBOX, KERNELS, package_manager
from tests.lab.workspace import locked

KERNEL = "6.12"
SECONDS = 3600
HOME = os.path.join(STATE, "containers")
TREE = os.path.join(HOME, "engine")
BIN = os.path.join(HOME, "bin")
MODULES = os.path.join(HOME, "modules")

NETWORK = (
    *("llc", "stp", "bridge", "br_netfilter", "veth"),
    *("nf_defrag_ipv4", "nf_defrag_ipv6", "libcrc32c", "nf_conntrack", "nf_nat", "nfnetlink"),
    *("nf_conntrack_netlink", "x_tables", "ip_tables", "iptable_filter", "iptable_nat"),
    *("xt_conntrack", "xt_MASQUERADE", "xt_addrtype", "xt_nat", "xt_tcpudp"),
)
"""Modules for the engine's networks; each is loaded once those that it needs are."""

WRAPPER = """#!/bin/sh
export LD_LIBRARY_PATH={tree}/usr/lib/x86_64-linux-gnu
export XTABLES_LIBDIR={tree}/usr/lib/x86_64-linux-gnu/xtables
exec {tree}/usr/sbin/{program} "$@"
"""


def unpack_engine() -> None:
    """Fetch the engine and what it needs, and unpack it, once. Raises LabError."""
    with locked(HOME):
        if not os.path.isdir(TREE):
            work = os.path.join(HOME, "unpacking")
            shutil.rmtree(work, ignore_errors=True)
            os.makedirs(work)
            options = ("-s", "-q", "--no-install-recommends", "install", "docker.io")
            names = layer.wanted(package_manager("apt-get", *options))
            # Also those that this machine has: the tree is used by itself.
            names += ["libxtables12", "libip4tc2", "libmnl0"]
            package_manager("apt-get", "download", *dict.fromkeys(names), cwd=work)
            for deb in glob.glob(os.path.join(work, "*.deb")):
                package_manager("dpkg", "-x", deb, os.path.join(work, "tree"))
            os.rename(os.path.join(work, "tree"), TREE)
            shutil.rmtree(work)
        os.makedirs(BIN, exist_ok=True)
        for name in ("iptables", "ip6tables"):
            path = os.path.join(BIN, name)
            with open(path, "w", encoding="ascii") as file:
                file.write(WRAPPER.format(tree=TREE, program=f"{name}-legacy"))
            os.chmod(path, 0o755)


def decompress_modules() -> list[str]:
    """Decompress the modules of NETWORK; returns their paths in that order."""
    built = kernels.image(KERNELS[KERNEL])
    release = os.path.basename(built.kernel).removeprefix("vmlinuz-")
    tree = os.path.join(os.path.dirname(built.kernel), "../lib/modules", release)
    os.makedirs(MODULES, exist_ok=True)
    found = []
    for name in NETWORK:
        (packed,) = glob.glob(os.path.join(tree, "kernel", "**", f"{name}.ko.xz"), recursive=True)
        path = os.path.join(MODULES, f"{name}.ko")
        with open(path, "wb") as out:
            subprocess.run([BUSYBOX, "xzcat", packed], stdout=out, check=True)
        found.append(path)
    return found


def description(images: list[StandIn], modules: list[str]) -> list[str]:
    """What the guest is told on its command line: modules and images, one a word."""
    words = [f"module={path}" for path in modules]
    for image in images:
        words += [f"image={image.name}", f"archive={image.archive}"]
        words += [f"change={change}" for change in image.changes]
    return words


def main() -> int:
    """Prepare everything on this machine, boot the lab and run the workstation in it."""
    argparse.ArgumentParser(
        prog="python -m tests.containers.engine", description=__doc__
    ).parse_args()
    machine.end_on_sigterm()
    try:
        unpack_engine()
        words = description(standins.make(os.path.join(HOME, "images")), decompress_modules())
        kernels.MEMORY = "3072M"  # an engine, three containers and a leak
        env = {"LAB_ENGINE": TREE, "LAB_ENGINE_BIN": BIN}
        command = [sys.executable, "-m", "tests.containers.enginehost", *words]
        order = machine.Order(command, ROOT, env, SECONDS)
        result = machine.run(KERNEL, order)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    if result.status is None:
        print(f"the lab did not finish; its console said:\n{result.console}", file=sys.stderr)
        return 1
    return result.status


if __name__ == "__main__":
    sys.exit(main())
