"""Every way to fail becomes one line and a status."""

from __future__ import annotations

import gc
import os
import re
import sys
from collections.abc import Sequence

import pytest

from sentinel.commands import main
from sentinel.commands.words import Given
from sentinel.model.errors import SentinelError, StartError
from tests.lab import ROOT

STDLIB, HOME = os.path.dirname(os.__file__), ROOT


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int:
    """The exit status when the dispatch of any words raises `error`."""

    def dispatch(words: Sequence[str]) -> int:
        del words
        raise error

    monkeypatch.setattr(main, "_dispatch", dispatch)
    return main._status(["true"])  # noqa: SLF001 - what main() does but for ending the process


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (SentinelError("no place", "make one"), 125, "sentinel: no place; make one\n"),
        (StartError("x", exit_status=127), 127, "sentinel: x\n"),
        (KeyboardInterrupt(), -2, ""),
        (BrokenPipeError(), 125, ""),
    ],
)
def test_an_error_knows_its_status(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    error: BaseException,
    status: int,
    line: str,
) -> None:
    """Errors of ours are said once; an interrupt and a reader that left need no words."""
    assert failing(monkeypatch, error) == status
    assert capfd.readouterr() == ("", line)


def test_garbage_is_looked_for_while_a_command_is_guarded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not while modules load, and not in what was loaded."""
    seen: list[tuple[bool, bool]] = []

    def execute(given: Given) -> int:
        assert given.argv == (b"true",)
        seen.append((gc.isenabled(), gc.get_freeze_count() > 0))
        return 7

    monkeypatch.setattr("sentinel.commands.exec.execute", execute)
    try:
        assert main._dispatch(["--", "true"]) == 7  # noqa: SLF001 - what main() does
    finally:
        gc.unfreeze()
    assert seen == [(True, True)]


def test_no_descriptors_are_no_fault_of_ours(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whoever needs one first, an import for one: the line says which limit to raise."""
    assert failing(monkeypatch, OSError(24, "Too many open files", "signalfd")) == 125
    line = "sentinel: cannot open what Sentinel needs: Too many open files; raise ulimit -n\n"
    assert capfd.readouterr() == ("", line)


def test_a_fault_of_our_own_is_one_line_with_its_place(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """No user is shown a traceback, and whoever mends it is shown where."""
    assert failing(monkeypatch, ValueError("two\nlines")) == 125
    out, err = capfd.readouterr()
    assert out == ""
    assert re.fullmatch(
        r"sentinel: internal error: ValueError: two\\nlines at .*/test_main\.py:\d+; "
        r"please report it\n",
        err,
    )


def test_closed_descriptors_are_filled_for_us_alone() -> None:
    """0, 1 and 2 are taken, so that no file of ours gets them, but not for the command."""
    saved = {fd: os.dup(fd) for fd in (0, 2)}
    try:
        for fd in saved:
            os.close(fd)
        main.fill_closed_descriptors()
        filled = {fd: (os.readlink(f"/proc/self/fd/{fd}"), os.get_inheritable(fd)) for fd in saved}
        inherited = os.get_inheritable(1)
    finally:
        for fd, copy in saved.items():
            os.dup2(copy, fd)
            os.close(copy)
    assert filled == {0: ("/dev/null", False), 2: ("/dev/null", False)}
    assert inherited


@pytest.mark.parametrize(
    ("named", "found"),
    [
        (None, ["/bin", "/a", "/b", STDLIB, HOME]),
        ("", ["/bin", "/a", "/b", STDLIB, HOME]),
        ("/a", ["/bin", "/b", STDLIB, HOME, "/a"]),
        ("/b:/a", ["/bin", STDLIB, HOME, "/a", "/b"]),
        ("/b/../a/", ["/bin", "/b", STDLIB, HOME, "/a"]),
        (f"/a:{STDLIB}:{HOME}", ["/bin", "/b", STDLIB, HOME, "/a"]),
        (":/nosuch", ["/bin", "/a", "/b", STDLIB, HOME]),
    ],
)
def test_places_of_pythonpath_come_last(
    monkeypatch: pytest.MonkeyPatch, named: str | None, found: list[str]
) -> None:
    """Unless they are Python's or Sentinel's own; in their order, and nothing is lost."""
    monkeypatch.setattr(sys, "path", ["/bin", "/a", "/b", STDLIB, HOME])
    monkeypatch.delenv("PYTHONPATH", raising=False)
    if named is not None:
        monkeypatch.setenv("PYTHONPATH", named)
    main.own_modules_first()
    assert sys.path == found
