"""The compose file is understood, and holds what makes its services reach each other."""

import os
import re
from typing import Any

import pytest
import yaml

from tests.containers.composition import PATH, merged, service
from tests.containers.dockerfile import parse
from tests.docs.pages import pages
from tests.lab import ROOT
from tests.observability.programs import NPM

COMMANDS = (
    "docker-compose up -d prometheus grafana",
    "docker-compose run --rm sentinel /bin/bash",
    "sentinel python3 tests/leaker.py",
    'echo "status" | nc -U /tmp/sentinel.socket',
    'echo "stop" | nc -U /tmp/sentinel.socket',
)
"""How the workstation is used, word by word; tests.containers.engine runs them."""

SERVICES = ("prometheus", "grafana", "sentinel")


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """All services as docker-compose has merged them."""
    return dict(merged()["services"])


def test_docker_compose_understands_the_file(services: dict[str, Any]) -> None:
    """docker-compose 1.29 accepts three services; no version is named, of which newer ones warn."""
    assert set(services) == set(SERVICES)
    with open(PATH, encoding="utf-8") as file:
        assert set(yaml.safe_load(file)) == {"services", "volumes"}


def test_only_loopback_is_published(services: dict[str, Any]) -> None:
    """Prometheus, Grafana and the exporter can be reached from the host itself, and only there."""
    assert services["prometheus"]["ports"] == [
        "127.0.0.1:9090:9090/tcp",
        "127.0.0.1:8000:8000/tcp",
    ]
    assert services["grafana"]["ports"] == ["127.0.0.1:3000:3000/tcp"]
    assert "ports" not in services["sentinel"]


def test_the_exporter_is_where_prometheus_looks_for_it(services: dict[str, Any]) -> None:
    """The workstation has Prometheus's network, and listens where a published port arrives."""
    assert services["sentinel"]["network_mode"] == "service:prometheus"
    with open(os.path.join(ROOT, "prometheus/prometheus.yml"), encoding="utf-8") as file:
        (job,) = yaml.safe_load(file)["scrape_configs"]
    environment = services["sentinel"]["environment"]
    assert job["static_configs"] == [
        {"targets": [f"127.0.0.1:{environment['SENTINEL_METRICS_PORT']}"]}
    ]
    assert environment == {
        "SENTINEL_LIMIT": "200M",
        "SENTINEL_METRICS_PORT": "8000",
        "SENTINEL_METRICS_ADDRESS": "0.0.0.0",  # noqa: S104 - on the host it is loopback
        "SENTINEL_DASHBOARD": "1",
    }


def test_the_workstation_may_make_cgroups_and_shares_tmp(services: dict[str, Any]) -> None:
    """Privileged, root, the project and the directory of the socket mounted, nothing in between."""
    made = services["sentinel"]
    assert (made["privileged"], made["user"]) == (True, "0:0")
    assert made["volumes"] == [f"{ROOT}:/workstation:rw", "/tmp:/tmp:rw"]
    assert "entrypoint" not in made
    assert "command" not in made
    assert made["build"] == {"context": ROOT, "dockerfile": "Dockerfile.privileged"}


@pytest.mark.parametrize("name", ["prometheus", "grafana"])
def test_a_server_is_nobody_special_and_says_when_it_is_well(
    name: str, services: dict[str, Any]
) -> None:
    """It is not root, has a check, keeps its data in a volume, and reads the project's files."""
    made = services[name]
    assert re.fullmatch(r"[1-9]\d*:\d+", made["user"])
    assert made["healthcheck"]["test"][:2] == ["CMD", "wget"]
    assert any(volume.startswith(f"{name}-data:") for volume in made["volumes"])
    bound = [volume for volume in made["volumes"] if volume.startswith(ROOT)]
    assert bound
    for volume in bound:
        path, _, access = volume.split(":")
        assert os.path.exists(path)
        assert access == "ro"


def test_grafana_shows_its_pages_to_whoever_is_on_the_host(services: dict[str, Any]) -> None:
    """Anonymous readers who may change nothing, nobody to log in as, one run's page as home."""
    made = services["grafana"]
    environment = made["environment"]
    assert environment["GF_AUTH_ANONYMOUS_ENABLED"] == "true"
    assert environment["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert environment["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    home = environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    mounts = dict(reversed(volume.split(":")[:2]) for volume in made["volumes"])
    folder, name = os.path.split(home)
    assert os.path.exists(os.path.join(mounts[folder], name))
    provider = os.path.join(mounts["/etc/grafana/provisioning"], "dashboards/sentinel.yml")
    with open(provider, encoding="utf-8") as file:
        assert yaml.safe_load(file)["providers"][0]["options"]["path"] == folder


def test_every_image_is_pinned() -> None:
    """A version for each image; Grafana's is that of the types that the pages are tried on."""
    images = {name: service(name)["image"] for name in ("prometheus", "grafana")}
    assert re.fullmatch(r"prom/prometheus:v\d+\.\d+\.\d+", images["prometheus"])
    assert images["grafana"] == f"grafana/grafana:{NPM['@grafana/schema'][0]}"
    with open(os.path.join(ROOT, "Dockerfile.privileged"), encoding="utf-8") as file:
        bases = {stage.base for stage in parse(file.read())}
    assert len(bases) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", bases.pop())


@pytest.mark.parametrize("path", ["README.md", "docs/seeing-it.md"])
def test_the_pages_show_how_it_is_used(path: str) -> None:
    """All five commands stand in the pages as they are typed."""
    (page,) = [found for found in pages(ROOT) if found.path == path]
    assert set(COMMANDS) <= {line.split("  #")[0].strip() for line in page.commands()}
