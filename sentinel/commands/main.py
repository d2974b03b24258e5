"""The entry point: which verb, and how every way to fail becomes one line and a status.

PYTHONPATH is meant for the command, and the command gets it. But this interpreter has read it,
too: only what Python itself had loaded by then is imported here before `own_modules_first`.
"""

from __future__ import annotations

import gc
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn

VERBS = {
    "completion": "sentinel.commands.completion",
    "doctor": "sentinel.commands.doctor",
    "events": "sentinel.commands.events",
    "exec": "sentinel.commands.exec",
    "freeze": "sentinel.commands.freeze",
    "grace": "sentinel.commands.grace",
    "kill": "sentinel.commands.kill",
    "limit": "sentinel.commands.limit",
    "ls": "sentinel.commands.ls",
    "metrics": "sentinel.commands.metrics",
    "reclaim": "sentinel.commands.reclaim",
    "status": "sentinel.commands.status",
    "stop": "sentinel.commands.stop",
    "thaw": "sentinel.commands.thaw",
    "top": "sentinel.commands.top",
    "tree": "sentinel.commands.tree",
}
"""Where the `command` of each verb is. Nothing is imported before it is used."""

COMPLETION = "_SENTINEL_COMPLETE"
"""Set by the shell functions of `sentinel completion`, whose question is in the environment."""

_OURS = frozenset({"-h", "--help", "--version"})

INTERRUPTED = -2
"""Ended by SIGINT: a negative status is a signal, as in subprocess."""


def main() -> NoReturn:
    """Run Sentinel and leave without the interpreter's teardown, which would cost a launch."""
    own_modules_first()
    fill_closed_descriptors()
    status = _status(sys.argv[1:])
    from sentinel.model.errors import EXIT_SENTINEL

    for stream in (sys.stdout, sys.stderr):
        # Either is None when Sentinel was started with it closed.
        if stream is not None:
            try:
                stream.flush()
            except OSError:
                status = status or EXIT_SENTINEL
    if status < 0:
        from sentinel.guard.supervisor import end_by

        end_by(-status)
    os._exit(status if status >= 0 else 128 - status)


def own_modules_first() -> None:
    """Look for modules where PYTHONPATH says only after Python's and Sentinel's own places.

    A guarded project's `select.py` or its `click` of another version is not what is meant here.
    """
    named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if named == [""]:
        return
    try:
        here = os.getcwd()
    except OSError:
        here = ""  # removed: what is relative to it leads nowhere
    theirs = {os.path.normpath(os.path.join(here, place)) for place in named}
    # The standard library, and where this package is: ours, whoever else names them.
    theirs -= {os.path.dirname(os.__file__), __file__.removesuffix("/sentinel/commands/main.py")}
    sys.path.sort(key=lambda place: place in theirs)


def fill_closed_descriptors() -> None:
    """Keep 0, 1 and 2 from being given to a file of ours.

    What fills them is close-on-exec, so that the command finds them closed as they were.
    """
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            # The lowest free number is `fd`. A place without /dev always has a root.
            try:
                os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            except OSError:
                os.open("/", os.O_PATH | os.O_CLOEXEC)


def _status(words: Sequence[str]) -> int:
    """The exit status for the command line `words`; whatever went wrong has been said.

    Negative: the signal to end by.
    """
    from sentinel.commands.console import LAST_WORD_MS, say
    from sentinel.model.errors import EXIT_SENTINEL, SentinelError

    try:
        return _dispatch(words)
    except SentinelError as error:
        say(str(error), LAST_WORD_MS)
        return error.exit_status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # `sentinel --help | head -1`: the reader has seen enough.
        return EXIT_SENTINEL
    except Exception as error:  # noqa: BLE001 - the last resort: no user is shown a traceback
        say(_internal(error), LAST_WORD_MS)
        return EXIT_SENTINEL


def _internal(error: Exception) -> str:
    """A fault of Sentinel's own in one line, with the place for whoever mends it."""
    import errno

    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return f"cannot open what Sentinel needs: {error.strerror}; raise ulimit -n"
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = f" at {frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame else ""
    return f"internal error: {type(error).__name__}: {error}{place}; please report it"


def _dispatch(words: Sequence[str]) -> int:
    """`sentinel VERB ...`, or `sentinel CMD ...` for `sentinel exec CMD ...`."""
    from sentinel.model.errors import UsageFault

    if not words:
        if COMPLETION in os.environ:
            from sentinel.commands.group import run

            return run([], VERBS)
        raise UsageFault("no command given", "write: sentinel exec CMD, or see sentinel --help")
    first = words[0]
    if first in VERBS or first in _OURS:
        verb, rest = first, words[1:]
    elif first.startswith("-") and first not in ("-", "--"):
        raise UsageFault(
            f"option {first!r} stands before the verb", f"write: sentinel exec {first} ..."
        )
    else:
        verb, rest = "exec", words
    if verb == "exec":
        guard = _guarding(rest)
        if guard is not None:
            return guard()
    from sentinel.commands.group import run

    return run([verb, *rest], VERBS)


def _guarding(words: Sequence[str]) -> Callable[[], int] | None:
    """What guards the command of a line for `exec`; None when click has something to explain.

    Modules that are being loaded leave no garbage, and looking for it was 5 % of a launch. They
    stay to the end, so they are not looked through later either (gc.freeze).
    """
    gc.disable()
    try:
        from sentinel.commands.words import read_words

        given = read_words(words)
        if given is None:
            return None
        from sentinel.commands.exec import execute

        return lambda: execute(given)
    finally:
        gc.freeze()
        gc.enable()
