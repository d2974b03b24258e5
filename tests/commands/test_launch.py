"""What a launch must not pay for, whichever backend it gets."""

from __future__ import annotations

import subprocess
import sys

import pytest

_EVERY_BACKEND = """
import importlib, sys, typing
for name in (
    "commands.main", "commands.exec", "cgroup.namespace", "cgroup.scope", "cgroup.enclosure",
    "cgroup.observer", "rss.enclosure", "rss.sweep",
):
    importlib.import_module("sentinel." + name)
types = {
    found
    for name, module in sys.modules.items() if name.startswith("sentinel.")
    for found in vars(module).values() if isinstance(found, type) and hasattr(found, "_fields")
}
"""
"""`types` are the named tuples that the launches of all backends define."""


@pytest.mark.native
def test_a_backend_is_loaded_when_it_is_chosen() -> None:
    """Until then there are the ladder's first step and the words that all have in common."""
    program = """
import sys, sentinel.commands.exec
print(sorted(
    name for name in sys.modules
    if name.startswith(("sentinel.rss.", "sentinel.cgroup.", "sentinel.policy."))
))
"""
    ladder = ("allowance", "files", "ladder", "leaf", "placement", "sweep", "tree")
    common = [f"sentinel.cgroup.{name}" for name in ladder]
    assert _said(program) == f"{[*common, 'sentinel.policy.escalation', 'sentinel.policy.oom']}\n"


@pytest.mark.native
def test_the_client_of_d_bus_is_loaded_under_systemd_only() -> None:
    """Elsewhere the ladder says that there is no systemd, and that is all."""
    program = """
import sys
from sentinel.cgroup.ladder import find_place
from sentinel.cgroup.placement import Host
place, refusals = find_place(frozenset(), Host("/nowhere", "/nowhere"))
print(place, refusals[-1].reason, [name for name in sys.modules if name.endswith("sdbus")])
"""
    assert _said(program) == "None systemd is not running here []\n"


@pytest.mark.native
def test_a_run_that_nobody_can_ask_yet_loads_nothing_that_answers() -> None:
    """Observers come once the command has gone on for a while, and with them what they need."""
    asked = """
answering = ("sentinel.control.server", "sentinel.guard.run", "sentinel.model.request")
print([name for name in answering if name in sys.modules])
"""
    assert _said(_EVERY_BACKEND + asked) == "[]\n"


@pytest.mark.native
def test_no_annotation_of_a_named_tuple_is_compiled() -> None:
    """Python's typing compiles those that `from __future__ import annotations` made strings of."""
    asked = """
print(len(types) > 50, sorted(
    f"{found.__module__}.{found.__name__}" for found in types
    if any(isinstance(note, typing.ForwardRef) for note in found.__annotations__.values())
))
"""
    assert _said(_EVERY_BACKEND + asked) == "True []\n"


def _said(program: str) -> str:
    """What a Python of its own prints for `program`."""
    words = [sys.executable, "-c", program]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout
