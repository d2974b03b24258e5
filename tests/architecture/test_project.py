"""The project's files agree with each other."""

import os
import re
import tomllib

import pytest

from tests.lab import ROOT

LOCKS = ("build", "dev", "runtime")


def lines(name: str) -> list[str]:
    """Return the lines of a requirements file that are neither empty nor a comment."""
    with open(os.path.join(ROOT, "requirements", name), encoding="utf-8") as file:
        return [line.rstrip("\n") for line in file if line.strip() and line.strip()[0] != "#"]


def test_what_is_locked_is_what_is_declared() -> None:
    """requirements/runtime.in names the dependencies of pyproject.toml, floors included."""
    with open(os.path.join(ROOT, "pyproject.toml"), "rb") as file:
        declared = tomllib.load(file)["project"]["dependencies"]
    assert lines("runtime.in") == declared


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_is_pinned_and_hashed(lock: str) -> None:
    """Each requirement of a lock has one exact version and at least one hash, and no option."""
    text = "\n".join(lines(f"{lock}.txt")).replace("\\\n", " ")
    assert text
    for requirement in text.splitlines():
        assert re.fullmatch(
            r"[a-z0-9._-]+==\S+( ; .+?)?( +--hash=sha256:[0-9a-f]{64})+ *", requirement
        ), requirement
