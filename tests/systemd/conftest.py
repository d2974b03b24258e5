"""The tests of the systemd guest: none is imported elsewhere, and none may hang."""

import pytest

from tests.kernel.conftest import pytest_runtest_call  # noqa: F401 - a hook is found by its name
from tests.lab import capability


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Import no test where there is no systemd for it, unless only asked what there is."""
    return None if capability.systemd_guest() or config.option.collectonly else True
