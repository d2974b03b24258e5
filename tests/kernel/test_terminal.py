"""The terminal, on the cgroup backend: job control does not depend on how a run is watched."""

from __future__ import annotations

import pytest

from tests.cli.scenarios import interrupted_loop, keys_and_signals, stop_and_go_on
from tests.cli.terminal import SENTINEL, alike
from tests.kernel.guarded import leaves

GUARD = f"{SENTINEL} exec -q --backend cgroup --"


def test_every_key_and_every_signal_arrives_exactly_once() -> None:
    """Ctrl-C and its like, a new size of the window, and what a process sends to Sentinel."""
    found = alike(keys_and_signals, GUARD)
    assert [heard.name for heard in found if heard.from_kernel] == ["INT", "QUIT", "TSTP", "WINCH"]
    assert leaves() == []


@pytest.mark.kernels("6.1")
def test_ctrl_c_ends_the_loop() -> None:
    """Bash sees Sentinel die of SIGINT, with its leaf removed before."""
    shown, status = alike(lambda bash: (interrupted_loop(bash), bash.ask("echo $?")), GUARD)
    assert ("over" in shown, status) == (False, "130")
    assert leaves() == []


@pytest.mark.kernels("6.1")
def test_stop_and_go_on_inside_a_pipeline() -> None:
    """Ctrl-Z and fg of `a | sentinel exec b | c`."""
    found = alike(stop_and_go_on, GUARD)
    assert "Stopped" in found[0]
    assert found[-1] == "0\n"
    assert leaves() == []
