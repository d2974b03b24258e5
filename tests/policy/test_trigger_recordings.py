"""Every recorded series of a real kernel, judged: leaks cross in time, the others never do."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from sentinel.cgroup import files
from sentinel.model.snapshot import Reading
from sentinel.policy.trigger import Trigger
from tests.policy.kernel_loop import Watcher, replay
from tests.recordings.series import HERE, Recording, paths, read


def moments(recording: Recording) -> Iterator[tuple[Reading, int]]:
    """What the enclosure's gauge would have made of each sample, and the event counter."""
    for sample in recording.samples:
        text = "".join(f"{key} {value}\n" for key, value in sample.stat.items())
        stat = files.parse_memory_stat(text)
        reading = Reading(
            at=sample.t,
            current=sample.current,
            working_set=files.working_set(sample.current, stat, 0),
            anon=stat.anon,
            composition=files.composition(sample.current, stat),
            tasks=sample.threads,
            non_file=files.non_file(sample.current, stat),
        )
        yield reading, sample.high


def judge(recording: Recording) -> Watcher:
    """The rule, looking at `recording` as the enclosure would have."""
    return replay(Trigger(recording.limit, recording.cpus), moments(recording))


@pytest.mark.parametrize("path", paths(), ids=lambda path: os.path.relpath(path, HERE))
def test_recording(path: str) -> None:
    """Stopping is right exactly for the leaks, and then comes at most 5 % over the limit."""
    recording = read(path)
    crossing = judge(recording).crossing()
    if recording.truth == "ok":
        assert crossing is None
    else:
        assert crossing is not None
        assert crossing.reading.current <= recording.limit * 1.05


def test_there_are_leaks_and_innocents_of_every_kernel() -> None:
    """The replay cannot pass by having nothing to judge."""
    kinds = {(os.path.basename(os.path.dirname(path)), read(path).truth) for path in paths()}
    kernels = {kernel for kernel, _ in kinds}
    assert kernels >= {"6.1", "6.12"}
    assert kinds == {(kernel, truth) for kernel in kernels for truth in ("ok", "leak")}
