"""The workstation's image: built from its Dockerfile, and used as the compose file says."""

import contextlib
import os
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.containers import image
from tests.containers.composition import service
from tests.containers.image import Image
from tests.observability.prometheus import await_silence, free_port

SECONDS = 90
OWNER, STRANGER = 4242, 4343


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The image, once for all tests."""
    layers = tmp_path_factory.mktemp("layers")
    return image.build("Dockerfile.privileged", str(layers))


@contextlib.contextmanager
def running(
    built: Image, argv: list[str], tmp: Path, env: Mapping[str, str]
) -> Iterator[subprocess.Popen[str]]:
    """A command in the image, ended with the block."""
    with subprocess.Popen(
        image.command(built, argv, str(tmp), env),
        env={"PATH": os.environ["PATH"], "HOME": "/root"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def output(built: Image, tmp: Path, *argv: str) -> str:
    """What a command in the image prints; it must not fail."""
    with running(built, list(argv), tmp, {}) as process:
        stdout, stderr = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, stderr
        return stdout


def test_the_image_is_a_place_to_work_in(built: Image, tmp_path: Path) -> None:
    """A shell is what it runs, Sentinel and Python are of one environment, the leaker is there."""
    assert built.stage.command == ("/bin/bash",)
    program = "import sentinel, sys; print(sys.executable, sentinel.__file__)"
    said = output(built, tmp_path, "python3", "-c", program).split()
    assert said == [
        "/usr/local/bin/python3",
        "/usr/local/lib/python3.11/site-packages/sentinel/__init__.py",
    ]
    found = output(built, tmp_path, *built.stage.command, "-c", "command -v sentinel; ls tests")
    assert found.splitlines() == ["/opt/workstation/sentinel", "leaker.py"]
    assert output(built, tmp_path, "sentinel", "--version").startswith("sentinel ")


def asked(path: Path, uid: int, line: str) -> str:
    """What the socket answers to a user of the host, as the README has it."""
    done = subprocess.run(
        ["sh", "-c", 'echo "$1" | nc -U "$2"', "sh", line, str(path)],
        user=uid,
        group=uid,
        extra_groups=[],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return done.stdout or done.stderr


def until(path: Path, uid: int, line: str, wanted: str) -> str:
    """The first answer that has `wanted` in it; the last one when time is up."""
    limit = time.monotonic() + SECONDS
    while True:
        answer = asked(path, uid, line)
        if wanted in answer or time.monotonic() > limit:
            return answer
        time.sleep(0.1)


def scraped(port: int, wanted: str) -> str:
    """The exporter's page once it has `wanted` in it, as it is seen from outside."""
    limit = time.monotonic() + SECONDS
    page = ""
    while wanted not in page and time.monotonic() < limit:
        with contextlib.suppress(OSError):
            address = f"http://127.0.0.1:{port}/metrics"
            with urllib.request.urlopen(address, timeout=5) as answer:
                page = answer.read().decode()
        time.sleep(0.1)
    return page


@pytest.fixture
def shared() -> Iterator[Path]:
    """A directory that takes the place of /tmp: everybody of the host reaches it."""
    with tempfile.TemporaryDirectory(prefix="workstation-", dir="/tmp") as made:
        os.chmod(made, 0o1777)
        yield Path(made)


def test_a_leak_in_the_workstation_is_seen_and_stopped_from_the_host(
    built: Image, shared: Path
) -> None:
    """It is scraped from outside; the project folder's owner may ask and stop it, no stranger."""
    port = free_port()
    env = service("sentinel")["environment"] | {"SENTINEL_METRICS_PORT": str(port)}
    env["SENTINEL_METRICS_LINGER"] = "1s"
    os.chown(os.path.join(built.layers, "stage1/upper/workstation"), OWNER, OWNER)
    path = shared / "sentinel.socket"
    argv = ["sentinel", "python3", "tests/leaker.py", "--rate", "2"]
    with running(built, argv, shared, env) as process:
        assert "watching" in until(path, OWNER, "status", "watching")
        assert asked(path, STRANGER, "status").startswith("error: not permitted")
        assert 'sentinel_memory_anon_bytes{run="python3"}' in scraped(port, "memory_anon_bytes{")
        assert not asked(path, OWNER, "stop").startswith("error")
        _, stderr = process.communicate(timeout=SECONDS)
    await_silence(port)
    assert process.returncode == 143
    assert "sentinel: python3: stopped" in stderr
