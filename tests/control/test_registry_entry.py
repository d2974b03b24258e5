"""What is written down of a run, and what is read back."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.control.claims import entry_file
from sentinel.control.entry import Entry, format_entry, parse_entry

ENTRY = Entry(
    name="leaker",
    pid=17,
    main=18,
    uid=1000,
    started=1763800000.25,
    boot_id="0b0c36f5-6d9e-4b4e-9f0c-3a3a5c8a4f11",
    pid_namespace=4026531836,
    socket="/run/user/1000/sentinel/leaker.17.sock",
    backend="cgroup",
    soft=209715200,
    hard=314572800,
    leaf="/sys/fs/cgroup/a",
    command="python3",
)
TEXT = b"""\
sentinel-run-1
name=leaker
pid=17
main=18
uid=1000
started=1763800000.25
boot_id=0b0c36f5-6d9e-4b4e-9f0c-3a3a5c8a4f11
pid_namespace=4026531836
socket=/run/user/1000/sentinel/leaker.17.sock
backend=cgroup
soft=209715200
hard=314572800
leaf=/sys/fs/cgroup/a
command=python3
end
"""


def test_format() -> None:
    """An entry is a line for each field, between a line that says what it is and `end`."""
    assert format_entry(ENTRY) == TEXT
    assert parse_entry(TEXT) == ENTRY


def test_what_is_not_known_is_none() -> None:
    """No hard limit and no namespace are written as nothing, and read as None."""
    entry = ENTRY._replace(hard=None, pid_namespace=None, socket="", leaf="")
    assert b"\nhard=\n" in format_entry(entry)
    assert parse_entry(format_entry(entry)) == entry


def test_a_later_version_may_say_more() -> None:
    """Keys that are not known are passed over."""
    assert parse_entry(TEXT.replace(b"end\n", b"colour=\xff\nend\n")) == ENTRY


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n\n",
        TEXT.replace(b"run-1", b"run-2"),
        TEXT.replace(b"pid=17", b"pid=x"),
        TEXT.replace(b"pid=17\n", b""),
        TEXT.replace(b"soft=209715200", b"soft="),
        TEXT.replace(b"started=1763800000.25", b"started=soon"),
        TEXT.replace(b"started=1763800000.25", b"started=nan"),
        TEXT.replace(b"started=1763800000.25", b"started=inf"),
        b"\xff\xfe" * 100,
        b"\0" * 4096,
        TEXT + b"x",
    ],
)
def test_no_entry(text: bytes) -> None:
    """What is no entry names no run."""
    assert parse_entry(text) is None


def test_a_part_is_no_entry() -> None:
    """An entry that was cut short anywhere is none."""
    assert [cut for cut in range(len(TEXT)) if parse_entry(TEXT[:cut]) is not None] == []


TEXTS = st.text() | st.binary().map(os.fsdecode) | st.text(alphabet="\\n\n=")
NUMBERS = st.integers(0, 1 << 63)


@given(
    st.builds(
        Entry,
        name=TEXTS,
        pid=NUMBERS,
        main=NUMBERS,
        uid=NUMBERS,
        started=st.floats(0, 1e12),
        boot_id=TEXTS,
        pid_namespace=st.none() | NUMBERS,
        socket=TEXTS,
        backend=TEXTS,
        soft=NUMBERS,
        hard=st.none() | NUMBERS,
        leaf=TEXTS,
        command=TEXTS,
    )
)
def test_law_an_entry_says_what_was_written(entry: Entry) -> None:
    """Whatever is in a value, line ends, backslashes and bytes that are no UTF-8, is read back."""
    assert parse_entry(format_entry(entry)) == entry


@given(st.binary())
def test_law_anything_may_be_there(text: bytes) -> None:
    """Whatever stands in a file, reading it raises nothing."""
    parse_entry(text)
    parse_entry(TEXT[:100] + text + TEXT[100:])


@given(st.lists(st.text(alphabet="a%/25f", min_size=1), min_size=2, max_size=2, unique=True))
def test_law_two_names_have_two_files(names: list[str]) -> None:
    """No name leads to another one's file, or out of the directory."""
    first, second = map(entry_file, names)
    assert first != second
    assert b"/" not in first + second


@pytest.mark.native
def test_a_path_means_the_same_bytes_in_every_locale() -> None:
    """Who looks from an ASCII locale reaches the socket of a run that was named in UTF-8."""
    text = format_entry(ENTRY._replace(name="\u00e9", socket="/tmp/\u00e9.sock"))
    assert b"socket=/tmp/\xc3\xa9.sock\n" in text
    program = (
        "import os, sys; from sentinel.control.entry import format_entry, parse_entry; "
        "text = sys.stdin.buffer.read(); entry = parse_entry(text); "
        "sys.stdout.buffer.write(os.fsencode(entry.socket) + entry.name.encode()); "
        "sys.exit(format_entry(entry) != text)"
    )
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        input=text,
        env=ascii_only,
        capture_output=True,
        check=True,
    )
    assert done.stdout == b"/tmp/\xc3\xa9.sock\xc3\xa9"
