"""Two readers of a command line, one answer."""

from __future__ import annotations

import os

import click
import pytest
from click.shell_completion import ShellComplete
from hypothesis import event, given
from hypothesis import strategies as st

from sentinel.commands.exec import command, from_click
from sentinel.commands.group import Verbs, run
from sentinel.commands.main import VERBS
from sentinel.commands.words import Given, read_words
from sentinel.config.options import OPTIONS

WORDS = st.sampled_from(
    [
        *(f"--{option.name}" for option in OPTIONS),
        *(f"--{option.name}=value" for option in OPTIONS),
        *("-q", "-v", "-qv", "--", "-", "", "--help", "-h", "-x", "--limti", "--limit=", "--lim"),
        *("200M", "true", "a b", "--=", "--=x", "---", "-=", "é", os.fsdecode(b"\xff")),
    ]
)


def by_click(words: list[str]) -> Given:
    """What click makes of `words`. Raises what click raises."""
    context = command().make_context("exec", list(words))
    return from_click(argv=context.params.pop("argv"), params=context.params)


@given(st.lists(WORDS | st.text(max_size=4), max_size=6))
def test_what_is_read_without_click_is_what_click_reads(words: list[str]) -> None:
    """Whenever the quick reader answers, click gives the same answer."""
    found = read_words(words)
    event(f"answered: {found is not None}")
    if found is not None:
        assert by_click(words) == found


@pytest.mark.parametrize(
    ("words", "given_"),
    [
        (["true"], Given({}, frozenset(), (b"true",))),
        (["--", "true"], Given({}, frozenset(), (b"true",))),
        (["--", "--", "-q"], Given({}, frozenset(), (b"--", b"-q"))),
        (["-"], Given({}, frozenset(), (b"-",))),
        ([""], Given({}, frozenset(), (b"",))),
        (
            ["-q", "--limit", "200M", "--json=-", "ls", "-v", "--limit", "1"],
            Given(
                {"limit": "200M", "json": "-"},
                frozenset({"quiet"}),
                (b"ls", b"-v", b"--limit", b"1"),
            ),
        ),
        (["--metrics", "python3"], Given({"metrics": "8000"}, frozenset(), (b"python3",))),
        (
            ["--metrics=9", "--dashboard", "x"],
            Given({"metrics": "9", "dashboard": "yes"}, frozenset(), (b"x",)),
        ),
        (["--limit", "1G", "--limit=2G", "x"], Given({"limit": "2G"}, frozenset(), (b"x",))),
        (["--limit", "--", "x"], Given({"limit": "--"}, frozenset(), (b"x",))),
        (["--limit=", "x"], Given({"limit": ""}, frozenset(), (b"x",))),
        (
            ["--preserve-status", "--signal-main-only", "--verbose", "x"],
            Given({}, frozenset({"preserve-status", "signal-main-only", "verbose"}), (b"x",)),
        ),
        (["x", os.fsdecode(b"caf\xe9")], Given({}, frozenset(), (b"x", b"caf\xe9"))),
    ],
)
def test_a_well_formed_command_line_needs_no_click(words: list[str], given_: Given) -> None:
    """Options end at the first word that is none, which begins the command."""
    assert read_words(words) == given_
    assert by_click(words) == given_


@pytest.mark.parametrize(
    ("words", "flags", "values"),
    [
        (["-qv", "--metrics", "--dashboard", "x"], {"quiet", "verbose"}, {"dashboard": "yes"}),
        (["--limit", "--metrics", "-qq", "--metrics", "x"], {"quiet"}, {"limit": "--metrics"}),
        (["--metrics=9", "-qq", "x"], {"quiet"}, {"metrics": "9"}),
    ],
)
def test_click_takes_no_word_for_a_value_that_is_left_out(
    words: list[str], flags: set[str], values: dict[str, str]
) -> None:
    """`--metrics CMD` means the same in a spelling that only click reads."""
    assert read_words(words) is None
    assert by_click(words) == Given({"metrics": "8000", **values}, frozenset(flags), (b"x",))


@pytest.mark.parametrize(
    "words",
    [["--help", "--metrics"], ["--metrics", "-h"], ["--limit", "1G", "--help", "--dashboard"]],
)
def test_help_is_given_whatever_else_is_asked(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """An option that may stand alone stands alone here, too."""
    assert run(["exec", *words], VERBS) == 0
    assert capsys.readouterr().out.startswith("Usage: sentinel exec [OPTIONS] [--] CMD [ARG]...\n")


@pytest.mark.parametrize(
    ("words", "incomplete", "found"),
    [
        (["--metrics"], "/etc/pas", [("file", "/etc/pas")]),
        (["--dashboard"], "", [("file", "")]),
        (["--metrics", "cat"], "/etc/pas", [("file", "/etc/pas")]),
        (["--metrics"], "--hard", [("plain", "--hard-limit")]),
        (["--limit"], "5", []),
    ],
)
def test_tab_after_an_option_that_stands_alone(
    words: list[str], incomplete: str, found: list[tuple[str, str]]
) -> None:
    """What comes next is the command, or another option."""
    asked = ShellComplete(Verbs(VERBS), {}, "sentinel", "_SENTINEL_COMPLETE")
    items = asked.get_completions(["exec", *words], incomplete)
    assert [(item.type, item.value) for item in items] == found


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--"],
        ["-q"],
        ["--limit"],
        ["--limit", "200M"],
        ["--help"],
        ["-h", "x"],
        ["-qv", "x"],
        ["--quiet=1", "x"],
        ["--limti", "1G", "x"],
        ["--lim=1G", "x"],
    ],
)
def test_anything_else_is_for_click_to_explain(words: list[str]) -> None:
    """Help, mistakes and unusual spellings are left alone."""
    assert read_words(words) is None


def test_the_help_shows_a_value_as_it_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    """With a `=` where nothing else will do."""
    run(["exec", "--help"], VERBS)
    shown = capsys.readouterr().out
    for word in ("--limit SIZE ", "--metrics[=PORT] ", "--dashboard[=yes|no] "):
        assert f"  {word}" in shown


def test_click_has_every_option_of_the_table() -> None:
    """Names, short names and whether there is a value come from the one table."""
    found = {
        parameter.opts[0]: (parameter.is_flag, parameter.opts[1:])
        for parameter in command().params
        if isinstance(parameter, click.Option)
    }
    assert found == {
        f"--{option.name}": (not option.metavar, [f"-{option.short}"] if option.short else [])
        for option in OPTIONS
    }
