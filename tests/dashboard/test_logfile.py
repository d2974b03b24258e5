"""The log of a run: whole at its end, bounded, and gone after a week."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sentinel.dashboard.logfile import KEPT_SECONDS, Follower, RunLog, directory, sweep
from sentinel.model.errors import SentinelError


def test_where_logs_are() -> None:
    """XDG_STATE_HOME when it is a path from the root, else below HOME."""
    assert directory({"XDG_STATE_HOME": "/s", "HOME": "/h"}) == "/s/sentinel/logs"
    for unset in ({}, {"XDG_STATE_HOME": ""}, {"XDG_STATE_HOME": "relative"}):
        assert directory({**unset, "HOME": "/h"}) == "/h/.local/state/sentinel/logs"
    with pytest.raises(SentinelError, match="neither XDG_STATE_HOME nor HOME"):
        directory({})


def test_what_is_written_stands_in_it(tmp_path: Path) -> None:
    """Byte for byte, in a file for its owner alone, named for the run."""
    place = tmp_path / "a" / "b"
    log = RunLog(str(place), "ru/n\n", 7)
    log.write(b"one\n\x1b[31m\xff")
    log.write(b"two")
    assert log.path == f"{place}/ru_n_.7.log"
    assert Path(log.path).read_bytes() == b"one\n\x1b[31m\xfftwo"
    assert Path(log.path).stat().st_mode & 0o777 == 0o600
    assert place.stat().st_mode & 0o777 == 0o700
    log.close()


def test_an_earlier_log_of_the_same_name_is_kept(tmp_path: Path) -> None:
    """Pids come back; so does a name that another begins with dots."""
    paths = [RunLog(str(tmp_path), name, 7).path for name in ("x", "x", "..", "-x")]
    names = [os.path.basename(path) for path in paths]
    assert names == ["x.7.log", "x.7-2.log", "run.7.log", "x.7-3.log"]


def test_it_is_bounded_and_its_end_is_whole(tmp_path: Path) -> None:
    """At least the newest half of the bound is there, without a gap."""
    log = RunLog(str(tmp_path), "x", 7, bound=1000)
    data = bytes(range(256)) * 20
    for start in range(0, len(data), 77):
        log.write(data[start : start + 77])
    pieces = sorted(tmp_path.iterdir(), reverse=True)
    assert [piece.name for piece in pieces] == ["x.7.log.1", "x.7.log"]
    kept = b"".join(piece.read_bytes() for piece in pieces)
    assert 500 < len(kept) <= 1000
    assert data.endswith(kept)
    assert log.failure == ""


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    """The run goes on; the first reason is kept for the end."""
    log = RunLog(str(tmp_path), "x", 7)
    log.close()
    log.write(b"lost")
    assert log.failure == "Bad file descriptor"
    with pytest.raises(SentinelError, match="cannot keep the output in /proc/nowhere"):
        RunLog("/proc/nowhere", "x", 7)


def test_a_sweep_takes_what_is_old_and_over(tmp_path: Path) -> None:
    """Not what a run still holds, not what is young, not what is no log."""
    now = 1e9
    held = RunLog(str(tmp_path), "held", 1)
    for name, age in (
        ("old.1.log", KEPT_SECONDS + 1),
        ("old.1.log.1", KEPT_SECONDS + 1),
        ("young.1.log", KEPT_SECONDS - 1),
        ("notes.txt", 10 * KEPT_SECONDS),
    ):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (now - age, now - age))
    os.utime(held.path, (1, 1))
    (tmp_path / "link.log").symlink_to(tmp_path / "notes.txt")
    sweep(str(tmp_path), now)
    assert sorted(os.listdir(tmp_path)) == ["held.1.log", "link.log", "notes.txt", "young.1.log"]
    held.close()
    sweep(str(tmp_path), now)
    assert "held.1.log" not in os.listdir(tmp_path)
    sweep(str(tmp_path / "missing"), now)


def test_following_a_log(tmp_path: Path) -> None:
    """What is new, over the turn of its pieces; of too much, the newest of each piece."""
    log = RunLog(str(tmp_path), "x", 7, bound=200)
    follower = Follower(log.path, most=50)
    assert follower.read() == b""
    log.write(b"one")
    assert everything(follower) == b"one"
    assert everything(follower) == b""
    log.write(b"-" * 98 + b"four")
    assert everything(follower) == b"-" * 50 + b"-four"
    log.write(b"five")
    assert everything(follower) == b"five"
    log.write(bytes(range(200)))
    gap = bytes(range(41, 91)) + bytes(range(191, 200))
    assert everything(follower) == gap
    follower.close()
    log.close()


def everything(follower: Follower) -> bytes:
    """What is new, read to its end."""
    found = b""
    while data := follower.read():
        found += data
    return found
