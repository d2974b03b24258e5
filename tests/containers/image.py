"""A Dockerfile's steps, carried out on this machine: its files under them, what they write apart.

There is no engine and no registry. The base image is this machine's root, read-only, with the
tests' own Python in /usr/local, as the image of Python has it. Every command runs in a mount
namespace of its own; nothing is left but the layers below the directory that is given.
"""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tests.containers.dockerfile import Copy, Stage, context, parse
from tests.lab import ROOT

SECONDS = 300
PLACES = ("/dev", "/proc", "/sys")


class Image(NamedTuple):
    """A built image: where its layers are, and its last stage."""

    layers: str
    stage: Stage


def build(path: str, layers: str) -> Image:
    """Build the Dockerfile at `path` of the project; its layers go to `layers`."""
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        stages = parse(file.read())
    given = os.path.join(layers, "context")
    _take_context(given)
    lines = ["set -eu"]
    for number in range(len(stages)):
        lines += _mounted(layers, number)
    for number, stage in enumerate(stages):
        for directory, step in stage.steps:
            root = _root(layers, number)
            lines.append(f"mkdir -p {shlex.quote(root + directory)}")
            if isinstance(step, Copy):
                lines += _copied(step, root + directory, given, stages, layers)
            else:
                lines.append(_in(root, directory, ["/bin/sh", "-c", step.command], stage))
    done = _unshared(lines, _of_pip())
    assert done.returncode == 0, done.stdout + done.stderr
    return Image(layers, stages[-1])


def command(image: Image, argv: Sequence[str], tmp: str, env: Mapping[str, str]) -> list[str]:
    """The command line that runs `argv` in the image, with `tmp` as /tmp, as compose would."""
    number = sum(name.startswith("stage") for name in os.listdir(image.layers)) - 1
    root = _root(image.layers, number)
    stage = image.stage._replace(environment={**image.stage.environment, **env})
    lines = ["set -eu", *_mounted(image.layers, number)]
    lines.append(shlex.join(["mount", "--bind", tmp, f"{root}/tmp"]))
    lines.append("exec " + _in(root, stage.directory, argv, stage))
    return [*_unshare(), "/bin/sh", "-c", "\n".join(lines)]


def _take_context(given: str) -> None:
    """Copy what the engine would be sent: the checkout less what .dockerignore names."""
    with open(os.path.join(ROOT, ".dockerignore"), encoding="utf-8") as file:
        ignore = file.read()
    names = [
        os.path.relpath(os.path.join(directory, name), ROOT)
        for top in sorted(os.listdir(ROOT))
        if not top.startswith(".")
        for directory, _, found in os.walk(os.path.join(ROOT, top))
        for name in found
    ]
    names += [name for name in os.listdir(ROOT) if os.path.isfile(os.path.join(ROOT, name))]
    for name in context(ignore, names):
        target = os.path.join(given, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy2(os.path.join(ROOT, name), target)


def _root(layers: str, number: int) -> str:
    return os.path.join(layers, f"stage{number}", "root")


def _mounted(layers: str, number: int) -> list[str]:
    """Mount a stage: what it has written so far over the base image."""
    home, root = os.path.join(layers, f"stage{number}"), _root(layers, number)
    for name in ("upper", "work", "local", "local-work", "root"):
        os.makedirs(os.path.join(home, name), exist_ok=True)
    os.chmod(home, 0o755)
    both = (
        ("/", "upper", "work", root),
        (sys.base_prefix, "local", "local-work", root + "/usr/local"),
    )
    lines = [
        shlex.join(
            [
                *("mount", "-t", "overlay", "overlay", "-o"),
                f"lowerdir={lower},upperdir={home}/{upper},workdir={home}/{work}",
                target,
            ]
        )
        for lower, upper, work, target in both
    ]
    lines += [shlex.join(["mount", "--rbind", place, root + place]) for place in PLACES]
    # Never the machine's own: the locks of live runs would look free through an overlay.
    return [*lines, shlex.join(["mount", "-t", "tmpfs", "tmpfs", root + "/run"])]


def _copied(step: Copy, directory: str, given: str, stages: list[Stage], layers: str) -> list[str]:
    """Copy as COPY does: of a directory what is in it, and a last slash makes the directory."""
    source = given
    if step.source:
        source = _root(layers, [stage.name for stage in stages].index(step.source))
    target = os.path.normpath(os.path.join(directory, step.target))
    if step.target.startswith("/"):
        target = os.path.join(directory[: directory.index("/root") + 5], step.target.lstrip("/"))
    folder = target if step.target.endswith(("/", ".")) or len(step.names) > 1 else ""
    lines = [f"mkdir -p {shlex.quote(folder or os.path.dirname(target))}"]
    for name in step.names:
        path = os.path.join(source, name.strip("/"))
        lines.append(
            f"if [ -d {shlex.quote(path)} ]; then mkdir -p {shlex.quote(target)};"
            f" cp -rp {shlex.quote(path)}/. {shlex.quote(target)};"
            f" else cp -p {shlex.quote(path)} {shlex.quote(target)}; fi"
        )
    return lines


def _in(root: str, directory: str, argv: Sequence[str], stage: Stage) -> str:
    """A command in the stage, with the image's environment alone (and pip's, for a build)."""
    environment = [f"{name}={value}" for name, value in stage.environment.items()]
    if not any(word.startswith("PATH=") for word in environment):
        environment.append("PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin")
    within = ["chroot", root, "env", "-C", directory, *environment, *argv]
    return shlex.join(within)


def _unshare() -> list[str]:
    """A mount namespace of its own; whoever is not root is made root of a user namespace."""
    return ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]


def _of_pip() -> dict[str, str]:
    """How this machine's pip reaches its registry is the machine's business, also in a build."""
    return {name: value for name, value in os.environ.items() if name.startswith("PIP_")}


def _unshared(lines: Sequence[str], env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a script in a mount namespace with an environment of its own."""
    return subprocess.run(
        [*_unshare(), "/bin/sh", "-c", "\n".join(lines)],
        env={"PATH": os.environ["PATH"], "HOME": "/root", **env},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
