"""`--json` targets on the real file system: proved at the start, written whole or not at all."""

from __future__ import annotations

import os
import resource
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from sentinel.model.errors import EXIT_SENTINEL, EXIT_USAGE, SentinelError, UsageFault
from sentinel.report import target
from sentinel.report.target import open_target

REMEDY = "give a path that you can write to, or fd:N"
DOCUMENT = b'{"schema": 1}\n'


def refusal(text: str) -> SentinelError:
    """The error that `text` as a target brings before the start."""
    with pytest.raises(SentinelError) as caught:
        open_target(text)
    return caught.value


@pytest.fixture
def umask() -> Iterator[None]:
    """A umask to reckon with."""
    old = os.umask(0o027)
    yield
    os.umask(old)


@pytest.mark.usefixtures("umask")
def test_a_new_file_appears_whole_with_the_umasks_mode(tmp_path: Path) -> None:
    """Nothing stands there before the end, and only the document does afterwards."""
    path = tmp_path / "outcome.json"
    opened = open_target(str(path))
    assert os.listdir(tmp_path) == []
    opened.deliver(DOCUMENT)
    assert path.read_bytes() == DOCUMENT
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["outcome.json"]


def test_a_relative_path_is_where_sentinel_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directory is held open: nothing is resolved again at the end."""
    monkeypatch.chdir(tmp_path)
    opened = open_target("outcome.json")
    monkeypatch.chdir("/")
    opened.deliver(DOCUMENT)
    assert (tmp_path / "outcome.json").read_bytes() == DOCUMENT


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o666, 0o4755])
def test_an_existing_file_is_replaced_and_keeps_its_permissions(tmp_path: Path, mode: int) -> None:
    """A reader of the old file keeps the old document; the new file is another one."""
    path = tmp_path / "outcome.json"
    path.write_text("old")
    path.chmod(mode)
    with path.open() as reader:
        before = path.stat()
        opened = open_target(str(path))
        assert path.read_text() == "old"
        opened.deliver(DOCUMENT)
        assert reader.read() == "old"
    assert path.read_bytes() == DOCUMENT
    assert path.stat().st_ino != before.st_ino
    assert stat.S_IMODE(path.stat().st_mode) == mode & 0o777
    assert os.listdir(tmp_path) == ["outcome.json"]


def test_root_leaves_a_users_file_to_the_user(tmp_path: Path) -> None:
    """Owner and group are kept, not only the mode; only root can tell the difference."""
    path = tmp_path / "outcome.json"
    path.write_text("old")
    owner = (12345, 54321) if os.geteuid() == 0 else (os.getuid(), os.getgid())
    os.chown(path, *owner)
    open_target(str(path)).deliver(DOCUMENT)
    assert (path.stat().st_uid, path.stat().st_gid) == owner


@pytest.mark.parametrize("dangling", [False, True])
def test_a_symlink_is_followed_to_its_target(tmp_path: Path, *, dangling: bool) -> None:
    """The link stays a link, and the file that it names is replaced, or made."""
    (tmp_path / "real").mkdir()
    file = tmp_path / "real" / "outcome.json"
    if not dangling:
        file.write_text("old")
    link = tmp_path / "link"
    link.symlink_to("real/outcome.json")
    open_target(str(link)).deliver(DOCUMENT)
    assert link.is_symlink()
    assert file.read_bytes() == DOCUMENT
    assert os.listdir(tmp_path / "real") == ["outcome.json"]


def test_a_name_of_the_longest_length_is_no_trouble(tmp_path: Path) -> None:
    """The temporary name does not grow with the target's."""
    path = tmp_path / ("n" * 255)
    open_target(str(path)).deliver(DOCUMENT)
    assert path.read_bytes() == DOCUMENT


def test_a_name_of_any_bytes_is_no_trouble(tmp_path: Path) -> None:
    """File names are bytes."""
    path = os.fsencode(tmp_path) + b"/caf\xe9"
    open_target(os.fsdecode(path)).deliver(DOCUMENT)
    with open(path, "rb") as file:
        assert file.read() == DOCUMENT


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("/proc/outcome.json", "No such file or directory"),
        ("/proc/self/outcome.json", "No such file or directory"),
        ("{tmp}", "Is a directory"),
        ("{tmp}/", "Is a directory"),
        ("{tmp}/absent/outcome.json", "No such file or directory"),
        ("{tmp}/new/", "Not a directory"),
        ("{tmp}/plain/outcome.json", "Not a directory"),
        ("{tmp}/loop", "Too many levels of symbolic links"),
        ("{tmp}/" + "n" * 256, "File name too long"),
    ],
)
def test_an_unwritable_path_is_refused_before_the_start(
    tmp_path: Path, text: str, reason: str
) -> None:
    """One line that names path, reason and remedy; exit status 125; nothing is left there."""
    (tmp_path / "plain").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    path = text.format(tmp=tmp_path)
    error = refusal(path)
    assert str(error) == f"--json: cannot write {path!r}: {reason}; {REMEDY}"
    assert error.exit_status == EXIT_SENTINEL
    assert sorted(os.listdir(tmp_path)) == ["loop", "plain"]


@contextmanager
def as_nobody() -> Iterator[None]:
    """Give up root's rights over files for a while, where we have them."""
    if os.geteuid() != 0:
        yield
        return
    os.setegid(65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@pytest.mark.parametrize("existing", [False, True])
def test_what_the_permissions_forbid_is_refused_before_the_start(
    tmp_path: Path, *, existing: bool
) -> None:
    """A directory that takes no files, and a file that is protected in one that does."""
    place = tmp_path / "place"
    place.mkdir()
    path = place / "outcome.json"
    if existing:
        path.write_text("old")
        path.chmod(0o444)
    for directory in (tmp_path, *tmp_path.parents[:-2]):
        directory.chmod(0o755)
    place.chmod(0o777 if existing else 0o555)
    with as_nobody():
        error = refusal(str(path))
    assert str(error) == f"--json: cannot write {str(path)!r}: Permission denied; {REMEDY}"
    assert os.listdir(place) == (["outcome.json"] if existing else [])


@pytest.mark.parametrize("errno", [1, 13, 30])
def test_a_file_in_a_directory_that_takes_none_is_overwritten(tmp_path: Path, errno: int) -> None:
    """As in a container of an ordinary user, who may write to this one file alone."""
    path = tmp_path / "outcome.json"
    path.write_text("old, and longer than the document\n")
    before = path.stat()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(target._File, "prove", lambda _: fail(errno))  # noqa: SLF001
        opened = open_target(str(path))
        assert refusal(str(tmp_path / "new")).message.startswith("--json: cannot write")
    opened.deliver(DOCUMENT)
    assert path.read_bytes() == DOCUMENT
    assert (path.stat().st_ino, path.stat().st_mode) == (before.st_ino, before.st_mode)


def test_a_mount_point_is_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A single file that was mounted into a container cannot be replaced (EBUSY, rename(2))."""
    path = tmp_path / "outcome.json"
    path.write_text("old, and longer than the document\n")
    monkeypatch.setattr(os, "rename", lambda *_, **__: fail(16))
    open_target(str(path)).deliver(DOCUMENT)
    assert path.read_bytes() == DOCUMENT
    assert os.listdir(tmp_path) == ["outcome.json"]


def fail(errno: int) -> NoReturn:
    """As a system call does."""
    raise OSError(errno, os.strerror(errno))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "--json: '' names no target; give a path, - for stderr, or fd:N"),
        ("fd:", "--json: 'fd:' names no descriptor; write it like fd:3"),
        ("fd:x", "--json: 'fd:x' names no descriptor; write it like fd:3"),
        ("fd:-1", "--json: 'fd:-1' names no descriptor; write it like fd:3"),
        ("fd:99999999999", "--json: 'fd:99999999999' names no descriptor; write it like fd:3"),
    ],
)
def test_what_names_no_target_is_a_usage_fault(text: str, line: str) -> None:
    """A malformed word is the caller's mistake: exit status 2."""
    error = refusal(text)
    assert str(error) == line
    assert isinstance(error, UsageFault)
    assert error.exit_status == EXIT_USAGE


@contextmanager
def inherited(fd: int) -> Iterator[int]:
    """`fd` as a process finds what it was started with: without close-on-exec."""
    os.set_inheritable(fd, True)
    try:
        yield fd
    finally:
        os.close(fd)


@pytest.mark.parametrize("prefix", ["fd:", "/dev/fd/", "/proc/self/fd/"])
def test_a_descriptor_is_written_to_at_the_end(tmp_path: Path, prefix: str) -> None:
    """A file behind a descriptor is written to where it stands, not replaced."""
    path = tmp_path / "log"
    path.write_text("before\n")
    with inherited(os.open(path, os.O_WRONLY | os.O_APPEND)) as fd:
        opened = open_target(f"{prefix}{fd}")
        assert path.read_text() == "before\n"
        opened.deliver(DOCUMENT)
    assert path.read_bytes() == b"before\n" + DOCUMENT


@pytest.mark.parametrize(("text", "fd"), [("-", 2), ("/dev/stderr", 2), ("/dev/stdout", 1)])
def test_the_names_of_the_standard_streams(
    capfd: pytest.CaptureFixture[str], text: str, fd: int
) -> None:
    """`-` and the kernel's name for stderr are the same descriptor."""
    open_target(text).deliver(DOCUMENT)
    streams = capfd.readouterr()
    assert (streams.out, streams.err)[fd - 1] == DOCUMENT.decode()


def test_a_descriptor_that_cannot_take_it_is_refused_before_the_start(tmp_path: Path) -> None:
    """Closed, open for reading only, or not inherited but one of our own: exit status 125."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    closed = refusal(f"fd:{limit - 1}")
    assert str(closed) == (
        f"--json: 'fd:{limit - 1}' is not open; open it, as in {limit - 1}>outcome.json"
    )
    assert closed.exit_status == EXIT_SENTINEL
    with inherited(os.open(tmp_path, os.O_RDONLY)) as fd:
        assert str(refusal(f"fd:{fd}")) == (
            f"--json: 'fd:{fd}' is not open for writing; open it, as in {fd}>outcome.json"
        )
    ours = os.open(tmp_path / "x", os.O_WRONLY | os.O_CREAT)
    assert refusal(f"fd:{ours}").message == f"--json: 'fd:{ours}' is not open"
    os.close(ours)


def test_a_fifo_without_a_reader_is_refused_before_the_start(tmp_path: Path) -> None:
    """The start is not held up until somebody reads."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    error = refusal(str(path))
    assert str(error) == (
        f"--json: {str(path)!r} has no reader; start its reader first, or give a file"
    )
    assert error.exit_status == EXIT_SENTINEL


def test_a_fifo_with_a_reader_gets_the_document(tmp_path: Path) -> None:
    """More than a pipe holds at once arrives whole when somebody reads."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    opened = open_target(str(path))
    os.set_blocking(reader, True)
    big = b"x" * 300_000
    received = bytearray()

    def read() -> None:
        while len(received) < len(big):
            received.extend(os.read(reader, 65536))

    thread = threading.Thread(target=read)
    thread.start()
    opened.deliver(big)
    thread.join(timeout=30)
    os.close(reader)
    assert bytes(received) == big


def test_a_reader_that_stops_reading_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for ever: the line says how far the document got."""
    monkeypatch.setattr(target, "STALL_MS", 1)
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    opened = open_target(str(path))
    with pytest.raises(SentinelError) as caught:
        opened.deliver(b"x" * 300_000)
    os.close(reader)
    assert str(caught.value) == (
        f"--json: {str(path)!r} took 65536 of 300000 bytes and then no more in 0 s; "
        "read from it until it ends"
    )


def test_a_reader_that_has_gone_is_an_error_line(tmp_path: Path) -> None:
    """EPIPE at the end is said, not raised as something else."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    opened = open_target(str(path))
    os.close(reader)
    with pytest.raises(SentinelError) as caught:
        opened.deliver(DOCUMENT)
    assert str(caught.value) == f"--json: cannot write {str(path)!r}: Broken pipe; {REMEDY}"


def test_a_full_device_is_an_error_line() -> None:
    """What opens and then refuses is said at the end."""
    opened = open_target("/dev/full")
    with pytest.raises(SentinelError) as caught:
        opened.deliver(DOCUMENT)
    assert str(caught.value) == (
        f"--json: cannot write '/dev/full': No space left on device; {REMEDY}"
    )


def test_a_device_takes_the_document() -> None:
    """/dev/null is a fine place for it."""
    open_target("/dev/null").deliver(DOCUMENT)


def test_a_socket_is_no_target(tmp_path: Path) -> None:
    """Neither a socket nor a disk can be opened as a file for writing."""
    import socket

    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        assert (
            str(refusal(path)) == f"--json: {path!r} is a socket or disk; give a file, FIFO or fd:N"
        )


def test_a_failure_at_the_end_leaves_the_old_document(tmp_path: Path) -> None:
    """A document that does not fit is not half-written, and leaves no temporary file."""
    path = tmp_path / "outcome.json"
    path.write_text("old")
    opened = open_target(str(path))
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, old[1]))
    try:
        with pytest.raises(SentinelError) as caught:
            opened.deliver(b"x" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert str(caught.value) == f"--json: cannot write {str(path)!r}: File too large; {REMEDY}"
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["outcome.json"]


def test_a_directory_that_vanished_is_an_error_line(tmp_path: Path) -> None:
    """What was proved at the start can be gone at the end."""
    place = tmp_path / "place"
    place.mkdir()
    opened = open_target(str(place / "outcome.json"))
    place.rmdir()
    with pytest.raises(SentinelError) as caught:
        opened.deliver(DOCUMENT)
    assert caught.value.message == (
        f"--json: cannot write {str(place / 'outcome.json')!r}: No such file or directory"
    )
