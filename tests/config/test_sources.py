"""Whose word counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.config.options import IN_FILES, OPTIONS
from sentinel.config.sources import Word, gather, is_quiet
from sentinel.model.errors import UsageFault

SYSTEM, USER = "/etc/sentinel/config.toml: {}", "/home/u/.config/sentinel/config.toml: {}"

MAYBE = st.none() | st.just("text")


@given(option=MAYBE, variable=MAYBE, user=MAYBE, system=MAYBE, name=st.sampled_from([*IN_FILES]))
def test_the_nearest_word_counts(
    option: str | None, variable: str | None, user: str | None, system: str | None, name: str
) -> None:
    """Option before environment before the user's file before the machine's, for each setting."""
    places = [
        (option, f"--{name}"),
        (variable, IN_FILES[name].variable),
        (user, USER.format(name)),
        (system, SYSTEM.format(name)),
    ]
    words = [None if text is None else Word(text, origin) for text, origin in places]
    expected = next((word for word in words if word), None)
    files = [{name: word} if word else {} for word in (words[3], words[2])]
    environment = {IN_FILES[name].variable: variable} if variable else {}
    found = gather({name: option} if option else {}, environment, files)
    assert found == ({name: expected} if expected else {})


def test_an_empty_variable_says_nothing() -> None:
    """`SENTINEL_LIMIT=` is as good as unset; an empty option is a word, and a wrong one."""
    assert gather({}, {"SENTINEL_LIMIT": ""}) == {}
    assert gather({"limit": ""}, {"SENTINEL_LIMIT": "1G"}) == {"limit": Word("", "--limit")}


def test_the_names_of_the_variables() -> None:
    """Settings have a variable each; what is about one run alone has none."""
    assert {option.variable for option in OPTIONS if option.variable} == {
        "SENTINEL_LIMIT",
        "SENTINEL_HARD_LIMIT",
        "SENTINEL_SWAP",
        "SENTINEL_GRACE",
        "SENTINEL_SIGNAL",
        "SENTINEL_FOR",
        "SENTINEL_TIMEOUT",
        "SENTINEL_COUNT",
        "SENTINEL_BACKEND",
        "SENTINEL_PIDS",
        "SENTINEL_CPUS",
        "SENTINEL_SOCKET",
        "SENTINEL_ALLOW_UIDS",
        "SENTINEL_METRICS_PORT",
        "SENTINEL_METRICS_ADDRESS",
        "SENTINEL_METRICS_LINGER",
        "SENTINEL_DASHBOARD",
    }


@pytest.mark.parametrize(
    ("flags", "variable", "quiet"),
    [
        (set(), None, False),
        (set(), "", False),
        (set(), "0", False),
        (set(), "no", False),
        (set(), "1", True),
        (set(), "Yes", True),
        ({"quiet"}, None, True),
        ({"quiet"}, "0", True),
        ({"verbose"}, "1", False),
    ],
)
def test_quiet_is_an_option_or_a_variable(
    flags: set[str], variable: str | None, *, quiet: bool
) -> None:
    """The variable speaks when neither option does."""
    environment = {} if variable is None else {"SENTINEL_QUIET": variable}
    assert is_quiet(frozenset(flags), environment) is quiet


def test_quiet_and_verbose_contradict() -> None:
    """Both at once are refused, and so is a variable that says neither yes nor no."""
    with pytest.raises(UsageFault) as caught:
        is_quiet(frozenset({"quiet", "verbose"}), {})
    assert str(caught.value) == "--quiet and --verbose contradict each other; give one of them"
    with pytest.raises(UsageFault) as caught:
        is_quiet(frozenset(), {"SENTINEL_QUIET": "hush"})
    assert str(caught.value) == "SENTINEL_QUIET: 'hush' is neither yes nor no; use yes or no"
