"""What is written down about a run, and what is done when that is not possible."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.linux.kinship import Identity
from sentinel.linux.locks import try_lock
from sentinel.linux.runtime import Place
from sentinel.model.errors import KernelFileError
from sentinel.rss.family import Family
from sentinel.rss.record import (
    PREFIX,
    WRITE_EVERY,
    Kin,
    Notebook,
    Record,
    format_record,
    here,
    parse_record,
)
from tests.rss.mockup import MockProc

BOOT = "0b0c36f5-6d9e-4b4e-9f0c-3a3a5c8a4f11"
KIN = Kin(BOOT, 4026531836, (Identity(17, 4711), Identity(32768, 99999999)))
TEXT = (
    b"sentinel-rss-1\n"
    b"0b0c36f5-6d9e-4b4e-9f0c-3a3a5c8a4f11\n"
    b"4026531836          \n"
    b"17         4711                \n"
    b"32768      99999999            \n"
)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Where the records of a test are."""
    return Place(str(tmp_path), "records", private=False)


def records(place: Place) -> list[Path]:
    """The records that are there."""
    return sorted(Path(place.path).glob(f"{PREFIX}*"))


def content(place: Place) -> Kin:
    """What the only record says."""
    (path,) = records(place)
    kin = parse_record(path.read_bytes())
    assert kin is not None
    return kin


@pytest.mark.pure
def test_format() -> None:
    """A record is lines of fixed width: boot, namespace, then pid and start of each member."""
    assert format_record(KIN) == TEXT
    assert parse_record(TEXT) == KIN


@pytest.mark.pure
@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n\n\n",
        b"sentinel-rss-2\n" + TEXT[15:],
        TEXT[:52],
        TEXT.replace(b"4026531836 ", b"402653183x "),
        b"\xff\xfe" * 100,
        b"\0" * 4096,
    ],
)
def test_no_record(text: bytes) -> None:
    """What is no record names nobody."""
    assert parse_record(text) is None


@pytest.mark.pure
@pytest.mark.parametrize(
    "line",
    [b"17", b"17 x", b"-17 4711", b"17 4711 1", b"1_7 4711", b"0x11 4711", b"1" * 40 + b" 1", b""],
)
def test_odd_lines_are_left_out(line: bytes) -> None:
    """A line that is not two numbers is left out; the others stand."""
    lines = TEXT.splitlines(keepends=True)
    assert parse_record(b"".join([*lines[:3], line + b"\n", *lines[3:]])) == KIN


@pytest.mark.pure
@given(st.lists(st.tuples(st.integers(1, 4194304), st.integers(0, 1 << 60)), max_size=300))
def test_law_a_record_says_what_was_written(members: list[tuple[int, int]]) -> None:
    """Whatever is written down is read back."""
    kin = Kin(BOOT, 1, tuple(Identity(*member) for member in members))
    assert parse_record(format_record(kin)) == kin


@pytest.mark.pure
@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 3000))
def test_law_a_torn_rewrite_names_only_recorded_ones(old: int, new: int, cut: int) -> None:
    """A rewrite that was cut short anywhere names members of before or after, nobody else."""
    before = tuple(Identity(pid, 1000 + pid) for pid in range(10, 10 + old))
    after = tuple(Identity(pid, 2000 + pid) for pid in range(100, 100 + new))
    old_text, new_text = (format_record(Kin(BOOT, 1, members)) for members in (before, after))
    torn = new_text[:cut] + old_text[cut:]
    kin = parse_record(torn)
    assert kin is not None
    mixed = [m for m in kin.members if m not in before and m not in after]
    # A cut inside a line mixes two of the same width: one number of each at worst, which is
    # nobody, as no process has the one's pid and the other's start.
    assert len(mixed) <= 1


def test_where_pids_mean_anything() -> None:
    """The boot and the pid namespace are those of this process."""
    boot, namespace = here()
    assert len(boot) == 36
    assert os.readlink("/proc/self/ns/pid") == f"pid:[{namespace}]"


def test_record_is_locked_and_closed(place: Place) -> None:
    """While it is open the record is locked and readable by its owner alone; then it is gone."""
    record = Record([place])
    record.write([Identity(1, 2)])
    (path,) = records(place)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with path.open("rb") as other:
        assert not try_lock(other.fileno())
    record.close()
    assert records(place) == []


def test_rewriting_keeps_the_file(place: Place) -> None:
    """A shorter family replaces a longer one in the same file, so that the lock holds."""
    record = Record([place])
    record.write([Identity(pid, 1) for pid in range(1, 1000)])
    inode = records(place)[0].stat().st_ino
    record.write([Identity(7, 8)])
    assert content(place).members == (Identity(7, 8),)
    assert content(place)[:2] == here()
    assert records(place)[0].stat().st_ino == inode
    record.close()


def test_two_runs_have_two_records(place: Place) -> None:
    """Runs that start at the same time do not share a record."""
    first, second = Record([place]), Record([place])
    assert len(records(place)) == 2
    first.close()
    second.close()


def test_no_descriptor_is_inherited_or_left(place: Place) -> None:
    """A record's descriptors are closed on exec, and with the record."""
    before = set(os.listdir("/proc/self/fd"))
    record = Record([place])
    opened = set(os.listdir("/proc/self/fd")) - before
    assert opened
    assert not any(os.get_inheritable(int(fd)) for fd in opened if os.path.exists(f"/dev/fd/{fd}"))
    record.close()
    assert len(os.listdir("/proc/self/fd")) == len(before)


@pytest.fixture
def family(tmp_path: Path) -> tuple[Family, MockProc]:
    """A family of one, with its /proc."""
    mock = MockProc(tmp_path / "proc")
    mock.own()
    mock.process(100, start=5)
    family = Family(mock.proc, lambda: 0.0)
    mock.own(100)
    family.begin(100)
    return family, mock


def test_notebook_follows_the_family(place: Place, family: tuple[Family, MockProc]) -> None:
    """The family is written down at once, and again when it has changed, at most every second."""
    members, mock = family
    notebook = Notebook(members, [place])
    notebook.open()
    assert content(place).members == (Identity(100, 5),)
    assert notebook.turn(0) == ""
    mock.process(101, start=6)
    mock.children(100, 101)
    members.walk()
    notebook.turn(10)
    assert content(place).members == (Identity(100, 5), Identity(101, 6))
    mock.children(100)
    mock.gone(101)
    members.walk()
    notebook.turn(10 + WRITE_EVERY / 2)
    assert len(content(place).members) == 2
    notebook.turn(10 + WRITE_EVERY)
    assert content(place).members == (Identity(100, 5),)
    notebook.close()
    assert records(place) == []


def test_notebook_fails_once(place: Place, family: tuple[Family, MockProc]) -> None:
    """A directory that cannot be used is told once, with what it means; nothing is raised."""
    Path(place.path).write_text("in the way")
    notebook = Notebook(family[0], [place])
    notebook.open()
    told = notebook.turn(0)
    assert told.startswith(
        "if sentinel is killed, only the main process will be ended: cannot open"
    )
    assert told.endswith(f"somebody put something else there: remove {place.path}")
    assert notebook.turn(5) == ""
    notebook.close()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_full_disk(
    place: Place, family: tuple[Family, MockProc], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that cannot be written is an error of ours, told once, and leaves no file."""
    real = os.open

    def full(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        fd = real(path, flags, mode, dir_fd=dir_fd)
        if str(path).startswith(PREFIX):
            other = real("/dev/full", os.O_RDWR)
            os.dup2(other, fd)
            os.close(other)
        return fd

    monkeypatch.setattr(os, "open", full)
    monkeypatch.setattr("sentinel.rss.record.try_lock", lambda _: True)
    notebook = Notebook(family[0], [place])
    notebook.open()
    assert "No space left on device" in notebook.turn(0)
    assert records(place) == []


def test_error_names_the_record(place: Place) -> None:
    """A failing write names the file and the reason."""
    record = Record([place])
    os.close(record._fd)  # noqa: SLF001 - as a disk that fails would
    with pytest.raises(
        KernelFileError, match=rf"cannot write {place.path}/rss-[0-9a-f]+: Bad file"
    ):
        record.write([])
    record._fd = os.open("/dev/null", os.O_RDONLY)  # noqa: SLF001
    record.close()
