"""`sentinel doctor` on a kernel that has everything."""

import os
import subprocess

import pytest

from tests.kernel.guarded import SENTINEL, leaves


def test_doctor_proves_the_cgroup_backend_with_a_victim() -> None:
    """Exit 0: a real leak was stopped politely in a real leaf, and in rss, too; nothing is left."""
    done = subprocess.run([SENTINEL, "doctor", "-v"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done
    lines = {line[:15].strip(): line[16:] for line in done.stdout.splitlines()}
    assert lines["cgroup victim"].startswith("ok: a leak was asked to stop at ")
    assert lines["rss victim"].startswith("ok: a leak was asked to stop at ")
    assert lines["cgroup.kill"] == "ok: kills a whole leaf at once"
    assert lines["a run gets"] == "cgroup"
    assert done.stderr == ""
    assert leaves() == []


@pytest.mark.kernels("6.1")
def test_doctor_names_what_is_missing(leaf: str) -> None:
    """Where memory is not delegated: exit 1, the reason, and the one thing that would help."""
    os.mkdir(f"{leaf}/inner")
    script = f"echo 0 > {leaf}/inner/cgroup.procs; exec {SENTINEL} doctor"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done
    last, remedy = done.stdout.splitlines()[-2:]
    assert last == "a run gets      rss"
    assert remedy == (
        "to improve it   enable it in the cgroup.subtree_control of each cgroup above"
    )
    assert f"no: the memory controller is not delegated to {leaf}/inner" in done.stdout
