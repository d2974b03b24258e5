"""Last words of runs, and what is kept of them from exporter to exporter."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.linux.runtime import Place
from sentinel.metrics import lastword, past
from sentinel.metrics.catalogue import Histogram
from sentinel.metrics.lastword import (
    SPOOL,
    LastWord,
    count_unattended,
    format_word,
    hand_over,
    plain,
)
from sentinel.metrics.past import (
    MOST_IDS,
    MOST_NAMES,
    STATE,
    PastRuns,
    fold,
    format_past,
    parse_past,
    parse_word,
)
from sentinel.model.errors import KernelFileError
from sentinel.model.outcome import ASKED, Ledger, Moment, Reaction, Verdict
from tests.report.outcomes import outcome

WORD = LastWord(
    name="worker",
    pid=11,
    started=1000.0,
    ended=1010.0,
    backend="cgroup",
    command="worker",
    verdict="soft-limit",
    anon_peak=900,
    values={
        "sentinel_memory_peak_bytes": {(): 1000},
        "sentinel_memory_events_total": {("oom_kill",): 1, ("high",): 5},
    },
    counts={"lift": 1, "sigterm": 1},
    reactions=(0.03,),
    terminations=(0.2,),
    texts={},
)
AGAIN = WORD._replace(pid=12, started=2000.0, ended=2010.0, verdict="exited", anon_peak=700)
ODD = b'quo"te\n\\ \xff'.decode(errors="surrogateescape")


@pytest.fixture
def places(tmp_path: Path) -> tuple[Place, ...]:
    """A runtime directory of the test's own."""
    return (Place(str(tmp_path), "runtime", private=True),)


def files(places: tuple[Place, ...]) -> list[str]:
    """What is in the runtime directory."""
    return sorted(os.listdir(places[0].path))


def test_a_word_is_one_line_and_reads_back() -> None:
    """Names with line ends, quotes and bytes that are no UTF-8 included."""
    word = WORD._replace(name=ODD, command=ODD)
    line = format_word(word)
    assert line.count(b"\n") == 1
    assert parse_word(line) == word


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"()",
        b"1",
        b"__import__('os')",
        b"('worker',)",
        b"\xff",
        b"(" * 500,
        format_word(WORD)[:-20],
        format_word(WORD._replace(verdict="nonsense")),
        format_word(WORD._replace(values={"sentinel_tasks": {(): "x"}})).replace(  # type: ignore[dict-item]
            b"sentinel_tasks", b"sentinel_memory_peak_bytes"
        ),
        format_word(WORD._replace(counts=7)),  # type: ignore[arg-type]
        format_word(WORD._replace(texts=7)),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_word_is_none(line: bytes) -> None:
    """Cut lines, code, other shapes: nothing is run and nothing raised."""
    assert parse_word(line) is None


def test_a_word_becomes_the_past_of_its_name() -> None:
    """Counters, peaks, histograms and the verdict, every verdict from 0."""
    of = fold({}, [WORD])["worker"]
    assert (of.backend, of.command, of.verdict, of.ended) == (
        "cgroup",
        "worker",
        "soft-limit",
        1010.0,
    )
    assert of.values["sentinel_memory_events_total"] == {("oom_kill",): 1.0, ("high",): 5.0}
    assert of.values["sentinel_memory_anon_peak_bytes"] == {(): 900}
    ended = of.values["sentinel_runs_ended_total"]
    assert len(ended) == 12
    assert {verdict for verdict, count in ended.items() if count} == {("soft-limit",)}
    assert of.values["sentinel_actions_total"][("sigkill",)] == 0.0
    assert of.values["sentinel_termination_seconds"][()] == Histogram(
        (0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0), 0.2
    )


def test_counters_of_a_name_only_grow() -> None:
    """The second run adds to the first; peaks and the verdict are those of the last."""
    of = fold(fold({}, [WORD]), [AGAIN])["worker"]
    assert of.values["sentinel_memory_events_total"] == {("oom_kill",): 2.0, ("high",): 10.0}
    assert of.values["sentinel_memory_anon_peak_bytes"] == {(): 700}
    assert of.values["sentinel_runs_ended_total"][("soft-limit",)] == 1.0
    assert of.values["sentinel_runs_ended_total"][("exited",)] == 1.0
    assert of.verdict == "exited"
    assert of.includes(11, 1000.0)
    assert of.includes(12, 2001.0)
    assert not of.includes(12, 1000.0)


def test_words_may_arrive_in_any_order() -> None:
    """The last run is the one that ended last, not the one that was read last."""
    for words in ([WORD, AGAIN], [AGAIN, WORD]):
        assert fold({}, words) == fold(fold({}, [WORD]), [AGAIN])
    late = fold(fold({}, [AGAIN]), [WORD])["worker"]
    assert late == fold({}, [WORD, AGAIN])["worker"]


def test_a_word_that_is_read_twice_counts_once() -> None:
    """A crash between counting and removing must not count again."""
    once = fold({}, [WORD])
    assert fold(once, [WORD, WORD]) == once


def test_a_gauge_that_a_word_smuggles_in_is_left_out() -> None:
    """What an ended run shows can never be taken for now."""
    word = WORD._replace(values={"sentinel_memory_current_bytes": {(): 5}, "nonsense": {(): 1}})
    assert not {"sentinel_memory_current_bytes", "nonsense"} & set(
        fold({}, [word])["worker"].values
    )


def test_names_and_runs_are_bounded() -> None:
    """The longest-ended names are forgotten, and the ids of one name."""
    many = [WORD._replace(name=f"n{at}", ended=float(at)) for at in range(MOST_NAMES + 50)]
    assert set(fold({}, many)) == {f"n{at}" for at in range(50, MOST_NAMES + 50)}
    often = [WORD._replace(pid=at, started=at * 10.0) for at in range(MOST_IDS + 5)]
    of = fold({}, often)["worker"]
    assert len(of.ids) == MOST_IDS
    assert of.values["sentinel_memory_events_total"][("oom_kill",)] == MOST_IDS + 5


def test_the_state_file_reads_back() -> None:
    """Numbers, histograms, and names that are no UTF-8."""
    found = fold({}, [WORD, AGAIN, WORD._replace(name=ODD)])
    assert parse_past(format_past(found)) == found


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"null", b'{"schema":2,"runs":{}}', b'{"schema":1,"runs":{"a":1}}']
)
def test_a_broken_state_file_is_as_good_as_none(text: bytes) -> None:
    """The past is lost, the exporter is not."""
    assert parse_past(text) == {}


@given(st.binary() | st.text().map(str.encode))
def test_no_state_file_can_hurt(text: bytes) -> None:
    """Whatever stands in it."""
    assert isinstance(parse_past(text), dict)


def test_words_reach_the_next_exporter(places: tuple[Place, ...]) -> None:
    """Runs leave words, an exporter folds them, and so does the next one; the spool is gone."""
    assert hand_over(WORD, places) is False
    assert files(places) == [SPOOL]
    first = PastRuns(places)
    assert first.read() == fold({}, [WORD])
    hand_over(AGAIN, places)
    both = fold({}, [WORD, AGAIN])
    assert first.read() == both
    assert PastRuns(places).read() == both
    assert SPOOL not in files(places)


def test_two_exporters_share_the_past(places: tuple[Place, ...]) -> None:
    """What one folded the other reads."""
    one, other = PastRuns(places), PastRuns(places)
    one.read()
    hand_over(WORD, places)
    assert one.read() == other.read() == fold({}, [WORD])


def test_a_run_that_nobody_attended_is_counted_from_its_outcome(
    places: tuple[Place, ...],
) -> None:
    """What was done to it stands in its timeline, what its leaf has counted in the leaf's files."""
    timeline = (
        *(Moment(0.001, "soft crossed"), Moment(0.002, ASKED), Moment(0.012, "killed")),
        *(Moment(0.013, "emptied"), Moment(0.013, "over")),
    )
    over = outcome(
        Verdict.SOFT_LIMIT_KILLED,
        backend="cgroup",
        timeline=timeline,
        reaction=Reaction(0.001, None),
        ledger=Ledger(peak_current=7, high_ignored=3),
    )
    texts = {"memory.events": "high 2\noom_kill 1\n", "memory.peak": "9\n"}
    assert count_unattended(over, "worker", texts, places) == ""
    values = PastRuns(places).read()[over.name].values
    assert values["sentinel_memory_events_total"] == {("high",): 2, ("oom_kill",): 1}
    assert values["sentinel_memory_peak_bytes"] == {(): 9}
    assert values["sentinel_memory_high_ignored_total"] == {("reclaimable",): 3}
    done = {action for (action,), n in values["sentinel_actions_total"].items() if n == 1}
    assert done == {"lift", "sigterm", "cgroup_kill"}
    for name, seconds in (("reaction", 0.001), ("termination", 0.011)):
        histogram = values[f"sentinel_{name}_seconds"][()]
        assert isinstance(histogram, Histogram)
        assert sum(histogram.counts) == 1
        assert histogram.total == pytest.approx(seconds)


def test_a_run_that_did_nothing_of_note_is_counted_as_just_that(places: tuple[Place, ...]) -> None:
    """Its verdict, and what it held at most, if anybody looked."""
    over = outcome(Verdict.EXITED, backend="rss", timeline=(Moment(0.01, "emptied"),))
    assert count_unattended(over, "worker", {}, places) == ""
    values = PastRuns(places).read()[over.name].values
    assert not any(values["sentinel_actions_total"].values())
    assert values["sentinel_runs_ended_total"][("exited",)] == 1
    assert "sentinel_memory_peak_bytes" not in values


def test_a_reader_at_work_holds_up_no_run(places: tuple[Place, ...]) -> None:
    """While the spool is locked the word gets a file of its own, and is counted all the same."""
    hand_over(WORD, places)
    with open(f"{places[0].path}/{SPOOL}", "rb") as spool:
        fcntl.flock(spool, fcntl.LOCK_EX)
        hand_over(AGAIN, places)
    assert len(files(places)) == 2
    assert PastRuns(places).read() == fold({}, [WORD, AGAIN])
    assert files(places) == [STATE, "metrics-past.lock"]


def test_a_second_reader_waits_for_nobody(places: tuple[Place, ...]) -> None:
    """While one exporter folds, the other tells what it knew."""
    reader = PastRuns(places)
    hand_over(WORD, places)
    reader.read()
    hand_over(AGAIN, places)
    with open(f"{places[0].path}/metrics-past.lock", "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert reader.read() == fold({}, [WORD])
    assert reader.read() == fold({}, [WORD, AGAIN])


def test_a_spool_that_grows_is_told(
    places: tuple[Place, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no exporter ever looks, whoever crosses the line is asked to fold."""
    size = len(format_word(WORD))
    monkeypatch.setattr(lastword, "LONGEST_SPOOL", 3 * size)
    assert [hand_over(WORD, places) for _ in range(4)] == [False, False, False, True]


def test_a_word_that_does_not_fit_leaves_nothing_of_itself(
    places: tuple[Place, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in the spool, where it would spoil the next one, nor in a file of its own."""
    hand_over(WORD, places)
    write = os.write
    why = f"{SPOOL}: No space left on device; make room in that directory"
    with monkeypatch.context() as full, open(f"{places[0].path}/{SPOOL}", "rb") as spool:
        full.setattr(os, "write", lambda fd, line: write(fd, line[: len(line) // 2]))
        with pytest.raises(KernelFileError, match=why):
            hand_over(AGAIN, places)
        fcntl.flock(spool, fcntl.LOCK_EX)
        with pytest.raises(KernelFileError, match=why):
            hand_over(AGAIN, places)
    assert files(places) == [SPOOL]
    hand_over(AGAIN, places)
    assert PastRuns(places).read() == fold({}, [WORD, AGAIN])


def test_without_room_for_the_state_what_ended_is_told_all_the_same(
    places: tuple[Place, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counters that went back would look like a restart. Once there is room it is written."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    reader = PastRuns(places)
    hand_over(WORD, places)
    reader.read()
    hand_over(AGAIN, places)
    with monkeypatch.context() as full:
        full.setattr(past, "_replace", refuse)
        for _ in range(2):
            assert reader.read() == fold({}, [WORD, AGAIN])
        assert SPOOL in files(places)
    assert reader.read() == PastRuns(places).read() == fold({}, [WORD, AGAIN])
    assert SPOOL not in files(places)


def test_words_among_rubbish_are_found(places: tuple[Place, ...]) -> None:
    """A line that was cut costs itself alone."""
    hand_over(WORD, places)
    with open(f"{places[0].path}/{SPOOL}", "ab") as spool:
        spool.write(b"('cut', 1\n" + format_word(AGAIN))
    assert PastRuns(places).read() == fold({}, [WORD, AGAIN])


def test_a_symlink_in_place_of_the_state_is_not_followed(
    places: tuple[Place, ...], tmp_path: Path
) -> None:
    """The state is read from a file of ours or not at all."""
    hand_over(WORD, places)
    (tmp_path / "elsewhere").write_bytes(past.format_past(fold({}, [AGAIN])))
    os.symlink(tmp_path / "elsewhere", f"{places[0].path}/{STATE}")
    with pytest.raises(OSError, match="symbolic links"):
        PastRuns(places).read()


@pytest.mark.parametrize(
    ("ledger", "known"),
    [
        (Ledger(), {}),
        (Ledger(peak_current=7), {"sentinel_memory_peak_bytes": {(): 7}}),
        (
            Ledger(high_ignored=0),
            {"sentinel_memory_high_ignored_total": {("reclaimable",): 0.0}},
        ),
    ],
)
def test_without_a_leaf_the_guard_knows_what_it_sampled(ledger: Ledger, known: object) -> None:
    """What nobody looked at is absent, never 0."""
    assert plain(ledger) == known
