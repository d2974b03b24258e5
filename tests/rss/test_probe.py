"""What doctor is told about the rss backend."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sentinel.linux import procevents
from sentinel.linux.procevents import FeedLost, permitted
from sentinel.linux.runtime import Place
from sentinel.model.diagnosis import Check
from sentinel.model.errors import SentinelError
from sentinel.rss import probe as rss_probe
from sentinel.rss.probe import probe
from sentinel.rss.procfs import Proc, require
from tests.rss.mockup import MockProc


def checks() -> dict[str, Check]:
    """The checks by subject."""
    return {check.subject: check for check in probe()}


@pytest.mark.usefixtures("subreaper")
def test_everything_works_here() -> None:
    """On a kernel of today all that the backend needs is there, and says what it is good for."""
    found = checks()
    assert list(found) == ["/proc", "PSS", "children", "subreaper", "record", "fork events"]
    for subject in ("/proc", "PSS", "children", "subreaper", "record"):
        assert found[subject].works, found[subject]
        assert found[subject].remedy == ""
    assert permitted() or not found["fork events"].works


@pytest.mark.usefixtures("subreaper")
def test_every_refusal_has_a_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where nothing works, each check says what is missing and what would help."""

    def refuse() -> None:
        raise PermissionError(1, "Operation not permitted")

    (tmp_path / "taken").write_text("")
    places = (Place(str(tmp_path), "taken", private=False),)
    monkeypatch.setattr("sentinel.linux.runtime.places", lambda: places)
    monkeypatch.setattr(rss_probe, "Proc", lambda: Proc(str(tmp_path)))
    monkeypatch.setattr(rss_probe, "become_subreaper", refuse)
    monkeypatch.setattr(rss_probe, "permitted", lambda: False)
    for check in checks().values():
        assert not check.works
        assert check.detail
        assert check.remedy
    assert checks()["/proc"].detail == f"/proc/{os.getpid()}/statm cannot be read"


@pytest.mark.usefixtures("subreaper")
def test_numbers_of_another_namespace_are_nobodys(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`unshare --pid` without its /proc: 12 there is not our 12, and nobody is watched by it."""
    mockup = MockProc(tmp_path)
    mockup.own()
    require(mockup.proc)
    (tmp_path / "self").symlink_to(f"{os.getpid()}0")
    with pytest.raises(SentinelError) as caught:
        require(mockup.proc)
    assert str(caught.value) == (
        "the /proc here is that of another pid namespace; mount ours: mount -t proc proc /proc"
    )
    monkeypatch.setattr(rss_probe, "Proc", lambda: mockup.proc)
    check = checks()["/proc"]
    assert (check.works, f"{check.detail}; {check.remedy}") == (False, str(caught.value))


@pytest.mark.usefixtures("subreaper")
def test_fork_events_that_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel without process events is said to be one, and nobody needs to do anything."""

    def refuse() -> None:
        raise FeedLost("process events: Protocol not supported")

    monkeypatch.setattr(rss_probe, "permitted", lambda: True)
    monkeypatch.setattr(procevents, "load_layout", lambda **_: refuse())
    check = checks()["fork events"]
    assert (check.works, check.detail) == (False, "process events: Protocol not supported")
    assert check.remedy.startswith("none needed")
