"""A real Prometheus on loopback: started with the project's rules, asked, and ended by its pid."""

import contextlib
import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

from tests.lab import ROOT
from tests.observability import programs

SECONDS = 90
CONFIG = os.path.join(ROOT, "prometheus/prometheus.yml")


class Prometheus(NamedTuple):
    """A running server: where it listens."""

    address: str

    def ask(self, path: str, **parameters: str | float) -> Any:
        """What the API answers under `data`. Raises AssertionError with its own words."""
        query = urllib.parse.urlencode(parameters)
        url = f"{self.address}/api/v1/{path}?{query}"
        try:
            with urllib.request.urlopen(url, timeout=SECONDS) as answer:  # noqa: S310 - loopback
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{url}: {error.read().decode()}") from error

    def now(self, expr: str, at: float | None = None) -> list[dict[str, Any]]:
        """The answer to an instant query, at a time in seconds since the epoch."""
        moment = {} if at is None else {"time": at}
        return list(self.ask("query", query=expr, **moment)["result"])

    def over(self, expr: str, start: float, end: float) -> list[dict[str, Any]]:
        """The answer to a range query, every second."""
        found = self.ask("query_range", query=expr, start=start, end=end, step=1)
        return list(found["result"])


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def await_silence(port: int) -> None:
    """Wait until nobody listens on `port` any more: the exporter has followed its last run."""
    limit = time.monotonic() + SECONDS
    with contextlib.suppress(ConnectionError):
        while time.monotonic() < limit:
            socket.create_connection(("127.0.0.1", port), SECONDS).close()
            time.sleep(0.1)
        raise AssertionError(f"port {port} is still served after {SECONDS} s")


@contextlib.contextmanager
def running(directory: str, port: int) -> Iterator[Prometheus]:
    """A Prometheus with its data in `directory`, scraping every second what listens on `port`.

    All else is the project's own configuration. Raises AssertionError when it does not start.
    """
    with open(CONFIG, encoding="utf-8") as file:
        config = yaml.safe_load(file)
    config["global"].update(scrape_interval="1s", scrape_timeout="1s")
    config["rule_files"] = [os.path.join(os.path.dirname(CONFIG), "rules/*.yml")]
    (job,) = config["scrape_configs"]
    job["static_configs"] = [{"targets": [f"127.0.0.1:{port}"]}]
    path, log = (os.path.join(directory, name) for name in ("prometheus.yml", "log"))
    with open(path, "w", encoding="utf-8") as file:
        yaml.safe_dump(config, file)
    listen = f"127.0.0.1:{free_port()}"
    argv = [
        programs.path("prometheus"),
        f"--config.file={path}",
        f"--storage.tsdb.path={directory}/data",
        f"--web.listen-address={listen}",
        "--storage.tsdb.retention.time=10y",
    ]
    with open(log, "wb") as out, subprocess.Popen(argv, stdout=out, stderr=out) as process:
        try:
            _await_ready(process, f"http://{listen}", log)
            yield Prometheus(f"http://{listen}")
        finally:
            process.terminate()
            try:
                process.wait(SECONDS)
            finally:
                process.kill()


def _await_ready(process: subprocess.Popen[bytes], address: str, log: str) -> None:
    limit = time.monotonic() + SECONDS
    while time.monotonic() < limit and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/-/ready", timeout=5):  # noqa: S310 - loopback
                return
        except OSError:
            time.sleep(0.05)
    with open(log, encoding="utf-8", errors="replace") as file:
        raise AssertionError(f"Prometheus does not start: {file.read()[-2000:]}")
