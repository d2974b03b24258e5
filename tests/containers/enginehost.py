"""Inside the lab: an engine, the compose file, and the five commands of the README.

It is the host of the workstation: an ordinary user owns the project folder there. Each step
says what it did and how long it took; the first that is not as it should be ends it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence

from tests.containers.standins import StandIn
from tests.lab import ROOT

OWNER, STRANGER = 1000, 1001
PROJECT = "/run/project"
SOCKET = "/tmp/sentinel.socket"
PARTS = (
    *("Dockerfile.privileged", "docker-compose.yml", ".dockerignore", "pyproject.toml", "LICENSE"),
    *("requirements", "prometheus", "grafana", "sentinel", "workstation"),
)
PATIENCE = 1200.0
"""Seconds for any step: a start of Python takes seconds here."""


def told(words: Sequence[str]) -> tuple[list[str], list[StandIn]]:
    """Read the modules and images from the command line."""
    modules: list[str] = []
    images: list[StandIn] = []
    for word in words:
        key, _, value = word.partition("=")
        if key == "module":
            modules.append(value)
        elif key == "image":
            images.append(StandIn(value, "", ()))
        elif key == "archive":
            images[-1] = images[-1]._replace(archive=value)
        else:
            images[-1] = images[-1]._replace(changes=(*images[-1].changes, value))
    return modules, images


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    """Say what is being done, and how long it took."""
    began = time.monotonic()
    print(f"{what} ...", flush=True)
    yield
    print(f"{what}: {time.monotonic() - began:.0f} s", flush=True)


def shown(*argv: str) -> None:
    """Run a command of the host that takes minutes; its output is seen as it comes."""
    done = subprocess.run(argv, cwd=PROJECT, timeout=PATIENCE, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(argv)}: status {done.returncode}")


def run(*argv: str, expected: int = 0) -> str:
    """Run a command of the host to its end; what it printed."""
    done = subprocess.run(
        argv, cwd=PROJECT, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    said = done.stdout + done.stderr
    if done.returncode != expected:
        raise SystemExit(f"{' '.join(argv)}: status {done.returncode}\n{said[-3000:]}")
    return done.stdout


def until(what: str, condition: Callable[[], bool]) -> None:
    """Wait until `condition` holds."""
    limit = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > limit:
            raise SystemExit(f"never: {what}")
        time.sleep(0.5)


def prepare(modules: Sequence[str]) -> None:
    """Modules, a place for /etc's changes, and the project as its owner's."""
    for path in modules:
        # Some are built in or there already; what is really missing the engine will say.
        subprocess.run(["/bin/busybox", "insmod", path], check=False, capture_output=True)
    for name in ("upper", "work"):
        os.makedirs(f"/run/etc/{name}")
    options = "lowerdir=/etc,upperdir=/run/etc/upper,workdir=/run/etc/work"
    subprocess.run(["mount", "-t", "overlay", "-o", options, "overlay", "/etc"], check=True)
    os.makedirs(os.path.join(PROJECT, "tests"))
    for part in PARTS:
        source, target = os.path.join(ROOT, part), os.path.join(PROJECT, part)
        if os.path.isdir(source):
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    shutil.copy(os.path.join(ROOT, "tests/leaker.py"), os.path.join(PROJECT, "tests"))
    for directory, _, names in os.walk(PROJECT):
        os.chmod(directory, 0o755)
        for path in (directory, *(os.path.join(directory, name) for name in names)):
            os.chown(path, OWNER, OWNER)


@contextlib.contextmanager
def engine() -> Iterator[None]:
    """A running Docker daemon.

    containerd comes first: the daemon that starts one itself gives it 15 s, which is not enough.
    """
    tree, scratch = os.environ["LAB_ENGINE"], os.environ["SENTINEL_SCRATCH"]
    os.environ["PATH"] = ":".join(
        [os.environ["LAB_ENGINE_BIN"], f"{tree}/usr/sbin", f"{tree}/usr/bin", os.environ["PATH"]]
    )
    with open("/run/containerd.toml", "w", encoding="ascii") as file:
        file.write('version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n')
    address = "/run/containerd/containerd.sock"
    containerd = ["containerd", "--config", "/run/containerd.toml", "--address", address]
    containerd += ["--root", f"{scratch}/containerd", "--state", "/run/containerd"]
    docker = ["dockerd", "--data-root", f"{scratch}/docker", "--exec-root", "/run/docker"]
    docker += ["--storage-driver", "overlay2", "--host", "unix:///run/docker.sock"]
    docker += ["--containerd", address]
    with (
        daemon(containerd, ["ctr", "--address", address, "version"]),
        daemon(docker, ["docker", "info"]),
    ):
        yield


@contextlib.contextmanager
def daemon(argv: Sequence[str], ready: Sequence[str]) -> Iterator[None]:
    """A daemon that is up once the command `ready` succeeds; its log is shown when it is not."""
    path = f"/run/{argv[0]}.log"
    with open(path, "wb") as log, subprocess.Popen(argv, stdout=log, stderr=log) as it:
        try:
            limit = time.monotonic() + PATIENCE
            while subprocess.run(ready, capture_output=True, check=False).returncode:
                if it.poll() is not None or time.monotonic() > limit:
                    with open(path, encoding="utf-8") as file:
                        raise SystemExit(f"{argv[0]} is not up:\n{file.read()[-4000:]}")
                time.sleep(1)
            yield
        finally:
            it.terminate()
            it.wait(PATIENCE)


def asked(line: str, uid: int) -> str:
    """What the well-known socket answers to a user of the host."""
    argv = ["sh", "-c", 'echo "$1" | nc -U "$2"', "sh", line, SOCKET]
    done = subprocess.run(
        argv, user=uid, group=uid, extra_groups=[], capture_output=True, text=True, check=False
    )
    return done.stdout or done.stderr


def page(address: str) -> str:
    """A page of the host's loopback; empty while there is none."""
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:  # noqa: S310 - loopback
            return str(answer.read().decode())
    except OSError:
        return ""


def queried(expr: str) -> str:
    """Prometheus's answer, as text."""
    return page(f"http://127.0.0.1:9090/api/v1/query?query={urllib.parse.quote(expr)}")


def healthy(name: str) -> bool:
    """Whether a service's own check has passed."""
    found = run("docker-compose", "ps", "-q", name).strip()
    shape = "{{.State.Health.Status}}"
    return bool(found) and run("docker", "inspect", "-f", shape, found).strip() == "healthy"


def insist(what: str, *, holds: bool, said: object = "") -> None:
    """End everything unless it holds."""
    if not holds:
        raise SystemExit(f"not so: {what}\n{said}")
    print(f"  {what}", flush=True)


def watched_and_stopped() -> None:
    """A slow leak in the workstation: asked, scraped and stopped from the host."""
    argv = ["docker-compose", "run", "--rm", "-T", "--name", "workstation", "sentinel"]
    argv += ["/bin/bash", "-c", "sentinel python3 tests/leaker.py --rate 0.1"]
    with subprocess.Popen(
        argv, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as leak:
        until("an answer to the owner", lambda: "watching" in asked("status", OWNER))
        insist("the project's owner may ask", holds=True)
        answer = asked("status", STRANGER)
        insist("a stranger may not", holds=answer.startswith("error: not permitted"), said=answer)
        until("memory on the published port", lambda: "memory_anon_bytes{" in page(METRICS))
        insist("it has a leaf", holds='backend="cgroup"' in page(METRICS), said=page(METRICS))
        until("Prometheus has it", lambda: '"value"' in queried("sentinel_memory_anon_bytes"))
        said = run("docker", "exec", "workstation", "sentinel", "status")
        insist("docker exec asks it too", holds="watching" in said, said=said)
        said = asked("stop", OWNER)
        insist("the owner stops it", holds=not said.startswith("error"), said=said)
        output = leak.communicate(timeout=PATIENCE)[0].decode()
        insist("status 143", holds=leak.returncode == 143, said=output[-2000:])


METRICS = "http://127.0.0.1:8000/metrics"


def leaked_to_the_limit() -> None:
    """The README's own words: the leak meets 200 MiB, and Prometheus has the verdict.

    The shell stays, as a person's does: the exporter goes with the container's last process.
    """
    seen = "/tmp/seen"
    line = (
        f"sentinel python3 tests/leaker.py; echo status $?; until [ -e {seen} ]; do sleep 1; done"
    )
    argv = ["docker-compose", "run", "--rm", "-T", "sentinel", "/bin/bash", "-c", line]
    verdict = 'sentinel_runs_ended_total{verdict="soft-limit"}'
    with subprocess.Popen(
        argv, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as run:
        until(
            "the verdict in Prometheus", lambda: '"1"]' in queried(f"max_over_time({verdict}[5m])")
        )
        with open(seen, "w", encoding="ascii"):
            pass
        output = run.communicate(timeout=PATIENCE)[0].decode()
    insist("status 124 at the limit", holds="status 124" in output, said=output[-2000:])


def main() -> int:
    """All of it, in order."""
    modules, images = told(sys.argv[1:])
    with step("preparing"):
        prepare(modules)
    with contextlib.ExitStack() as stack:
        with step("starting the engine"):
            stack.enter_context(engine())
        for image in images:
            with step(f"importing {image.name}"):
                changes = [word for change in image.changes for word in ("--change", change)]
                run("docker", "import", *changes, image.archive, image.name)
        with step("docker-compose build"):
            offline = ["--build-arg", "PIP_NO_INDEX=1", "--build-arg", "PIP_FIND_LINKS=/wheels"]
            shown("docker-compose", "build", *offline, "sentinel")
        with step("docker-compose up -d prometheus grafana"):
            run("docker-compose", "up", "-d", "prometheus", "grafana")
            until("Grafana is well", lambda: healthy("grafana"))
        insist(
            "Prometheus is published", holds="Prometheus" in page("http://127.0.0.1:9090/-/ready")
        )
        with step("a leak that is stopped from the host"):
            watched_and_stopped()
        with step("a leak that meets its limit"):
            leaked_to_the_limit()
        with step("docker-compose down"):
            run("docker-compose", "down", "--volumes", "--timeout", "1")
    print("1 passed, 0 failed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
