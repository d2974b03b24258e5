"""docs/verdicts.md tells the truth: every verdict, every line, every exit status."""

from __future__ import annotations

import os

import pytest

from sentinel.model import errors
from sentinel.model.outcome import (
    ABOVE_NAMESPACE,
    LIMIT_VERDICTS,
    THE_HOST,
    CommandStatus,
    Exited,
    Ledger,
    Outcome,
    Signalled,
    Verdict,
    exit_status,
)
from sentinel.model.snapshot import Composition
from sentinel.model.units import MIB
from sentinel.report.lines import line
from sentinel.report.text import outcome_lines
from tests.report.outcomes import KILLED, STOP, TERMINATED, TRIGGER, hard_crossed, outcome

V = Verdict
PAGE = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "verdicts.md")
OOM = hard_crossed("the kernel's OOM killer ended it at the hard limit")

EXAMPLES = {
    V.EXITED: [outcome(V.EXITED, survivors_killed=3)],
    V.SIGNALLED: [outcome(V.SIGNALLED, command_status=TERMINATED, asked_by="pid 7, uid 0")],
    V.SOFT_LIMIT: [outcome(V.SOFT_LIMIT, trigger=TRIGGER, grace_used=0.12)],
    V.SOFT_LIMIT_KILLED: [
        outcome(
            V.SOFT_LIMIT_KILLED,
            trigger=TRIGGER,
            grace_used=3.0,
            survivors_killed=5,
            command_status=KILLED,
        )
    ],
    V.HARD_LIMIT: [
        outcome(
            V.HARD_LIMIT,
            timeline=OOM,
            command_status=KILLED,
            trigger=TRIGGER._replace(composition=Composition(298 * MIB, MIB, 0, 0, 0, 0)),
        ),
        outcome(
            V.HARD_LIMIT,
            timeline=OOM,
            trigger=TRIGGER,
            command_status=KILLED,
            grace_used=0.8,
            wall_in_grace=True,
        ),
    ],
    V.ANCESTOR_LIMIT: [
        outcome(V.ANCESTOR_LIMIT, command_status=KILLED, ledger=Ledger(180 * MIB, oom_above=above))
        for above in ("/sys/fs/cgroup/box", ABOVE_NAMESPACE)
    ],
    V.HOST_OOM: [
        outcome(V.HOST_OOM, command_status=KILLED, ledger=Ledger(180 * MIB, oom_above=THE_HOST))
    ],
    V.TIMEOUT: [outcome(V.TIMEOUT, grace_used=0.03)],
    V.TIMEOUT_KILLED: [
        outcome(V.TIMEOUT_KILLED, grace_used=3.0, command_status=KILLED, survivors_killed=1)
    ],
    V.STOPPED: [outcome(V.STOPPED, grace_used=0.1, asked_by="uid 0", command_status=TERMINATED)],
    V.KILLED: [outcome(V.KILLED, asked_by="uid 0", command_status=KILLED)],
    V.FAILED_TO_START: [
        outcome(
            V.FAILED_TO_START,
            command_status=None,
            failure="'nosuch': not found on PATH; check the spelling or give its path",
        )
    ],
}


def page() -> str:
    """Text of the page."""
    with open(PAGE, encoding="utf-8") as file:
        return file.read()


def section(title: str) -> str:
    """Text below a heading of the second level."""
    return page().split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    """Cells of the table in `text`, without its head."""
    lines = [row for row in text.splitlines() if row.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in lines[2:]]


def test_every_verdict_has_its_section_and_no_other() -> None:
    """The page and the enum name the same verdicts in the same order."""
    headings = [row[3:] for row in page().splitlines() if row.startswith("## `")]
    assert headings == [f"`{verdict.value}`" for verdict in Verdict]


def test_the_table_names_every_verdict_with_its_exit_status() -> None:
    """124 exactly for the enforced limits; the command's own for what others decided."""

    def status(verdict: Verdict) -> str:
        if verdict is V.FAILED_TO_START:
            return "125, 126 or 127"
        return "124" if verdict in LIMIT_VERDICTS else "the command's own"

    found = rows(page().split("\n## ")[0])
    assert [(row[0], row[2]) for row in found] == [
        (f"[`{verdict.value}`](#{verdict.value})", status(verdict)) for verdict in Verdict
    ]


@pytest.mark.parametrize("verdict", Verdict)
def test_the_lines_on_the_page_are_what_is_printed(verdict: Verdict) -> None:
    """Each section shows the lines of its verdict, exactly, and no other."""
    shown = [
        row.removeprefix("    ")
        for row in section(f"`{verdict.value}`").splitlines()
        if row.startswith("    ")
    ]
    assert shown == [printed(example) for example in EXAMPLES[verdict]]


def printed(example: Outcome) -> str:
    """The one line that is printed for an outcome."""
    (text,) = outcome_lines(example, STOP)
    return line(text).decode().rstrip("\n")


def test_the_exit_statuses_on_the_page_are_the_models() -> None:
    """Each status of ours has its row."""
    constants = {str(value) for name, value in vars(errors).items() if name.startswith("EXIT_")}
    assert {row[0] for row in rows(section("Exit statuses"))} == {"0-255", "128+n", *constants}


@pytest.mark.parametrize(
    ("status", "shown"), [(Exited(0), 0), (Signalled(15), 143), (Signalled(9), 137)]
)
def test_the_preserved_statuses_on_the_page(status: CommandStatus, shown: int) -> None:
    """`--preserve-status` passes on what the page says."""
    assert exit_status(V.SOFT_LIMIT, status, preserve=True) == shown
