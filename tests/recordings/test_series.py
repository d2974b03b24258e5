"""The recordings are whole, small, and say what they claim to say."""

from __future__ import annotations

import os

import pytest

from tests.recordings.series import COLUMNS, HERE, STAT_KEYS, Recording, Sample, paths, read, write

MIB = 1 << 20


@pytest.mark.parametrize("path", paths(), ids=lambda path: os.path.relpath(path, HERE))
def test_recording_is_whole(path: str) -> None:
    """A recording names its workload and limit, runs for seconds, and covers an event."""
    recording = read(path)
    assert os.path.getsize(path) <= 30_000
    folder, name = os.path.split(os.path.relpath(path, HERE))
    assert (recording.kernel.startswith(folder), f"{recording.workload}.txt") == (True, name)
    assert (recording.limit, recording.wall) == (64 * MIB, 96 * MIB)
    times = [sample.t for sample in recording.samples]
    assert times[0] == 0
    assert times == sorted(times)
    assert times[-1] > 1.5
    counts = [sample.high for sample in recording.samples]
    assert counts == sorted(counts)
    assert counts[-1] > 0


@pytest.mark.parametrize("path", paths(), ids=lambda path: os.path.relpath(path, HERE))
def test_writing_gives_the_same_text(path: str) -> None:
    """What `write` makes of a recording is what `read` took."""
    with open(path, encoding="ascii") as file:
        assert write(read(path)) == file.read()


def test_every_kind_is_there() -> None:
    """Both kernels have innocents and leaks."""
    kinds = {(path.split("/")[-2], read(path).truth) for path in paths()}
    assert kinds == {(kernel, truth) for kernel in ("6.1", "6.12") for truth in ("ok", "leak")}


def test_rejects_what_it_cannot_read(tmp_path: object) -> None:
    """A line of the wrong width is named, not skipped."""
    stat = dict.fromkeys(STAT_KEYS, 1)
    text = write(Recording("6.1", 1, 2, 1, "ok", "none", [Sample(0.0, 0, 5, 1, stat)]))
    path = f"{tmp_path}/short.txt"
    with open(path, "w", encoding="ascii") as file:
        file.write(text + "0.010 1 2\n")
    with pytest.raises(ValueError, match=rf"line 4 has 3 of {len(COLUMNS)} columns"):
        read(path)
