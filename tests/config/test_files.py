"""The configuration files: where they are looked for, what they may say, and every refusal."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from sentinel.config.files import SYSTEM_FILE, load, locations
from sentinel.config.sources import Word
from sentinel.model.errors import EXIT_USAGE, UsageFault

KEYS = (
    "limit, hard-limit, swap, grace, signal, for, timeout, count, backend, pids, cpus, "
    "socket, allow-uid, metrics, metrics-address, metrics-linger, dashboard"
)


@pytest.mark.parametrize(
    ("environment", "user"),
    [
        ({"HOME": "/home/u"}, "/home/u/.config/sentinel/config.toml"),
        ({"HOME": "/home/u", "XDG_CONFIG_HOME": "/x"}, "/x/sentinel/config.toml"),
        ({"XDG_CONFIG_HOME": "/x"}, "/x/sentinel/config.toml"),
        ({"HOME": "/home/u", "XDG_CONFIG_HOME": ""}, "/home/u/.config/sentinel/config.toml"),
        ({"HOME": "/home/u", "XDG_CONFIG_HOME": "rel"}, "/home/u/.config/sentinel/config.toml"),
    ],
)
def test_the_users_file_outweighs_the_machines(environment: dict[str, str], user: str) -> None:
    """The user's file comes after the machine's, under an absolute XDG_CONFIG_HOME or HOME."""
    assert locations(environment) == (SYSTEM_FILE, user)


@pytest.mark.parametrize("environment", [{}, {"HOME": ""}, {"HOME": ".", "XDG_CONFIG_HOME": "."}])
def test_the_working_directory_is_never_asked(environment: dict[str, str]) -> None:
    """Without an absolute path there is no user's file."""
    assert locations(environment) == (SYSTEM_FILE,)


def test_every_setting_can_stand_in_a_file(tmp_path: Path) -> None:
    """Strings and numbers are taken as if they had been typed."""
    path = tmp_path / "config.toml"
    path.write_text(
        """
        limit = "200M"
        hard-limit = 314572800
        swap = 0
        grace = 1.5
        signal = 15
        for = "1s"
        timeout = 60
        count = "anon"
        backend = "cgroup"
        pids = 50
        cpus = 2
        """
    )
    texts = {
        "limit": "200M",
        "hard-limit": "314572800",
        "swap": "0",
        "grace": "1.5",
        "signal": "15",
        "for": "1s",
        "timeout": "60",
        "count": "anon",
        "backend": "cgroup",
        "pids": "50",
        "cpus": "2",
    }
    assert load(str(path)) == {key: Word(text, f"{path}: {key}") for key, text in texts.items()}


@pytest.mark.parametrize("path", ["absent/config.toml", "plain/config.toml"])
def test_a_file_that_is_not_there_says_nothing(tmp_path: Path, path: str) -> None:
    """Neither is one below something that is no directory."""
    (tmp_path / "plain").write_text("")
    assert load(str(tmp_path / path)) == {}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (b"limits = 1", "{path}: unknown key 'limits'; did you mean 'limit'?"),
        (b"hard_limit = 1", "{path}: unknown key 'hard_limit'; did you mean 'hard-limit'?"),
        (b"name = 'x'", f"{{path}}: unknown key 'name'; the keys are {KEYS}"),
        (b"[unit]\nx = 1", f"{{path}}: unknown key 'unit'; the keys are {KEYS}"),
        (
            b"limit = 1.5",
            "{path}: limit = 1.5 is of the wrong type; write a string in quotes or a whole number",
        ),
        (
            b"limit = true",
            "{path}: limit = true is of the wrong type; write a string in quotes or a whole number",
        ),
        (
            b"[limit]",
            (
                "{path}: limit = a table is of the wrong type; "
                "write a string in quotes or a whole number"
            ),
        ),
        (
            b"grace = ['3s']",
            "{path}: grace = an array is of the wrong type; write a string in quotes or a number",
        ),
        (b"pids = 0x" + b"f" * 5000, "{path}: pids is a number of 20000 bits; use fewer"),
        (b"backend = 0x" + b"f" * 5000, "{path}: backend is a number of 20000 bits; use fewer"),
        (b"pids = '5'", "{path}: pids = '5' is of the wrong type; write a whole number"),
        (b"cpus = '5'", "{path}: cpus = '5' is of the wrong type; write a number"),
        (
            b"backend = 2000-01-01",
            ("{path}: backend = 2000-01-01 is of the wrong type; write a string in quotes"),
        ),
        (
            b"limit = 200M",
            (
                "{path} is not valid TOML: Expected newline or end of document after a statement "
                "(at line 1, column 12); correct or remove it"
            ),
        ),
        (
            b"\xff = 1",
            (
                "{path} is not valid TOML: 'utf-8' codec can't decode byte 0xff in position 0: "
                "invalid start byte; correct or remove it"
            ),
        ),
        (
            b"#" * ((1 << 20) + 1),
            "cannot read {path}: larger than 1M; make it a readable file or remove it",
        ),
    ],
)
def test_a_file_that_says_nonsense_is_refused(tmp_path: Path, text: bytes, line: str) -> None:
    """One line that names file, key, value and remedy; exit status 2."""
    path = tmp_path / "config.toml"
    path.write_bytes(text)
    with pytest.raises(UsageFault) as caught:
        load(str(path))
    assert str(caught.value) == line.format(path=path)
    assert caught.value.exit_status == EXIT_USAGE


def test_deep_nesting_is_no_traceback(tmp_path: Path) -> None:
    """A file that exhausts the parser is refused like any other nonsense."""
    path = tmp_path / "config.toml"
    path.write_text("limit = " + "[" * 100_000)
    with pytest.raises(UsageFault) as caught:
        load(str(path))
    assert caught.value.message.startswith(f"{path} is not valid TOML: ")


@pytest.mark.parametrize("kind", ["directory", "fifo"])
def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path, kind: str) -> None:
    """A FIFO that nobody writes to must not hold up the start."""
    path = tmp_path / "config.toml"
    if kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises(UsageFault) as caught:
        load(str(path))
    assert str(caught.value) == (
        f"cannot read {path}: not a regular file; make it a readable file or remove it"
    )


def test_a_link_to_itself_is_refused(tmp_path: Path) -> None:
    """Errors of the file system are said in its own words."""
    path = tmp_path / "config.toml"
    path.symlink_to(path)
    with pytest.raises(UsageFault) as caught:
        load(str(path))
    assert str(caught.value) == (
        f"cannot read {path}: Too many levels of symbolic links; "
        "make it a readable file or remove it"
    )


def _denied(path: str, *_: object, **__: object) -> int:
    raise PermissionError(errno.EACCES, "Permission denied", path)


def test_a_file_of_others_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands there and would be heeded, so that to pass over it in silence would be wrong."""
    path = tmp_path / "config.toml"
    path.touch()
    monkeypatch.setattr(os, "open", _denied)
    with pytest.raises(UsageFault) as caught:
        load(str(path))
    assert str(caught.value) == (
        f"cannot read {path}: Permission denied; make it a readable file or remove it"
    )


def test_where_nothing_can_be_seen_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A HOME of somebody else's, as after setpriv(1), need not have such a file at all."""
    monkeypatch.setattr(os, "open", _denied)
    monkeypatch.setattr(os, "stat", _denied)
    assert load(str(tmp_path / "config.toml")) == {}
