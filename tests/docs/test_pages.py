"""The pages name only what exists, link to what is there, and show commands that are accepted."""

from collections.abc import Callable

import pytest

from sentinel.config.options import OPTIONS
from sentinel.model.errors import EXIT_LIMIT, EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND, EXIT_SENTINEL
from tests.docs import names, shown
from tests.docs.pages import Page, pages
from tests.lab import ROOT

PAGES = {page.path: page for page in pages(ROOT)}

IN_PAGE = (names.unknown_options, names.unknown_verdicts, names.unknown_verbs)
IN_TREE = (
    names.unknown_targets,
    names.unknown_files,
    names.unknown_variables,
    names.broken_links,
)


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES.keys())
def test_a_page_names_only_what_exists(page: Page) -> None:
    """Options, verdicts, verbs, make targets, files, variables and links are all real."""
    breaches = [breach for law in IN_PAGE for breach in law(page)]
    breaches += [breach for law in IN_TREE for breach in law(page, ROOT)]
    assert breaches == []


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES.keys())
def test_a_page_shows_only_commands_that_are_accepted(page: Page) -> None:
    """Every command line of a page passes the real option parsing of what it names."""
    assert [why for line in page.commands() if (why := shown.refusal(line))] == []


def test_the_readme_shows_commands() -> None:
    """The README's commands are found at all: an empty list of refusals means something."""
    lines = PAGES["README.md"].commands()
    assert "make demo" in lines
    assert "make test" in lines
    assert [line for line in lines if "sentinel exec" in line]


def test_the_readme_names_every_option_and_status() -> None:
    """Nothing that the command line promises is missing from the README."""
    text = PAGES["README.md"].text
    spans = {span.split()[0].partition("[")[0] for span in PAGES["README.md"].spans()}
    assert [option.name for option in OPTIONS if f"--{option.name}" not in spans] == []
    for status in (EXIT_LIMIT, EXIT_SENTINEL, EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND):
        assert f"| {status} |" in text


@pytest.mark.parametrize(
    ("law", "text", "found"),
    [
        (names.unknown_options, "`--limit SIZE`, `-q`, `--help`", []),
        (names.unknown_options, "`--limits SIZE`", ["option '--limits SIZE' does not exist"]),
        (names.unknown_options, "`--grace=1s` `-z`", ["option '-z' does not exist"]),
        (names.unknown_verdicts, "`soft-limit` `hard-limit` `systemd-run`", []),
        (names.unknown_verdicts, "`soft-limits`", ["verdict 'soft-limits' does not exist"]),
        (
            names.unknown_verdicts,
            "```console\nsentinel: python: wall: it went over\n```\n",
            ["verdict 'wall' does not exist"],
        ),
        (
            names.unknown_verdicts,
            '```json\n{"verdict": "oom"}\n```\n',
            ["verdict 'oom' does not exist"],
        ),
        (names.unknown_verbs, "`sentinel exec`, `sentinel CMD`, `sentinel --help`", []),
        (names.unknown_verbs, "`sentinel fly`", ["verb 'fly' does not exist"]),
    ],
)
def test_a_name_that_does_not_exist_is_found(
    law: Callable[[Page], list[str]], text: str, found: list[str]
) -> None:
    """Each law finds what does not exist, and nothing that does."""
    assert law(Page("a.md", text)) == [f"a.md: {breach}" for breach in found]


@pytest.mark.parametrize(
    ("law", "text", "found"),
    [
        (names.unknown_targets, "`make test`, `make PYTHON=python3.12 demo`", []),
        (names.unknown_targets, "`make cake`", ["make target 'cake' does not exist"]),
        (names.unknown_targets, "```sh\nmake cake\n```\n", ["make target 'cake' does not exist"]),
        (names.unknown_files, "`sentinel/model/` `tests/leaker.py` `/etc/x.py` `Makefile`", []),
        (names.unknown_files, "`tests/lurker.py`", ["file 'tests/lurker.py' does not exist"]),
        (
            names.unknown_files,
            "```console\n$ python3 tests/lurker.py\nno/such output\n```\n",
            ["file 'tests/lurker.py' does not exist"],
        ),
        (names.unknown_variables, "`SENTINEL_LIMIT=1G`", []),
        (
            names.unknown_variables,
            "`SENTINEL_WEIGHT`",
            ["variable 'SENTINEL_WEIGHT' is read by nothing"],
        ),
        (names.broken_links, "[a](README.md) [b](https://example.invalid) `[c](d.md)`", []),
        (names.broken_links, "# So it is\n[a](#so-it-is)", []),
        (names.broken_links, "[a](nowhere.md)", ["link to 'nowhere.md', which does not exist"]),
        (
            names.broken_links,
            "![a](docs/nowhere.svg)",
            ["link to 'docs/nowhere.svg', which does not exist"],
        ),
        (names.broken_links, "[a](#b)", ["link to '#b', where there is no such heading"]),
    ],
)
def test_a_thing_that_is_not_in_the_tree_is_found(
    law: Callable[[Page, str], list[str]], text: str, found: list[str]
) -> None:
    """Each law finds what the tree does not have, and nothing that it has."""
    assert law(Page("a.md", text), ROOT) == [f"a.md: {breach}" for breach in found]


@pytest.mark.parametrize(
    "line",
    [
        "sentinel exec --limit 200M -- python3 tests/leaker.py --rate 80",
        ".venv/bin/sentinel python3 tests/leaker.py",
        "python3 -m tests.lab --kernel 6.1 -- .venv/bin/sentinel exec --limit 1G true",
        "cat a | sentinel exec --limit 50% sort > b",
        "make demo",
    ],
)
def test_a_command_that_would_work_is_accepted(line: str) -> None:
    """A right command line is no breach, wherever in the line Sentinel stands."""
    assert shown.refusal(line) == ""


@pytest.mark.parametrize(
    "line",
    [
        "sentinel exec --limits 200M true",
        "sentinel exec --limit 200Q true",
        "sentinel exec --limit 200M --hard-limit 100M true",
        "sentinel exec --limit 200M",
        "sentinel exec --limit 200M -- python3 tests/leaker.py --speed 80",
    ],
)
def test_a_command_that_would_be_refused_is_found(line: str) -> None:
    """A wrong option, a wrong value, and a wrong word to the guarded leaker are all found."""
    assert shown.refusal(line).startswith(f"{line!r} is refused: ")
