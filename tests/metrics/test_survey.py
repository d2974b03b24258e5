"""One look at every run: what each of them is told by, and what a broken one costs."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from sentinel.metrics import leaffiles, survey
from sentinel.metrics.catalogue import KEPT_AFTER_THE_END, ROWS, Kind, Values
from sentinel.metrics.onrequest import Extras
from sentinel.metrics.past import Past, fold
from sentinel.metrics.subject import Subject, own_pid_namespace
from sentinel.metrics.survey import Moment, Surveyor, View
from sentinel.model.spec import Count
from tests.metrics.answers import STATUS, answered
from tests.metrics.test_past import AGAIN, WORD
from tests.metrics.trees import MIB, STAT, make_cgroup


def subject(leaf: Path, **changed: object) -> Subject:
    """The run `worker` in `leaf`."""
    found = Subject(
        name="worker",
        pid=10,
        main=11,
        started=3000.0,
        pid_namespace=own_pid_namespace(),
        socket="/run/worker.sock",
        backend="cgroup",
        soft=100 * MIB,
        hard=None,
        leaf=str(leaf),
        command="worker",
    )
    return found._replace(**changed)  # type: ignore[arg-type]


def no_past() -> Mapping[str, Past]:
    """Nothing ever ended."""
    return {}


def at(seconds: float) -> Moment:
    """A look `seconds` after the start."""
    return Moment(seconds, 3000.0 + seconds)


def rows(views: list[View], name: str = "worker") -> Values:
    """What is told of one run."""
    return next(view.values for view in views if view.name == name)


def test_a_live_run_is_told_by_kernel_guard_and_registry(tmp_path: Path) -> None:
    """Every row that a leaf and an answering guard can have, but the trend, which takes time."""
    leaf = make_cgroup(tmp_path / "leaf")
    run = subject(leaf, hard=150 * MIB)
    views = Surveyor(no_past).look([run], {run.socket: answered()}, at(5))
    values = rows(views)
    trend = {name for name in ROWS if "growth" in name or "eta" in name}
    assert set(values) == set(ROWS) - trend - {"sentinel_open_fds", "sentinel_tcp_sockets"}
    assert values["sentinel_memory_current_bytes"] == {(): 60 * MIB}
    assert values["sentinel_last_collection_timestamp_seconds"] == {(): 3005.0}
    assert values["sentinel_run_start_time_seconds"] == {(): 3000.0}
    assert [of[:2] for of in values["sentinel_run_info"]] == [("cgroup", "worker")]
    assert set(values["sentinel_runs_ended_total"].values()) == {0.0}


def test_a_silent_guard_costs_the_guards_rows(tmp_path: Path) -> None:
    """The kernel and the registry still tell; the limits are those it registered with."""
    run = subject(make_cgroup(tmp_path / "leaf"), hard=150 * MIB)
    values = rows(Surveyor(no_past).look([run], {}, at(5)))
    assert values["sentinel_memory_soft_limit_bytes"] == {(): 100 * MIB}
    assert values["sentinel_memory_hard_limit_bytes"] == {(): 150 * MIB}
    assert "sentinel_memory_current_bytes" in values
    assert not {"sentinel_run_state", "sentinel_actions_total"} & set(values)


def test_the_floor_of_memory_becomes_growth_and_an_eta(tmp_path: Path) -> None:
    """10 MiB/s for 20 s, looked at every 2 s: 100 MiB are reached soon after."""
    leaf = make_cgroup(tmp_path / "leaf")
    surveyor = Surveyor(no_past)
    for second in range(0, 20, 2):
        stat = STAT.replace("anon 41943040", f"anon {second * MIB}")
        (leaf / "memory.stat").write_text(stat)
        values = rows(surveyor.look([subject(leaf)], {}, at(second)))
    growth = values["sentinel_memory_growth_bytes_per_second"][()]
    used = values["sentinel_memory_working_set_bytes"][()]
    assert growth == pytest.approx(MIB)
    assert values["sentinel_memory_growth_confidence_ratio"] == {(): 1.0}
    assert isinstance(used, float | int)
    eta = values["sentinel_memory_limit_eta_seconds"][()]
    assert eta == pytest.approx((100 * MIB - used) / MIB)
    assert values["sentinel_memory_anon_peak_bytes"] == {(): 18 * MIB}


@pytest.mark.parametrize(
    ("count", "row"),
    [
        (Count.ANON, "sentinel_memory_anon_bytes"),
        (Count.WORKINGSET, "sentinel_memory_working_set_bytes"),
        (Count.TOTAL, "sentinel_memory_current_bytes"),
    ],
)
def test_the_eta_is_of_what_the_limit_counts(count: Count, row: str, tmp_path: Path) -> None:
    """With --count total page cache takes room under the limit, with --count anon it does not."""
    leaf = make_cgroup(tmp_path / "leaf")
    run, surveyor = subject(leaf), Surveyor(no_past)
    limits = STATUS.limits._replace(counted=count)
    for second in range(0, 20, 2):
        (leaf / "memory.stat").write_text(STAT.replace("anon 41943040", f"anon {second * MIB}"))
        told = {run.socket: answered(STATUS._replace(limits=limits))}
        values = rows(surveyor.look([run], told, at(second)))
    used = values[row][()]
    assert isinstance(used, float | int)
    eta = values["sentinel_memory_limit_eta_seconds"][()]
    assert eta == pytest.approx((100 * MIB - used) / MIB)


def test_a_run_that_cannot_be_read_costs_its_own_rows(tmp_path: Path) -> None:
    """Its last collection stands still, so that a rule can notice; the other run is whole."""
    broken = make_cgroup(tmp_path / "broken")
    runs = [subject(broken, name="broken"), subject(make_cgroup(tmp_path / "leaf"), main=12)]
    surveyor = Surveyor(no_past)
    surveyor.look(runs, {}, at(5))
    (broken / "memory.stat").unlink()
    (broken / "memory.stat").mkdir()
    views = surveyor.look(runs, {}, at(10))
    values = rows(views, "broken")
    assert values["sentinel_last_collection_timestamp_seconds"] == {(): 3005.0}
    assert "sentinel_memory_current_bytes" not in values
    assert "sentinel_run_info" in values
    assert rows(views)["sentinel_last_collection_timestamp_seconds"] == {(): 3010.0}
    assert "sentinel_memory_current_bytes" in rows(views)


def test_a_collection_that_raises_costs_its_own_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is raised, the look goes on."""
    real = leaffiles.read_leaf

    def read(path: str, names: tuple[str, ...]) -> dict[str, str] | None:
        if path.endswith("broken"):
            raise ZeroDivisionError
        return real(path, names)

    monkeypatch.setattr(survey, "read_leaf", read)
    broken = subject(make_cgroup(tmp_path / "broken"), name="broken")
    views = Surveyor(no_past).look([broken, subject(make_cgroup(tmp_path / "leaf"))], {}, at(5))
    assert "sentinel_memory_current_bytes" not in rows(views, "broken")
    assert "sentinel_memory_current_bytes" in rows(views)


def test_a_guard_that_answers_nonsense_costs_its_own_rows(tmp_path: Path) -> None:
    """What it says wrong is left out."""
    run = subject(make_cgroup(tmp_path / "leaf"))
    values = rows(Surveyor(no_past).look([run], {run.socket: {"status": [1]}}, at(5)))
    assert "sentinel_memory_current_bytes" in values
    assert "sentinel_run_state" not in values


def test_a_run_that_vanishes_while_it_is_looked_at_is_not_told(tmp_path: Path) -> None:
    """Not even by its past: a row that falls back to a smaller sum looks like a restart."""
    leaf = make_cgroup(tmp_path / "leaf")
    surveyor = Surveyor(lambda: fold({}, [WORD]))
    assert [view.name for view in surveyor.look([subject(leaf)], {}, at(5))] == ["worker"]
    shutil.rmtree(leaf)
    assert surveyor.look([subject(leaf)], {}, at(6)) == []


def test_a_run_that_is_over_shows_counters_peaks_and_done() -> None:
    """Nothing that could be taken for now."""
    values = rows(Surveyor(lambda: fold({}, [WORD])).look([], {}, at(5)))
    assert set(values) <= KEPT_AFTER_THE_END
    assert values["sentinel_run_state"][("done",)] == 1.0
    assert values["sentinel_runs_ended_total"][("soft-limit",)] == 1.0
    assert values["sentinel_memory_peak_bytes"] == {(): 1000}
    assert values["sentinel_memory_anon_peak_bytes"] == {(): 900}
    assert values["sentinel_memory_events_total"][("oom_kill",)] == 1


def test_a_run_that_was_over_long_ago_is_told_when_its_name_lives_again(tmp_path: Path) -> None:
    """After an hour nobody scrapes for it; its counters are not forgotten."""
    surveyor = Surveyor(lambda: fold({}, [WORD]))
    later = at(WORD.ended + survey.TOLD_FOR - 3000.0)
    assert surveyor.look([], {}, later) == []
    views = surveyor.look([subject(make_cgroup(tmp_path / "leaf"))], {}, later)
    assert rows(views)["sentinel_memory_events_total"][("oom_kill",)] == 2


def test_a_run_that_is_counted_is_no_longer_live(tmp_path: Path) -> None:
    """Between its last word and its leaving the registry it is told once, as over."""
    run = subject(make_cgroup(tmp_path / "leaf"), main=WORD.pid, started=WORD.started)
    views = Surveyor(lambda: fold({}, [WORD])).look([run], {}, at(5))
    assert [view.name for view in views] == ["worker"]
    assert rows(views)["sentinel_run_state"][("done",)] == 1.0


def test_counters_go_on_where_earlier_runs_of_the_name_ended(tmp_path: Path) -> None:
    """Live and past are summed; gauges are the live run's."""
    run = subject(make_cgroup(tmp_path / "leaf"))
    surveyor = Surveyor(lambda: fold({}, [WORD, AGAIN]))
    values = rows(surveyor.look([run], {run.socket: answered()}, at(5)))
    assert values["sentinel_memory_events_total"][("oom_kill",)] == 1 + 2
    assert values["sentinel_actions_total"][("lift",)] == 1 + 2
    assert values["sentinel_runs_ended_total"][("exited",)] == 1
    assert values["sentinel_memory_peak_bytes"] == {(): 64 * MIB}
    assert values["sentinel_run_state"][("watching",)] == 1.0


def test_a_row_that_the_live_run_lacks_is_not_told_by_the_past(tmp_path: Path) -> None:
    """Its guard is silent: the actions of the past alone would look like a restarted counter."""
    run = subject(make_cgroup(tmp_path / "leaf"))
    values = rows(Surveyor(lambda: fold({}, [WORD])).look([run], {}, at(5)))
    assert "sentinel_actions_total" not in values
    assert values["sentinel_runs_ended_total"][("soft-limit",)] == 1


def test_what_an_exporter_saw_outlives_a_lower_last_word(tmp_path: Path) -> None:
    """The guard saw 900 bytes of anon, the exporter 40 MiB."""
    run = subject(make_cgroup(tmp_path / "leaf"), main=WORD.pid, started=WORD.started)
    ended: dict[str, Past] = {}
    surveyor = Surveyor(lambda: ended)
    surveyor.look([run], {}, at(5))
    ended.update(fold({}, [WORD]))
    for second in (6, 7, 8):
        values = rows(surveyor.look([], {}, at(second)))
        assert values["sentinel_memory_anon_peak_bytes"] == {(): 40 * MIB}


def test_a_past_that_cannot_be_read_hides_no_living_run(tmp_path: Path) -> None:
    """The runtime directory may be gone."""

    def fails() -> Mapping[str, Past]:
        raise OSError(5, "Input/output error")

    views = Surveyor(fails).look([subject(make_cgroup(tmp_path / "leaf"))], {}, at(5))
    assert [view.name for view in views] == ["worker"]


def test_a_name_is_told_once(tmp_path: Path) -> None:
    """Two live runs of one name, as two containers with one directory can have: the first."""
    runs = [
        subject(make_cgroup(tmp_path / "a"), command="first"),
        subject(make_cgroup(tmp_path / "b"), main=99, command="second"),
    ]
    views = Surveyor(no_past).look(runs, {}, at(5))
    assert [view.name for view in views] == ["worker"]
    assert [of[1] for of in rows(views)["sentinel_run_info"]] == ["first"]


def test_numbers_of_another_pid_namespace_mean_nobody_here() -> None:
    """A run without a leaf in another container is not looked for in this /proc."""
    run = subject(Path())._replace(leaf="", backend="rss", pid=1, pid_namespace=1)
    assert Surveyor(no_past).look([run], {}, at(5)) == []


def test_what_was_asked_for_is_told(tmp_path: Path) -> None:
    """Sockets by the cgroup's number, states as they are; descriptors of nobody are unknown."""
    leaf = make_cgroup(tmp_path / "leaf", cgroup_procs="0\n")
    sockets = {leaf.stat().st_ino: Counter(LISTEN=2, CLOSE_WAIT=7), 1: Counter(LISTEN=9)}
    extras = Extras(open_fds=True, sockets=sockets)
    values = rows(Surveyor(no_past).look([subject(leaf)], {}, at(5), extras))
    assert values["sentinel_tcp_sockets"] == {("LISTEN",): 2, ("CLOSE_WAIT",): 7}
    assert "sentinel_open_fds" not in values


def test_memory_of_the_exporter_is_bounded(tmp_path: Path) -> None:
    """Runs that came and went without a word leave nothing in the exporter."""
    surveyor = Surveyor(no_past)
    leaf = make_cgroup(tmp_path / "leaf")
    for number in range(50):
        surveyor.look([subject(leaf, main=number, name=f"n{number}")], {}, at(number))
    assert len(surveyor.histories) == 1


def test_every_counter_of_a_run_is_in_its_end() -> None:
    """No counter of the catalogue is forgotten when a run ends."""
    assert {name for name, row in ROWS.items() if row.kind is Kind.COUNTER} <= KEPT_AFTER_THE_END
