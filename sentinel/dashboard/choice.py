"""What a key means: which run is selected, what is asked back, what is then asked of the run.

Pure: a key and what is known go in, a new choice comes out, with at most one order.
"""

from __future__ import annotations

from typing import NamedTuple

from sentinel.dashboard.asker import Address
from sentinel.dashboard.board import Watched
from sentinel.model.units import SMALLEST_LIMIT, format_size

PAGE = 10
STEP = 10
"""Percent of the soft limit that + and - change."""

LONGEST_NAME = 24
"""Characters of a run's name in a question: in 80 columns the rest of it must have room."""


class Order(NamedTuple):
    """A line for the socket of a run."""

    name: str
    address: Address
    line: str


class Choice(NamedTuple):
    """What the user is at. `key` is that of the selected run; `order` waits for a y."""

    key: str = ""
    question: str = ""
    order: Order | None = None
    message: str = ""
    help: bool = False


def index(choice: Choice, runs: tuple[Watched, ...]) -> int:
    """Where the selected run stands; the first run when it is gone."""
    return next((at for at, run in enumerate(runs) if run.key == choice.key), 0)


def press(choice: Choice, key: str, runs: tuple[Watched, ...]) -> tuple[Choice, Order | None]:
    """The choice after `key`, and the order that it confirmed."""
    if choice.question:
        return _answer(choice, key)
    if choice.help:
        return choice._replace(help=False), None
    at = index(choice, runs)
    choice = choice._replace(message="", key=runs[at].key if runs else "")
    if key == "?":
        return choice._replace(help=True), None
    if key in _MOVES and runs:
        to = min(len(runs) - 1, max(0, at + _MOVES[key]))
        return choice._replace(key=runs[to].key), None
    if key in ("s", "k", "f", "+", "=", "-"):
        return _ask_back(choice, key, runs[at] if runs else None), None
    return choice, None


def brief(name: str) -> str:
    """`name` for a line that must say more than it: a long one is cut."""
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 3] + "..."


_FAR = 1_000_000
_MOVES = {"up": -1, "down": 1, "page up": -PAGE, "page down": PAGE, "home": -_FAR, "end": _FAR}


def _answer(choice: Choice, key: str) -> tuple[Choice, Order | None]:
    if key in ("y", "Y") and choice.order is not None:
        name = brief(choice.order.name)
        asked = choice._replace(question="", order=None, message=f"{name}: asked")
        return asked, choice.order
    if key in ("n", "N", "escape", "enter", "q", "interrupt"):
        return choice._replace(question="", order=None, message="left alone"), None
    return choice, None


def _ask_back(choice: Choice, key: str, run: Watched | None) -> Choice:
    if run is None or run.ended:
        return choice._replace(message="there is no run to ask")
    name = brief(run.name)
    if not run.socket:
        return choice._replace(message=f"{name} has no socket: it was started with --no-socket")
    if key in ("+", "=", "-"):
        return _ask_limit(choice, run, -STEP if key == "-" else STEP)
    line, question = {
        "s": ("stop", f"stop {name}: its signal, then its grace?"),
        "k": ("kill", f"kill {name} now, without a grace?"),
        "f": ("freeze", f"freeze {name}?"),
    }[key]
    if key == "f" and run.status is not None and run.status.frozen:
        line, question = "thaw", f"let {name} go on?"
    order = Order(run.name, Address(run.socket, run.uid), line)
    return choice._replace(question=question, order=order)


def _ask_limit(choice: Choice, run: Watched, percent: int) -> Choice:
    name = brief(run.name)
    if run.status is None:
        return choice._replace(message=f"the limit of {name} is not known yet")
    old = run.status.limits.soft
    new = old + old * percent // 100
    if new < SMALLEST_LIMIT:
        return choice._replace(message=f"a limit under {format_size(SMALLEST_LIMIT)} is refused")
    verb = "raise" if new > old else "lower"
    question = f"{verb} the limit of {name} from {format_size(old)} to {format_size(new)}?"
    order = Order(run.name, Address(run.socket, run.uid), f"limit {new}")
    return choice._replace(question=question, order=order)
