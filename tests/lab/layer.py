"""Debian packages that only the guest has: unpacked beside the kernels, never installed.

To install systemd where something else is PID 1 would replace its init, start services and
change how people log in; unpacked, the packages are files that a guest sees in its overlay
and the machine does not. Their maintainers' scripts do not run: what the guest needs of
those is in tests.lab.systemd.
"""

import os
import re
import shutil
import sys
from collections.abc import Iterable

from tests.lab import STATE, LabError
from tests.lab.kernels import package_manager
from tests.lab.workspace import locked

PACKAGES = ("crun", "dbus", "dbus-user-session", "libpam-systemd", "systemd")

FILES = (
    "usr/bin/crun",
    "usr/bin/dbus-daemon",
    "usr/lib/systemd/systemd",
    "usr/lib/systemd/systemd-logind",
    "usr/lib/systemd/user/dbus.socket",
    "usr/lib/x86_64-linux-gnu/security/pam_systemd.so",
)
"""A file of each package and program that the guest cannot do without."""

HOME = os.path.join(STATE, "packages")
UNREAD = ("usr/share/doc", "usr/share/locale", "usr/share/man")

MERGED = ("bin", "lib", "lib64", "sbin")
"""What packages may still have in / and Debian has in /usr, with links in /: a directory of
that name would hide the guest's link."""

INSTALLED = re.compile(r"^Inst ([^ ]+) (?:\[[^]]*\] )?\(([^ ]+) ", re.MULTILINE)
"""apt-get's line about a package: its name, the version that it replaces, its new version."""


def packages() -> str:
    """Return a directory with what this machine lacks of PACKAGES, fetching it when needed.

    Raises LabError when it cannot be had.
    """
    with locked(HOME):
        tree = os.path.join(HOME, "tree")
        if not _complete(tree):
            _download(tree)
        if not _complete(tree):
            raise LabError(f"no {', '.join(missing(['/', tree]))}: the lab needs Debian 12")
        return tree


def missing(roots: Iterable[str]) -> list[str]:
    """Return those of FILES that none of `roots` has."""
    return [
        name
        for name in FILES
        if not any(os.path.exists(os.path.join(root, name)) for root in roots)
    ]


def wanted(simulation: str) -> list[str]:
    """Return NAME=VERSION of the packages that apt-get -s install would install or upgrade."""
    return [f"{name}={version}" for name, version in INSTALLED.findall(simulation)]


def _complete(tree: str) -> bool:
    """Tell whether the guest has all of FILES: from this machine, or from a finished tree."""
    return os.path.isdir(tree) and not missing(["/", tree])


def _download(tree: str) -> None:
    """Unpack what this machine lacks of PACKAGES, and of all that they depend on, into `tree`."""
    if os.geteuid() == 0:
        package_manager("apt-get", "update", "-qq")
    options = ("-s", "-q", "--no-install-recommends")
    names = wanted(package_manager("apt-get", *options, "install", *PACKAGES))
    work = os.path.join(HOME, "unpacking")
    shutil.rmtree(work, ignore_errors=True)
    unpacked = os.path.join(work, "tree")
    os.makedirs(unpacked)
    if names:
        package_manager("apt-get", "download", *names, cwd=work)
    for deb in sorted(name for name in os.listdir(work) if name.endswith(".deb")):
        package_manager("dpkg", "-x", deb, "tree", cwd=work)
    for name in MERGED:
        _moved(os.path.join(unpacked, name), os.path.join(unpacked, "usr", name))
    for name in UNREAD:
        shutil.rmtree(os.path.join(unpacked, name), ignore_errors=True)
    # The name appears in HOME only when everything below it is complete.
    shutil.rmtree(tree, ignore_errors=True)
    os.rename(unpacked, tree)
    shutil.rmtree(work)


def _moved(source: str, target: str) -> None:
    """Move what is in `source`, if there is one, to what is in `target`."""
    if os.path.isdir(source):
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
        shutil.rmtree(source)


def main() -> int:
    """Fetch the packages that this machine lacks, and say where they are."""
    try:
        print(f"packages of the guest: {packages()}")
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
