"""Images for a machine that cannot pull any: made of this machine's own programs, as archives.

They have the names of the images that they stand for. What is missing in them and there in the
real ones is not tested; what the compose file and the Dockerfile ask of them, is.
"""

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from typing import NamedTuple

from tests.containers.composition import service
from tests.containers.dockerfile import parse
from tests.lab import ROOT
from tests.lab.kernels import BUSYBOX
from tests.observability import programs

COREUTILS = ("bash", "cat", "chmod", "env", "id", "ls", "mkdir", "sh", "sleep", "stat", "true")
LINKS = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"}
UNUSED = ("test", "idlelib", "tkinter", "ensurepip", "turtledemo", "pydoc_data", "config-3*")
ACCOUNTS = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n"


class StandIn(NamedTuple):
    """An image: its name, its archive, and what `docker import --change` adds to it."""

    name: str
    archive: str
    changes: tuple[str, ...]


def make(home: str) -> list[StandIn]:
    """Make all archives in `home`, anew."""
    shutil.rmtree(home, ignore_errors=True)
    os.makedirs(home)
    with open(os.path.join(ROOT, "Dockerfile.privileged"), encoding="utf-8") as file:
        python = parse(file.read())[0].base
    return [
        _python(python, home),
        _prometheus(service("prometheus")["image"], home),
        _grafana(service("grafana")["image"], home),
    ]


def _python(name: str, home: str) -> StandIn:
    """Python in /usr/local, a shell and a few tools, and the wheels of all that is locked."""
    root = _root(home, "python")
    local = os.path.join(root, "usr/local")
    unused = shutil.ignore_patterns(*UNUSED, "*.a")
    library = f"lib/python{sys.version_info.major}.{sys.version_info.minor}"
    shutil.copytree(os.path.join(sys.base_prefix, library), f"{local}/{library}", ignore=unused)
    site = os.path.join(local, library, "site-packages")
    for entry in os.listdir(site):
        if not entry.startswith("pip"):
            path = os.path.join(site, entry)
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
    _copied(os.path.realpath(sys.executable), f"{local}/bin/python3")
    tools = [found for tool in COREUTILS if (found := shutil.which(tool, path="/usr/bin"))]
    for tool in tools:
        _copied(tool, os.path.join(root, "usr/bin", os.path.basename(tool)))
    dynamic = os.path.join(local, library, "lib-dynload")
    for entry in os.listdir(dynamic):
        if entry.startswith("_tkinter"):
            os.unlink(os.path.join(dynamic, entry))
    modules = [os.path.join(dynamic, entry) for entry in os.listdir(dynamic)]
    _libraries([os.path.realpath(sys.executable), *tools, *modules], root)
    _stripped(root)
    wheels = os.path.join(root, "wheels")
    for lock in ("build", "runtime"):
        argv = [sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes"]
        argv += ["--only-binary=:all:", "--dest", wheels, "-r", f"requirements/{lock}.txt"]
        subprocess.run(argv, cwd=ROOT, check=True, stdin=subprocess.DEVNULL)
    path = "PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
    # To compile all of what is installed takes an emulated CPU longer than to run some of it.
    changes = (f"ENV {path}", "ENV LANG=C.UTF-8", "ENV PIP_NO_COMPILE=1")
    return StandIn(name, _archived(root), changes)


def _prometheus(name: str, home: str) -> StandIn:
    """The Prometheus of these tests, with the tools of its image for the health check."""
    root = _root(home, "prometheus")
    program = programs.path("prometheus")
    _copied(program, os.path.join(root, "usr/bin/prometheus"))
    _libraries([program], root)
    _busybox(root)
    os.mkdir(os.path.join(root, "prometheus"))
    os.chown(os.path.join(root, "prometheus"), 65534, 65534)
    return StandIn(name, _archived(root), ('ENTRYPOINT ["/bin/prometheus"]',))


def _grafana(name: str, home: str) -> StandIn:
    """A web server that says that it is well, on Grafana's port."""
    root = _root(home, "grafana")
    _busybox(root)
    os.makedirs(os.path.join(root, "www/api"))
    with open(os.path.join(root, "www/api/health"), "w", encoding="ascii") as file:
        file.write("ok\n")
    os.makedirs(os.path.join(root, "var/lib/grafana"))
    os.chown(os.path.join(root, "var/lib/grafana"), 472, 0)
    entry = 'ENTRYPOINT ["/bin/busybox", "httpd", "-f", "-p", "3000", "-h", "/www"]'
    return StandIn(name, _archived(root), (entry,))


def _root(home: str, name: str) -> str:
    """An almost empty root directory."""
    root = os.path.join(home, name)
    for directory in ("etc", "proc", "sys", "dev", "tmp", "root", "run", "usr/local/bin"):
        os.makedirs(os.path.join(root, directory))
    for link, target in LINKS.items():
        os.makedirs(os.path.join(root, target), exist_ok=True)
        os.symlink(target, os.path.join(root, link))
    os.chmod(os.path.join(root, "tmp"), 0o1777)
    with open(os.path.join(root, "etc/passwd"), "w", encoding="ascii") as file:
        file.write(ACCOUNTS)
    return root


def _busybox(root: str) -> None:
    _copied(BUSYBOX, os.path.join(root, "usr/bin/busybox"))
    for tool in ("sh", "wget"):
        os.symlink("busybox", os.path.join(root, "usr/bin", tool))


def _libraries(files: Sequence[str], root: str) -> None:
    """Copy the shared libraries that `files` need, as ldd tells them."""
    done = subprocess.run(["ldd", *files], capture_output=True, text=True, check=False)
    for word in set(done.stdout.split()):
        if word.startswith("/") and ".so" in word and os.path.isfile(word):
            # In the root directories are links to those of /usr.
            _copied(word, root + ("/usr" + word if word.startswith("/lib") else word))


def _copied(source: str, target: str) -> None:
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if not os.path.exists(target):
        shutil.copy2(source, target)


def _stripped(root: str) -> None:
    """Leave out what debuggers read: an emulated CPU takes a minute for 20 MB."""
    strip = shutil.which("strip")
    for directory, _, names in os.walk(root):
        for name in names:
            path = os.path.join(directory, name)
            if strip and ".so" in name and not os.path.islink(path):
                subprocess.run([strip, "--strip-unneeded", path], check=False, capture_output=True)


def _archived(root: str) -> str:
    """Pack a root directory into an archive beside it."""
    path = root + ".tar"
    with tarfile.open(path, "w") as archive:
        for name in sorted(os.listdir(root)):
            archive.add(os.path.join(root, name), name)
    shutil.rmtree(root)
    return path
