"""The runtime directory: where it is, and what is never taken for one."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from sentinel.linux.runtime import (
    Place,
    existing_runtime_directories,
    holds_any,
    open_runtime_directory,
    places,
)
from sentinel.model.errors import KernelFileError

NOBODY = 65534


def private(tmp_path: Path) -> Place:
    """Like /run/user/UID: a parent that is ours."""
    parent = tmp_path / "run"
    parent.mkdir(mode=0o700)
    return Place(str(parent), "sentinel", private=True)


def shared(tmp_path: Path) -> Place:
    """Like /tmp: a parent for everybody."""
    parent = tmp_path / "tmp"
    parent.mkdir()
    parent.chmod(0o1777)
    return Place(str(parent), "sentinel-7", private=False)


def test_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """The two places follow from the user alone, whatever the environment says."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/somewhere/else")
    monkeypatch.setenv("TMPDIR", "/somewhere/else")
    assert [place.path for place in places(1000)] == [
        "/run/user/1000/sentinel",
        "/tmp/sentinel-1000",
    ]
    assert places() == places(os.geteuid())


def test_the_users_own_is_taken_first(tmp_path: Path) -> None:
    """The directory is made closed, in the private place when there is one."""
    candidates = (private(tmp_path), shared(tmp_path))
    directory = open_runtime_directory(candidates)
    directory.close()
    assert directory.path == str(tmp_path / "run" / "sentinel")
    assert stat.S_IMODE(os.stat(directory.path).st_mode) == 0o700
    assert os.listdir(tmp_path / "tmp") == []


def test_what_is_in_either(tmp_path: Path) -> None:
    """A file is asked for by how its name begins; a place that is not there holds none."""
    candidates = (private(tmp_path), shared(tmp_path))
    assert not holds_any("rss-", candidates)
    open_runtime_directory(candidates[1:]).close()
    assert not holds_any("rss-", candidates)
    (tmp_path / "tmp" / "sentinel-7" / "rss-1").write_text("")
    assert holds_any("rss-", candidates)
    assert not holds_any("run-", candidates)


def test_without_a_private_place(tmp_path: Path) -> None:
    """Without /run/user/UID the directory is made in the shared place."""
    candidates = (Place(str(tmp_path / "missing"), "sentinel", private=True), shared(tmp_path))
    directory = open_runtime_directory(candidates)
    directory.close()
    assert directory.path == str(tmp_path / "tmp" / "sentinel-7")


def test_made_under_any_umask(tmp_path: Path) -> None:
    """A umask that takes everything away does not make a directory that nobody can use."""
    before = os.umask(0o777)
    try:
        open_runtime_directory((shared(tmp_path),)).close()
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(tmp_path / "tmp" / "sentinel-7").st_mode) == 0o700


def test_found_again(tmp_path: Path) -> None:
    """A directory that exists is opened as it is, in every place that has one."""
    first, second = private(tmp_path), shared(tmp_path)
    assert existing_runtime_directories((first, second)) == []
    for place in (first, second):
        open_runtime_directory((place,)).close()
    found = existing_runtime_directories((first, second))
    for directory in found:
        directory.close()
    assert [directory.path for directory in found] == [first.path, second.path]


def test_symlink_is_refused(tmp_path: Path) -> None:
    """A symlink in /tmp is not followed, though its target would do."""
    place = shared(tmp_path)
    (tmp_path / "target").mkdir(mode=0o700)
    os.symlink(tmp_path / "target", place.path)
    with pytest.raises(KernelFileError) as caught:
        open_runtime_directory((place,))
    assert caught.value.path == place.path
    assert caught.value.errno in (errno.ELOOP, errno.ENOTDIR)
    assert caught.value.remedy == f"somebody put something else there: remove {place.path}"
    assert existing_runtime_directories((place,)) == []


def test_file_is_refused(tmp_path: Path) -> None:
    """A file where the directory should be is an error that names it."""
    place = shared(tmp_path)
    Path(place.path).write_text("")
    with pytest.raises(KernelFileError, match=r"cannot open .*sentinel-7: Not a directory"):
        open_runtime_directory((place,))


def test_open_to_others_is_refused(tmp_path: Path) -> None:
    """A directory that others may look into is not used; the remedy closes it."""
    place = shared(tmp_path)
    os.mkdir(place.path)
    os.chmod(place.path, 0o740)
    with pytest.raises(KernelFileError) as caught:
        open_runtime_directory((place,))
    assert caught.value.remedy == f"close it: chmod 700 {place.path}"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make another user's directory")
def test_another_users_is_refused(tmp_path: Path) -> None:
    """A directory that somebody else made first is not used; nor is one in his private place."""
    place = shared(tmp_path)
    os.mkdir(place.path, 0o700)
    os.chown(place.path, NOBODY, NOBODY)
    with pytest.raises(KernelFileError) as caught:
        open_runtime_directory((place,))
    assert caught.value.remedy == f"it belongs to uid {NOBODY}: have it removed"
    his = private(tmp_path)
    os.chown(his.parent, NOBODY, NOBODY)
    with pytest.raises(KernelFileError, match=f"cannot use {his.parent}: Operation not permitted"):
        open_runtime_directory((his,))
    assert not os.path.exists(his.path)


def test_descriptors_are_closed_on_refusal(tmp_path: Path) -> None:
    """Refusals leave no descriptor open."""
    place = shared(tmp_path)
    os.mkdir(place.path)
    os.chmod(place.path, 0o740)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(KernelFileError):
        open_runtime_directory((place,))
    assert existing_runtime_directories((place,)) == []
    assert len(os.listdir("/proc/self/fd")) == before
