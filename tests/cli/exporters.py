"""Exporters as the tests see them: found by their port, scraped over HTTP, ended at the end."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from tests.victims.running import PATIENCE_SECONDS, Victim, running, wait_until

SENTINEL = os.path.join(os.path.dirname(sys.executable), "sentinel")


class Answer(NamedTuple):
    """Of an HTTP server."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(port: int, path: str = "/metrics", accept: str = "", method: str = "GET") -> Answer:
    """Ask the exporter at `port`. Raises OSError."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        connection.request(method, path, headers={"Accept": accept} if accept else {})
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.getheaders()), answer.read())
    finally:
        connection.close()


class Samples:
    """The samples of one page."""

    def __init__(self, body: bytes) -> None:
        self._found = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(body.decode())
            for sample in family.samples
        }

    def value(self, name: str, run: str, **labels: str) -> float | None:
        """Of one series; None when there is none."""
        return self._found.get((name, frozenset({**labels, "run": run}.items())))

    def state(self, run: str) -> str | None:
        """The state in which the run is said to be."""
        for (name, labels), value in self._found.items():
            if name == "sentinel_run_state" and value and ("run", run) in labels:
                return dict(labels)["state"]
        return None

    def names(self, run: str) -> set[str]:
        """The metrics that the run has."""
        return {name for name, labels in self._found if ("run", run) in labels}

    def labels(self, name: str) -> list[dict[str, str]]:
        """Every set of labels of a metric."""
        return [dict(labels) for found, labels in self._found if found == name]


def scrape(port: int) -> Samples | None:
    """What the exporter tells; None when nobody listens."""
    try:
        answer = get(port)
    except OSError:
        return None
    assert answer.status == 200, answer
    return Samples(answer.body)


def await_samples(port: int, what: str, run: str, name: str, **labels: str) -> Samples:
    """Scrape until `name` of `run` is there; `what` is waited for."""
    found: list[Samples] = []

    def there() -> bool:
        samples = scrape(port)
        if samples is not None and samples.value(name, run, **labels):
            found.append(samples)
        return bool(found)

    wait_until(what, there)
    return found[0]


def exporters(port: int) -> list[int]:
    """The processes that are exporters of `port`."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError), open(f"/proc/{name}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
                if b"--seat" in words and any(w.endswith(b"-%d.door" % port) for w in words):
                    found.append(int(name))
    return found


@contextmanager
def metered(
    port: int, name: str, command: Sequence[str | bytes], *options: str
) -> Iterator[Victim]:
    """A guarded run with metrics at `port`; its exporter is ended with it."""
    backend = () if "--backend" in options else ("--backend", "rss")
    argv = [SENTINEL, "exec", "-q", *backend, "--name", name, f"--metrics={port}"]
    try:
        with running([*argv, *options, "--", *command]) as guard:
            yield guard
    finally:
        for pid in exporters(port):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
