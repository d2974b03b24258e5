"""Recorded results, the page made from them, and where rows belong."""

from functools import partial
from pathlib import Path

import pytest

from benchmarks import page, record
from benchmarks.figures import Line, Measured, Series, Unit
from benchmarks.interleave import interleaved
from benchmarks.record import Record, Scene
from benchmarks.rows import ROWS
from benchmarks.site import Site

SCENE = Scene("a processor, 2 CPUs, 8 GiB", "Linux 6.1.176", "Python 3.11.2")
ORDER = ("launch", "reaction", "idle")


def row(name: str, value: float = 1.0, failure: str = "") -> Measured:
    """A row with one line."""
    return Measured(name, (Line(name, Unit.COUNT, Series("Sentinel", (value,))),), failure, 1.0)


def test_new_rows_replace_old_ones_in_order() -> None:
    """A part that was measured again takes its place; the others stay."""
    old = Record("6.1", SCENE, (row("launch"), row("idle")))
    new = Record("6.1", SCENE, (row("idle", 2.0), row("reaction")))
    merged = record.merged(old, new, ORDER)
    assert merged.rows == (row("launch"), row("reaction"), row("idle", 2.0))


def test_another_scene_replaces_everything() -> None:
    """Two machines are never shown as one."""
    old = Record("6.1", SCENE, (row("launch"),))
    new = Record("6.1", SCENE._replace(kernel="Linux 6.1.180"), (row("idle"),))
    assert record.merged(old, new, ORDER) == new


def test_what_failed_is_not_recorded() -> None:
    """A row that could not be measured leaves the last good one."""
    old = Record("6.1", SCENE, (row("launch"),))
    new = Record("6.1", SCENE, (row("launch", failure="it broke"), row("idle", failure="too")))
    assert record.merged(old, new, ORDER).rows == (row("launch"),)


def test_a_record_survives_its_file(tmp_path: Path) -> None:
    """What was saved is loaded; what was not saved is None; another schema is refused."""
    path = tmp_path / "6.1.json"
    assert record.load(str(path)) is None
    saved = Record("6.1", SCENE, (row("launch"),))
    record.save(saved, str(path))
    assert record.load(str(path)) == saved
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 0'), encoding="ascii")
    with pytest.raises(ValueError, match="schema 0 is not 1: measure again"):
        record.load(str(path))


def test_the_page_is_made_from_the_recorded_results() -> None:
    """README.md is what `python -m benchmarks --page` writes."""
    with open(page.PATH, encoding="utf-8") as file:
        assert file.read() == page.page(record.recorded(), ROWS)


def test_the_page_shows_rows_where_they_were_measured() -> None:
    """One table for each row, with a line for each place; rows without results are left out."""
    records = [Record("native", SCENE, (row("launch"),)), Record("6.1", SCENE, (row("launch"),))]
    text = page.page(records, ROWS)
    assert "- **6.1**: Linux 6.1.176, on a processor, 2 CPUs, 8 GiB; Python 3.11.2" in text
    assert "## Launch" in text
    assert "| native | launch | 1 |" in text
    assert "| 6.1 | launch | 1 |" in text
    assert "## Idle" not in text


def test_contestants_take_turns() -> None:
    """A B A B, with the rounds that warm up left out."""
    turns: list[str] = []

    def contestant(name: str) -> int:
        turns.append(name)
        return len(turns)

    found = interleaved({name: partial(contestant, name) for name in "ab"}, 2, warm_up=1)
    assert turns == ["a", "b"] * 3
    assert found == {"a": (3, 5), "b": (4, 6)}


@pytest.mark.parametrize(
    ("site", "rows"),
    [
        (
            Site("native", ("rss",), ""),
            {
                *("launch", "idle", "streaming", "slowdown", "rss-leak", "rss-steady"),
                *("rss-sharing", "asking", "flooding", "scrape", "metered", "metered-launch"),
            },
        ),
        (
            Site("6.1", ("cgroup",), ""),
            {
                *("launch", "reaction", "checkpoint", "emptying", "idle", "slowdown"),
                *("observing", "asking", "flooding", "metered", "metered-launch", "scraped"),
            },
        ),
        (
            Site("6.12", ("cgroup",), ""),
            {
                *("launch", "reaction", "checkpoint", "emptying", "idle", "streaming"),
                *("slowdown", "observing", "asking", "flooding"),
                *("metered", "metered-launch", "scraped"),
            },
        ),
    ],
    ids=lambda value: value.name if isinstance(value, Site) else "",
)
def test_rows_are_measured_where_they_mean_something(site: Site, rows: set[str]) -> None:
    """Leaves need cgroup v2, CPU times a kernel that counts them."""
    assert {row.name for row in ROWS if row.fits(site)} == rows


def test_rounds_are_fewer_on_an_emulated_cpu_and_fewest_for_a_quick_look() -> None:
    """Full rounds elsewhere."""
    assert [Site(name, (), "").times(10, slow=3) for name in ("native", "6.1", "6.12")] == [
        *(10, 10, 3)
    ]
    assert Site("6.12", (), "", quick=True).times(10, slow=3) == 2
    assert Site("6.1", (), "", quick=True).seconds(60.0) == 3.0
