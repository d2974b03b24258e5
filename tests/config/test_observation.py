"""What observers are given: the socket, who may speak, metrics, the dashboard."""

from __future__ import annotations

import os

import pytest

from sentinel.config.observation import LONGEST_SOCKET_PATH, observation
from sentinel.config.sources import gather
from sentinel.model.errors import EXIT_USAGE, UsageFault
from sentinel.model.spec import Observation

PORT = "use a number from 1 to 65535"
UID = "use numbers, as id -u shows them: 1000,1001"
LONGEST = "/" + "s" * (LONGEST_SOCKET_PATH - 1)


def asked(
    given: dict[str, str], *flags: str, environment: dict[str, str] | None = None
) -> Observation:
    """What the options and the environment ask for."""
    return observation(gather(given, environment or {}), frozenset(flags))


def test_nothing_asked_for_is_a_socket_and_nothing_else() -> None:
    """No port is opened, no dashboard shown, and nobody but the owner and root may speak."""
    assert asked({}) == Observation(
        socket=True,
        socket_path="",
        allow_uids=frozenset(),
        metrics=None,
        metrics_address="127.0.0.1",
        metrics_linger=15.0,
        dashboard=False,
    )


def test_everything_can_be_asked_for() -> None:
    """Each word comes to be what it says."""
    given = {
        "socket": "/tmp/worker.socket",
        "allow-uid": "1000, 1001",
        "metrics": "9000",
        "metrics-address": "::1",
        "metrics-linger": "1m",
        "dashboard": "yes",
    }
    assert asked(given) == Observation(
        socket=True,
        socket_path="/tmp/worker.socket",
        allow_uids=frozenset({1000, 1001}),
        metrics=9000,
        metrics_address="::1",
        metrics_linger=60.0,
        dashboard=True,
    )


def test_a_socket_is_where_the_working_directory_was(
    tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path is resolved at once: others look for it from elsewhere."""
    monkeypatch.chdir(tmp_path)
    assert asked({"socket": "worker.socket"}).socket_path == f"{tmp_path}/worker.socket"


def test_no_socket_outweighs_the_environment_but_not_its_own_option() -> None:
    """On one command line the two contradict each other; a default may be put aside."""
    assert not asked({}, "no-socket", environment={"SENTINEL_SOCKET": "/tmp/x"}).socket
    with pytest.raises(UsageFault) as caught:
        asked({"socket": "/tmp/x"}, "no-socket")
    assert str(caught.value) == "--socket and --no-socket contradict each other; give one of them"


@pytest.mark.parametrize(
    ("text", "port"),
    [("1", 1), ("65535", 65535), (" 8000 ", 8000), ("off", None), ("No", None), ("none", None)],
)
def test_metrics_are_a_port_or_off(text: str, port: int | None) -> None:
    """So that a port of the configuration can be put aside for one run."""
    assert asked({"metrics": text}).metrics == port


@pytest.mark.parametrize(("text", "uids"), [("0", {0}), ("4294967294", {(1 << 32) - 2})])
def test_user_ids_are_what_linux_can_hold(text: str, uids: set[int]) -> None:
    """4294967295 is -1 to the kernel, which means nobody."""
    assert asked({"allow-uid": text}).allow_uids == uids


def test_the_longest_path_of_a_socket() -> None:
    """sun_path holds 107 bytes and a NUL (unix(7))."""
    assert asked({"socket": LONGEST}).socket_path == LONGEST


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("socket", "", "'' is no path; use a path like /tmp/worker.socket"),
        ("socket", "a\0b", "'a\\x00b' is no path; use a path like /tmp/worker.socket"),
        (
            "socket",
            LONGEST + "s",
            f"'{LONGEST}s' is longer than the 107 bytes of a socket's path; use a shorter one",
        ),
        ("allow-uid", "root", f"'root' is no user id; {UID}"),
        ("allow-uid", "1000,,1001", f"'' is no user id; {UID}"),
        ("allow-uid", "-1", f"'-1' is no user id; {UID}"),
        ("allow-uid", "4294967295", f"'4294967295' is no user id; {UID}"),
        ("allow-uid", "9" * 5000, f"'{'9' * 5000}' is no user id; {UID}"),
        ("allow-uid", "\u0661", f"'\u0661' is no user id; {UID}"),
        ("metrics", "0", f"'0' is no TCP port; {PORT}"),
        ("metrics", "65536", f"'65536' is no TCP port; {PORT}"),
        ("metrics", "http", f"'http' is no TCP port; {PORT}"),
        (
            "metrics-address",
            "localhost",
            "'localhost' is no address of a network interface; use 127.0.0.1, 0.0.0.0 or ::1",
        ),
        ("dashboard", "maybe", "'maybe' is neither yes nor no; use yes or no"),
    ],
)
def test_nonsense_is_refused(name: str, text: str, said: str) -> None:
    """One line with the option, the value and the remedy; exit status 2."""
    with pytest.raises(UsageFault) as caught:
        asked({name: text})
    assert str(caught.value) == f"--{name}: {said}"
    assert caught.value.exit_status == EXIT_USAGE
