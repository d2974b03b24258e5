"""The manual page is whole, and man reads it without a complaint."""

import os
import subprocess

import pytest

from docs import manual
from sentinel.commands.main import VERBS
from sentinel.config.options import OPTIONS
from tests.lab import ROOT

PAGE = manual.page()


def test_every_verb_and_option_is_in_it() -> None:
    """What --help shows of each verb is a section, what it shows of each option an item."""
    lines = set(PAGE.splitlines())
    assert [verb for verb in VERBS if f".SH {verb.upper()}" not in lines] == []
    plain = PAGE.replace("\\-", "-")
    assert [one.name for one in OPTIONS if f"--{one.name}" not in plain] == []
    assert "sentinel stop\n[OPTIONS] [NAME]\n" in PAGE


def test_text_is_never_taken_for_roff() -> None:
    """A backslash, a dash and a line that begins with a dot or a quote stand for themselves."""
    assert manual._text("a-b\\n") == "a\\-b\\en"  # noqa: SLF001
    assert manual._text(".de x") == "\\&.de x"  # noqa: SLF001
    assert manual._prose("See `.TH`.") == "See \\fB\\&.TH\\fR\\&."  # noqa: SLF001


@pytest.mark.native
def test_man_renders_it_without_warnings() -> None:
    """What man(1) shows has the name, and groff says nothing."""
    done = subprocess.run(
        ["man", "--warnings", os.path.join(ROOT, manual.PATH)],
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANWIDTH": "80"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stderr == ""
    assert "sentinel - run a command under a memory limit that stops it politely" in done.stdout
