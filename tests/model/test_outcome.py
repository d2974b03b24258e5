"""Exit statuses: which verdicts are 124, and what the command's own status becomes."""

from __future__ import annotations

import errno

import pytest

from sentinel.model.errors import KernelFileError, SentinelError, StartError, UsageFault
from sentinel.model.outcome import (
    LIMIT_VERDICTS,
    CommandStatus,
    Exited,
    Signalled,
    Verdict,
    command_exit_status,
    exit_status,
)
from sentinel.model.snapshot import Composition


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        (Exited(0), 0),
        (Exited(1), 1),
        (Exited(127), 127),
        (Exited(255), 255),
        (Signalled(9), 137),
        (Signalled(15), 143),
        (Signalled(64), 192),
        (None, 125),
    ],
)
def test_the_commands_status_is_what_a_shell_shows(status: CommandStatus, shown: int) -> None:
    """An exit code is itself, signal n is 128+n, and no status at all is Sentinel's failure."""
    assert command_exit_status(status) == shown


@pytest.mark.parametrize("verdict", Verdict)
def test_an_enforced_limit_is_124_unless_preserved(verdict: Verdict) -> None:
    """Exactly the limit verdicts hide the command's own status, and `--preserve-status` none."""
    expected = 124 if verdict in LIMIT_VERDICTS else 7
    assert exit_status(verdict, Exited(7), preserve=False) == expected
    assert exit_status(verdict, Exited(7), preserve=True) == 7


def test_the_limit_verdicts_are_those_of_memory_and_time() -> None:
    """A stop that somebody asked for is not a limit."""
    assert {verdict.value for verdict in LIMIT_VERDICTS} == {
        "soft-limit",
        "soft-limit-killed",
        "hard-limit",
        "ancestor-limit",
        "timeout",
        "timeout-killed",
    }


def test_errors_know_their_status_and_their_remedy() -> None:
    """An error reads as one line, remedy last, and carries its exit status."""
    assert str(SentinelError("no", "try")) == "no; try"
    assert str(SentinelError("no")) == "no"
    assert [SentinelError("").exit_status, UsageFault("").exit_status] == [125, 2]
    assert StartError("", exit_status=127).exit_status == 127


def test_a_kernel_file_error_says_all_that_the_kernel_said() -> None:
    """Operation, value, path and errno stand in the line and as fields."""
    error = KernelFileError("write", "/x/memory.high", errno.EBUSY, value="1", remedy="wait")
    assert str(error) == "cannot write '1' to /x/memory.high: Device or resource busy; wait"
    assert (error.op, error.path, error.value, error.errno) == ("write", "/x/memory.high", "1", 16)
    assert str(KernelFileError("rmdir", "/x", errno.EBUSY)) == (
        "cannot rmdir /x: Device or resource busy"
    )


def test_the_largest_part_of_a_composition() -> None:
    """The part that weighs most is named with its bytes."""
    parts = Composition(anon=5, file=7, shmem=1, kernel=2, sock=3, other=4)
    assert parts.largest() == ("file", 7)
