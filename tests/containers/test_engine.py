"""What the machine tells its guest about modules and images arrives there."""

import pytest

from tests.containers.engine import description
from tests.containers.enginehost import told
from tests.containers.standins import StandIn

pytestmark = pytest.mark.pure


def test_modules_and_images_arrive_as_they_were_told() -> None:
    """Order, names with colons and changes with equals signs and spaces survive."""
    images = [
        StandIn("python:3.11-slim", "/a b/python.tar", ("ENV A=1", 'ENTRYPOINT ["x", "y=z"]')),
        StandIn("prom/prometheus:v2", "/c.tar", ()),
    ]
    modules = ["/m/llc.ko", "/m/stp.ko"]
    assert told(description(images, modules)) == (modules, images)
