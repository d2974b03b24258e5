"""The configuration files: where they are, and what stands in them.

/etc/sentinel/config.toml, then $XDG_CONFIG_HOME/sentinel/config.toml (XDG Base Directory
Specification: a relative path is ignored). Never the working directory: a downloaded
project must not decide how its own programs are guarded.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping

from sentinel.config.options import IN_FILES
from sentinel.config.sources import Word, Words
from sentinel.model.errors import UsageFault

SYSTEM_FILE = "/etc/sentinel/config.toml"

LARGEST_FILE = 1 << 20
"""Bytes. A configuration of more is something else."""

MOST_BITS = 128
"""Of a number: twice as many as the kernel counts in."""


def locations(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Paths of the files that may exist, the weakest first."""
    base = environment.get("XDG_CONFIG_HOME", "")
    if not base.startswith("/"):
        home = environment.get("HOME", "")
        base = f"{home}/.config" if home.startswith("/") else ""
    return (SYSTEM_FILE, f"{base}/sentinel/config.toml") if base else (SYSTEM_FILE,)


def load(path: str) -> Words:
    """The settings in the TOML file at `path`; none when there is no file.

    Raises UsageFault when it cannot be read, is no TOML, or says what no option means.
    """
    data = _read(path)
    if data is None:
        return {}
    import tomllib

    try:
        table = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise UsageFault(f"{path} is not valid TOML: {error}", "correct or remove it") from None
    return {key: _word(path, key, value) for key, value in table.items()}


def _read(path: str) -> bytes | None:
    """The bytes of a regular file; None when it does not exist."""
    try:
        # Not blocking, for a FIFO that stands in the file's place.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        # A HOME that is not ours (/root after setpriv) hides whether there is a file: no word.
        if not _is_visible(path):
            return None
        raise _unreadable(path, error.strerror) from None
    except OSError as error:
        raise _unreadable(path, error.strerror) from None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise _unreadable(path, "not a regular file")
        data = os.read(fd, LARGEST_FILE + 1)
    except OSError as error:
        raise _unreadable(path, error.strerror) from None
    finally:
        os.close(fd)
    if len(data) > LARGEST_FILE:
        raise _unreadable(path, "larger than 1M")
    return data


def _is_visible(path: str) -> bool:
    """Whether the directories let us see that something stands at `path`."""
    try:
        os.stat(path)
    except PermissionError:
        return False
    return True


def _unreadable(path: str, reason: str | None) -> UsageFault:
    return UsageFault(f"cannot read {path}: {reason}", "make it a readable file or remove it")


def _word(path: str, key: str, value: object) -> Word:
    """One setting, if the option exists and takes a value of that type."""
    option = IN_FILES.get(key)
    if option is None:
        raise UsageFault(f"{path}: unknown key {key!r}", _nearest(key))
    if isinstance(value, int) and value.bit_length() > MOST_BITS:
        # Python refuses to write out what a file may say in hexadecimal.
        raise UsageFault(f"{path}: {key} is a number of {value.bit_length()} bits", "use fewer")
    # A bool is an int to Python, and means something to few settings.
    stray = isinstance(value, bool) and bool not in option.types
    if stray or not isinstance(value, option.types):
        raise UsageFault(
            f"{path}: {key} = {_shown(value)} is of the wrong type",
            f"write {_expected(option.types)}",
        )
    return Word(str(value), f"{path}: {key}")


def _shown(value: object) -> str:
    """A TOML value for an error line."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "an array"
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, str) else str(value)


def _expected(types: tuple[type, ...]) -> str:
    """Say in words which TOML types a setting takes."""
    words = {
        str: "a string in quotes",
        int: "a whole number",
        float: "a number",
        bool: "true or false",
    }
    return " or ".join(words[kind] for kind in types if kind is not int or float not in types)


def _nearest(key: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(key, IN_FILES, n=1, cutoff=0.7)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"the keys are {', '.join(IN_FILES)}"
