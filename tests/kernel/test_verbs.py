"""The verbs on a run in a leaf."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from sentinel.control.registry import find
from tests.kernel.guarded import (
    PATIENCE,
    SENTINEL,
    ended_at_last,
    guard,
    leaves,
    victim_words,
    wait_for,
)

# A verb starts Python and click: on an emulated CPU that is seconds each, and no kernel's matter.
pytestmark = [pytest.mark.limit(600), pytest.mark.kernels("6.1")]


def sentinel(*words: str) -> str:
    """What `sentinel WORDS` prints; it must succeed."""
    done = subprocess.run(
        [SENTINEL, *words], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_run_in_a_leaf_is_found_changed_and_stopped() -> None:
    """Its leaf is in the list, a change is answered, and after the stop nothing is left."""
    name = f"verbs{os.getpid()}"
    victim = victim_words("hold", "size=8M", "seconds=600")
    with ended_at_last(guard(["--limit", "64M", "--name", name], victim)) as process:
        wait_for(lambda: find(name) or process.poll() is not None, "a live run")
        runs = {run["name"]: run for run in json.loads(sentinel("ls", "--json"))["runs"]}
        assert (runs[name]["backend"], [runs[name]["leaf"]]) == ("cgroup", leaves())
        assert sentinel("limit", "80M", name) == "limit 80M\n"
        assert sentinel("freeze", name) == f"frozen {name}\n"
        document = json.loads(sentinel("status", name, "--json"))
        assert (document["limits"]["soft"], document["frozen"]) == (80 << 20, True)
        assert f" {document['pid']} " in sentinel("tree", name)
        begun = f"stopping {name}: sent SIGTERM, 3s to finish\n"
        assert sentinel("stop", name) == f"{begun}{name} is over: stopped, exit status 143\n"
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 143
    assert leaves() == []
    assert find(name) is None
