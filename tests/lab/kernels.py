"""The kernels of the lab: what each one needs on this machine, and how it is started.

Both are Debian's own builds. 6.12 is the cloud kernel under QEMU with a software-emulated
CPU: the whole kernel (SMP, PSI, process events), about 16 times slower than native. 6.1 is
user-mode Linux: three times slower, one CPU, no PSI, no process events.
"""

import glob
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from typing import NamedTuple

from tests.lab import STATE, LabError
from tests.lab.workspace import locked

BUSYBOX = "/bin/busybox"
UML = "/usr/bin/linux.uml"
UML_OVERLAY = "/usr/lib/uml/modules/*/kernel/fs/overlayfs/overlay.ko"
QEMU = "/usr/bin/qemu-system-x86_64"
VIRTIOFSD = "/usr/lib/qemu/virtiofsd"
MKFS = "/sbin/mkfs.ext4"

PACKAGES = {
    BUSYBOX: "busybox-static",
    MKFS: "e2fsprogs",
    UML: "user-mode-linux",
    QEMU: "qemu-system-x86",
    VIRTIOFSD: "qemu-system-x86",
    "/usr/bin/cc": "gcc",
    "/usr/include/stdlib.h": "libc6-dev",
    "/usr/bin/docker-compose": "docker-compose",
    "/usr/bin/fish": "fish",
    "/usr/bin/man": "man-db",
    "/usr/bin/zsh": "zsh",
    "/bin/nc.openbsd": "netcat-openbsd",
    "/usr/bin/ncat": "ncat",
    "/usr/bin/socat": "socat",
}
"""Each file that the tests need beyond Python, and the Debian package that brings it."""

MEMORY = "1024M"
"""What a guest has."""

COMPILER = ("/usr/bin/cc", "/usr/include/stdlib.h")
"""What the small C programs of the tests are made with, on any kernel."""

TALKERS = ("/bin/nc.openbsd", "/usr/bin/ncat", "/usr/bin/socat")
"""What people talk to a socket with."""

READERS = ("/usr/bin/docker-compose", "/usr/bin/fish", "/usr/bin/man", "/usr/bin/zsh")
"""The programs that read what the project writes for them: completions, manual, compose file."""

HOME = os.path.join(STATE, "kernels")
"""Where downloaded kernels are unpacked, each in a directory named after its package."""

IMAGE = re.compile(r"linux-image-6\.12\.(\d+)\+deb\d+-cloud-amd64")
MODULES = ("kernel/drivers/block/virtio_blk.ko", "kernel/fs/overlayfs/overlay.ko")
"""Modules of the cloud kernel to load: the scratch disk's driver, and overlay mounts."""


class Image(NamedTuple):
    """A kernel file and the modules to load once it runs; None is a kernel that is a program."""

    kernel: str
    modules: tuple[str, ...]


class Kernel(NamedTuple):
    """One kernel of the lab; `disk` is what it calls its scratch disk."""

    name: str
    programs: tuple[str, ...]
    disk: str


KERNELS = {
    "6.1": Kernel("6.1", (BUSYBOX, MKFS, UML), "/dev/ubda"),
    "6.12": Kernel("6.12", (BUSYBOX, MKFS, QEMU, VIRTIOFSD), "/dev/vda"),
}
"""The kernels by name, the quick one first."""


def missing_packages(kernels: Iterable[Kernel]) -> list[str]:
    """Return the Debian packages that tests on `kernels` need and this machine has not, sorted."""
    needed = {path for kernel in kernels for path in kernel.programs} | {
        *COMPILER,
        *READERS,
        *TALKERS,
    }
    return sorted({PACKAGES[path] for path in needed if not os.path.exists(path)})


def image(kernel: Kernel) -> Image:
    """Return the kernel's file and modules, fetching and unpacking them once when needed.

    Raises LabError when a package is missing or the kernel cannot be downloaded.
    """
    lacking = [PACKAGES[path] for path in kernel.programs if not os.path.exists(path)]
    if lacking:
        raise LabError(f"kernel {kernel.name} needs {' '.join(lacking)}: run make lab-deps as root")
    if UML in kernel.programs:
        return Image(UML, tuple(glob.glob(UML_OVERLAY)))
    with locked(HOME):
        package = newest(_kept()) or _download()
        return _unpacked(os.path.join(HOME, package))


def _kept() -> list[str]:
    """Return the names of the packages that are unpacked already."""
    return os.listdir(HOME) if os.path.isdir(HOME) else []


def newest(names: list[str]) -> str | None:
    """Return the package name of the highest 6.12 point release in `names`."""
    found = [(int(match[1]), match[0]) for name in names if (match := IMAGE.fullmatch(name))]
    return max(found)[1] if found else None


def _download() -> str:
    """Unpack the newest 6.12 cloud kernel that apt knows into HOME; return its name."""
    if os.geteuid() == 0:
        # What a stale list names may be gone from the mirror.
        package_manager("apt-get", "update", "-qq")
    known = package_manager("apt-cache", "pkgnames", "linux-image-6.12.").split()
    package = newest(known)
    if package is None:
        raise LabError("apt knows no linux-image-6.12.*-cloud-amd64: the lab needs Debian 12")
    # The name appears in HOME only when everything below it is complete.
    work = os.path.join(HOME, "unpacking")
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    package_manager("apt-get", "download", package, cwd=work)
    (deb,) = os.listdir(work)
    package_manager("dpkg", "-x", deb, "tree", cwd=work)
    os.unlink(os.path.join(work, deb))
    os.rename(os.path.join(work, "tree"), os.path.join(HOME, package))
    os.rmdir(work)
    return package


def _unpacked(tree: str) -> Image:
    """Find the kernel in an unpacked package and decompress the modules that the lab loads."""
    release = os.path.basename(tree).removeprefix("linux-image-")
    modules = []
    for name in MODULES:
        module = os.path.join(tree, "lib/modules", release, name)
        if not os.path.exists(module):
            with open(module + ".new", "wb") as out:
                subprocess.run([BUSYBOX, "xzcat", module + ".xz"], stdout=out, check=True)
            os.rename(module + ".new", module)
        modules.append(module)
    return Image(os.path.join(tree, "boot", f"vmlinuz-{release}"), tuple(modules))


def package_manager(*argv: str, cwd: str | None = None) -> str:
    """Run a program of the package manager and return what it printed.

    Raises LabError with its last words when it is not there or fails.
    """
    try:
        done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise LabError(f"{argv[0]} is not on this machine: the lab needs Debian 12") from None
    if done.returncode:
        words = done.stderr.strip().splitlines() or ["no reason given"]
        raise LabError(f"{' '.join(argv)}: {words[-1]}: run make lab-deps as root")
    return done.stdout


def uml_argv(work: str) -> list[str]:
    """Return the command line of user-mode Linux; its console is its standard output."""
    return [
        UML,
        f"mem={MEMORY}",
        "root=/dev/root",
        "rootfstype=hostfs",
        "rootflags=/",
        "rw",
        "quiet",
        "panic=-1",
        "con=null",
        "con0=null,fd:1",
        f"ubd0={work}/disk",
        f"uml_dir={work}",
        "umid=vm",
        f"init={work}/init",
    ]


def qemu_argv(built: Image, work: str, socket: str) -> list[str]:
    """Return the command line of QEMU: two emulated CPUs, the root from virtiofsd at `socket`."""
    append = "console=ttyS0 panic=-1 quiet root=rootfs rootfstype=virtiofs rw"
    return [
        QEMU,
        *("-accel", "tcg,thread=multi,tb-size=1024"),
        *("-cpu", "max", "-smp", "2", "-m", MEMORY),
        *("-object", f"memory-backend-memfd,id=mem,size={MEMORY},share=on"),
        *("-numa", "node,memdev=mem"),
        *("-chardev", f"socket,id=root,path={socket}"),
        *("-device", "vhost-user-fs-pci,chardev=root,tag=rootfs"),
        *("-drive", f"file={work}/disk,format=raw,if=virtio,cache=unsafe"),
        *("-nographic", "-nodefaults", "-no-reboot", "-serial", "stdio"),
        *("-kernel", built.kernel, "-append", f"{append} init={work}/init"),
    ]


def virtiofsd_argv(socket: str) -> list[str]:
    """Return the command line of the program that gives QEMU's guest this machine's root."""
    argv = [VIRTIOFSD, f"--socket-path={socket}", "-o", "source=/", "-o", "cache=always"]
    return [*argv, "-o", "sandbox=chroot", "-o", "xattr"]


def main() -> int:
    """Fetch the kernels that are not part of a package, and say where each one is."""
    for kernel in KERNELS.values():
        try:
            print(f"kernel {kernel.name}: {image(kernel).kernel}")
        except LabError as error:
            print(f"lab: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
