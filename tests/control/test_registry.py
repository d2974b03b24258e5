"""The registry: who is found, who is not, and what is cleared away."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from sentinel.control import claims, registry
from sentinel.control.liveness import hold
from sentinel.control.registry import Entry, Registration, find, free_name, live, register, sweep
from sentinel.linux.locks import try_lock
from sentinel.linux.runtime import Place
from sentinel.model.errors import KernelFileError

pytestmark = pytest.mark.native

NOBODY = 65534


@pytest.fixture
def places(tmp_path: Path) -> Iterator[tuple[Place, ...]]:
    """Where the entries of a test are; what it claimed is released."""
    for name in ("run", "tmp"):
        (tmp_path / name).mkdir(mode=0o700)
    yield (
        Place(str(tmp_path / "run"), "sentinel", private=True),
        Place(str(tmp_path / "tmp"), "sentinel-7", private=False),
    )
    registry.release_unused()


def entry(name: str, started: float = 1.0, socket_path: str = "") -> Entry:
    """An entry of this process."""
    boot, namespace = registry.whereabouts()
    return Entry(
        name=name,
        pid=os.getpid(),
        main=os.getpid(),
        uid=os.geteuid(),
        started=started,
        boot_id=boot,
        pid_namespace=namespace,
        socket=socket_path,
        backend="rss",
        soft=1 << 20,
        hard=None,
        leaf="",
        command="python3",
    )


def files(place: Place) -> list[str]:
    """What is in a place's directory."""
    return sorted(os.listdir(place.path)) if os.path.isdir(place.path) else []


def die(registration: Registration) -> None:
    """End as a guard that is SIGKILLed: the lock goes, the file stays."""
    directory, _, fd = registration._claim  # noqa: SLF001 - nothing of ours does this
    os.close(fd)
    directory.close()


def test_a_run_is_found_while_it_lives(places: tuple[Place, ...]) -> None:
    """What was registered is listed and found by name until it is closed; then nothing is left."""
    one, two = entry("one", 2.0), entry("two", 1.0)
    first, second = register(one, places), register(two, places)
    assert live(places) == [two, one]
    assert find("one", places) == one
    assert find("three", places) is None
    assert files(places[0]) == ["run-one.entry", "run-two.entry"]
    first.close()
    assert live(places) == [two]
    second.close()
    assert files(places[0]) == []


def test_an_entry_is_closed_to_others(places: tuple[Place, ...]) -> None:
    """Its file is readable by its owner alone, whatever the umask, and locked."""
    before = os.umask(0o777)
    try:
        registration = register(entry("one"), places)
    finally:
        os.umask(before)
    path = Path(places[0].path) / "run-one.entry"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with path.open("rb") as file:
        assert not try_lock(file.fileno())
    registration.close()


def test_both_places_are_read(places: tuple[Place, ...]) -> None:
    """A run that was started when there was no /run/user/UID is found afterwards, too."""
    earlier = register(entry("earlier", 1.0), places[1:])
    later = register(entry("later", 2.0), places)
    assert [found.name for found in live(places)] == ["earlier", "later"]
    assert free_name("earlier", places) == "earlier-2"
    earlier.close()
    later.close()


def test_a_dead_run_is_not_found(places: tuple[Place, ...]) -> None:
    """The file of a guard that was SIGKILLed names nobody, and a sweep removes it."""
    die(register(entry("dead"), places))
    alive = register(entry("alive"), places)
    assert [found.name for found in live(places)] == ["alive"]
    sweep(places)
    assert files(places[0]) == ["run-alive.entry"]
    alive.close()


def test_who_ends_at_once_clears_away_where_anything_is_left(
    places: tuple[Place, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In either place; a launch beside the living alone does not pay for a sweep."""
    die(register(entry("dead"), places[1:]))
    alive = register(entry("alive"), places)
    claims.clear_away(places)
    assert [files(place) for place in places] == [["run-alive.entry"], []]
    monkeypatch.setattr(registry, "sweep", None)  # cannot be called
    claims.clear_away(places)
    alive.close()
    claims.clear_away(places)


def test_looking_hides_and_removes_nobody(places: tuple[Place, ...]) -> None:
    """Any number of sweeps and looks leave a living run's file and lock as they are."""
    registration = register(entry("one"), places)
    path = Path(places[0].path) / "run-one.entry"
    inode = path.stat().st_ino
    for _ in range(10):
        sweep(places)
        assert live(places) == [entry("one")]
    assert path.stat().st_ino == inode
    registration.close()


def test_two_who_look_do_not_take_each_other_for_a_guard(places: tuple[Place, ...]) -> None:
    """A dead run's file that somebody else is looking at stays dead."""
    die(register(entry("dead"), places))
    fd = os.open(os.path.join(places[0].path, "run-dead.entry"), os.O_RDONLY)
    import fcntl

    fcntl.flock(fd, fcntl.LOCK_SH)
    assert live(places) == []
    sweep(places)
    assert files(places[0]) == []
    os.close(fd)


def test_only_one_sweeps_at_a_time(places: tuple[Place, ...]) -> None:
    """While another sweep is at work in a directory, what is there is left to it."""
    die(register(entry("dead"), places))
    fd = os.open(places[0].path, os.O_RDONLY)
    assert try_lock(fd)
    sweep(places)
    assert files(places[0]) == ["run-dead.entry"]
    os.close(fd)
    sweep(places)
    assert files(places[0]) == []


def test_an_update_is_seen_whole(places: tuple[Place, ...]) -> None:
    """What a run says of itself is replaced under the same name, and nothing else is left."""
    registration = register(entry("one"), places)
    changed = entry("one")._replace(soft=300, leaf="x" * 3000)
    registration.update(changed)
    assert live(places) == [changed]
    registration.update(entry("one"))
    assert live(places) == [entry("one")]
    assert files(places[0]) == ["run-one.entry"]
    registration.close()
    assert files(places[0]) == []


def test_an_update_that_fails_changes_nothing(
    places: tuple[Place, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk leaves the old entry, locked, and no draft."""
    registration = register(entry("one"), places)
    registration.update(entry("one", 2.0))

    def full(fd: int, data: bytes) -> int:
        del fd, data
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(KernelFileError, match=r"cannot replace .*/run-one.entry: No space"):
            registration.update(entry("one", 3.0))
    assert live(places) == [entry("one", 2.0)]
    assert files(places[0]) == ["run-one.entry"]
    registration.close()
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(KernelFileError, match=r"cannot write .*/run-one.entry: No space"):
            register(entry("one"), places)
    assert files(places[0]) == []


def test_a_name_is_given_once(places: tuple[Place, ...]) -> None:
    """The next run of a name gets -2, also before the first one is registered; a gap is filled."""
    assert [free_name("job", places) for _ in range(3)] == ["job", "job-2", "job-3"]
    assert live(places) == []
    second = register(entry("job-2"), places)
    assert [found.name for found in live(places)] == ["job-2"]
    second.close()
    assert free_name("job", places) == "job-2"


def test_a_dead_runs_name_is_free(places: tuple[Place, ...]) -> None:
    """A name goes to the next run as soon as the guard that had it is dead, swept or not."""
    die(register(entry("job"), places))
    assert free_name("job", places) == "job"
    assert live(places) == []
    register(entry("job", 5.0), places).close()


def test_names_of_runs_that_did_not_start_are_given_back(places: tuple[Place, ...]) -> None:
    """Nothing is left of a name that no run was registered under."""
    free_name("job", places)
    registry.release_unused()
    assert files(places[0]) == []
    assert free_name("job", places) == "job"


def test_a_long_name_stays_short_enough_for_a_socket(places: tuple[Place, ...]) -> None:
    """The suffix takes the place of the last letters, never half of one."""
    long = "ö" * 32
    assert free_name(long, places) == long
    assert free_name(long, places) == "ö" * 31 + "-2"


def test_a_name_that_only_others_look_at_is_free(
    places: tuple[Place, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look at a stale file does not cost the next run its name."""
    die(register(entry("job"), places))
    fd = os.open(os.path.join(places[0].path, "run-job.entry"), os.O_RDONLY)
    import fcntl

    fcntl.flock(fd, fcntl.LOCK_SH)
    monkeypatch.setattr(os, "sched_yield", lambda: fcntl.flock(fd, fcntl.LOCK_UN))
    assert free_name("job", places) == "job"
    os.close(fd)


def test_a_file_that_is_swept_before_it_is_locked_is_made_again(
    places: tuple[Place, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the making of a file and its lock a sweep may remove it: the next one holds."""
    left = [1, 1]

    def swept_first(fd: int) -> bool:
        if left:
            left.pop()
            sweep(places)
        return hold(fd)

    monkeypatch.setattr(claims, "hold", swept_first)
    registration = register(entry("one"), places)
    assert not left
    assert live(places) == [entry("one")]
    left += [1]
    registration.update(entry("one", 2.0))
    assert not left
    assert live(places) == [entry("one", 2.0)]
    registration.close()


def test_two_runs_of_one_name_are_both_found(places: tuple[Place, ...]) -> None:
    """A run that took no free name has a file of its own all the same."""
    first, second = register(entry("one", 1.0), places), register(entry("one", 2.0), places)
    assert [found.started for found in live(places)] == [1.0, 2.0]
    first.close()
    assert [found.started for found in live(places)] == [2.0]
    second.close()
    assert files(places[0]) == []


def test_what_is_no_entry_is_passed_over(places: tuple[Place, ...], tmp_path: Path) -> None:
    """FIFOs, directories, symlinks and nonsense hold up nobody and are not followed."""
    registration = register(entry("one"), places)
    directory = Path(places[0].path)
    os.mkfifo(directory / "run-fifo.entry")
    (directory / "run-directory.entry").mkdir()
    (tmp_path / "elsewhere").write_bytes(b"")
    (directory / "run-link.entry").symlink_to(tmp_path / "elsewhere")
    (directory / "other").write_text("not ours to remove")
    nonsense = open(directory / "run-nonsense.entry", "wb")  # noqa: SIM115 - held open
    nonsense.write(b"\xff" * 100_000)
    nonsense.flush()
    assert try_lock(nonsense.fileno())
    assert live(places) == [entry("one")]
    sweep(places)
    assert files(places[0]) == [
        "other",
        "run-directory.entry",
        "run-fifo.entry",
        "run-link.entry",
        "run-nonsense.entry",
        "run-one.entry",
    ]
    nonsense.close()
    registration.close()


def test_without_a_directory(tmp_path: Path) -> None:
    """Where nothing can be written nobody is found, any name will do, and registering says why."""
    (tmp_path / "file").write_text("")
    nowhere = (Place(str(tmp_path), "file", private=False),)
    assert free_name("job", nowhere) == "job"
    assert live(nowhere) == []
    sweep(nowhere)
    with pytest.raises(KernelFileError, match="somebody put something else there"):
        register(entry("job"), nowhere)


def test_no_descriptor_is_inherited_or_left(places: tuple[Place, ...]) -> None:
    """All descriptors are closed on exec, and gone when the run is over."""
    before = set(os.listdir("/proc/self/fd"))
    registration = register(entry(free_name("one", places)), places)
    registration.update(entry("one"))
    opened = set(os.listdir("/proc/self/fd")) - before
    assert not any(os.get_inheritable(int(fd)) for fd in opened if os.path.exists(f"/dev/fd/{fd}"))
    live(places)
    sweep(places)
    registration.close()
    assert len(os.listdir("/proc/self/fd")) == len(before)


def bound(path: str, backlog: int | None = 1) -> socket.socket:
    """A socket at `path`, which may be longer than an address can be; None: it does not listen."""
    directory = os.open(os.path.dirname(path), os.O_RDONLY)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.bind(f"/proc/self/fd/{directory}/{os.path.basename(path)}")
    os.close(directory)
    if backlog is not None:
        made.listen(backlog)
    return made


def test_deaf_sockets_are_swept(places: tuple[Place, ...]) -> None:
    """A socket where nobody listens goes; those of living runs stay, be they still starting."""
    path = places[0].path
    registration = register(entry("one", socket_path=f"{path}/one.1.sock"), places)
    bound(f"{path}/one.1.sock").close()  # listed: not looked at
    bound(f"{path}/one.0.sock").close()  # of an earlier run of that name
    bound(f"{path}/gone.7.sock").close()
    starting = free_name("starting", places)
    not_yet = bound(f"{path}/{starting}.8.sock", None)
    deaf_but_claimed = register(entry("silent"), places)
    bound(f"{path}/silent.9.sock").close()
    answering = bound(f"{path}/stranger.5.sock")
    Path(path, "file.3.sock").write_text("no socket")
    sweep(places)
    assert files(places[0]) == [
        "file.3.sock",
        "one.1.sock",
        "run-one.entry",
        "run-silent.entry",
        "run-starting.entry",
        "silent.9.sock",
        "starting.8.sock",
        "stranger.5.sock",
    ]
    for made in (not_yet, answering, registration, deaf_but_claimed):
        made.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a file away needs root")
def test_a_foreign_file_is_nobodys_run(places: tuple[Place, ...]) -> None:
    """What somebody else put into the directory is neither read nor removed."""
    registration = register(entry("one"), places)
    os.chown(os.path.join(places[0].path, "run-one.entry"), NOBODY, NOBODY)
    assert live(places) == []
    os.chown(os.path.join(places[0].path, "run-one.entry"), 0, 0)
    die(registration)
    os.chown(os.path.join(places[0].path, "run-one.entry"), NOBODY, NOBODY)
    sweep(places)
    assert files(places[0]) == ["run-one.entry"]
