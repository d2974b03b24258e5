"""Keys to orders: nothing is asked of a run without a y."""

from __future__ import annotations

import pytest

from sentinel.dashboard.asker import Address
from sentinel.dashboard.choice import Choice, Order, index, press
from sentinel.model.units import MIB
from tests.dashboard.boards import FROZEN, LEAK, OVER, RUNS

NOTHING = Choice()
ADDRESS = Address("/run/x.sock", 1000)


def typed(keys: list[str], choice: Choice = NOTHING) -> tuple[Choice, list[Order]]:
    """The choice and the orders after `keys`."""
    orders = []
    for key in keys:
        choice, order = press(choice, key, RUNS)
        orders += [order] if order else []
    return choice, orders


@pytest.mark.parametrize(
    ("keys", "question", "order"),
    [
        (["s"], "stop leaker: its signal, then its grace?", Order("leaker", ADDRESS, "stop")),
        (["k"], "kill leaker now, without a grace?", Order("leaker", ADDRESS, "kill")),
        (["f"], "freeze leaker?", Order("leaker", ADDRESS, "freeze")),
        (["down", "f"], "let frozen go on?", Order("frozen", ADDRESS, "thaw")),
        (
            ["+"],
            "raise the limit of leaker from 200M to 220M?",
            Order("leaker", ADDRESS, f"limit {220 * MIB}"),
        ),
        (
            ["end", "-"],
            "lower the limit of over from 200M to 180M?",
            Order("over", ADDRESS, f"limit {180 * MIB}"),
        ),
    ],
)
def test_orders(keys: list[str], question: str, order: Order) -> None:
    """Each is asked back; y gives it, n does not, other keys change nothing."""
    asked, orders = typed(keys)
    assert (asked.question, orders) == (question, [])
    assert typed(["x", "up"], asked) == (asked, [])
    left, orders = typed(["n"], asked)
    assert (left.question, left.message, orders) == ("", "left alone", [])
    given, orders = typed(["y"], asked)
    assert (given.question, orders) == ("", [order])
    assert typed(["y"], given)[1] == []


def test_a_long_name_leaves_room_for_the_question() -> None:
    """It is cut, so that what is asked can be read in 80 columns; the order is for the whole."""
    name = "x" * 64
    asked, _ = press(NOTHING, "+", (LEAK._replace(name=name),))
    short = "x" * 21 + "..."
    assert asked.question == f"raise the limit of {short} from 200M to 220M?"
    assert asked.order is not None
    assert asked.order.name == name
    assert press(asked, "y", RUNS)[0].message == f"{short}: asked"


@pytest.mark.parametrize("key", ["escape", "q", "interrupt", "enter", "N"])
def test_a_question_is_left_by_everything_that_means_no(key: str) -> None:
    """No order, and the dashboard stays."""
    asked, _ = typed(["k"])
    assert typed([key], asked) == (Choice(key="leaker", message="left alone"), [])


def test_moving() -> None:
    """Up and down stop at the ends."""
    assert typed(["up"])[0].key == "leaker"
    assert typed(["down", "down", "down"])[0].key == "over"
    assert typed(["end", "home"])[0].key == "leaker"
    assert typed(["page down"])[0].key == "over"


def test_the_selected_run_is_followed() -> None:
    """By who it is, not by where it stands; when it is gone, the first one is selected."""
    choice = Choice(key="over")
    assert index(choice, (OVER, LEAK)) == 0
    assert index(choice, (LEAK, FROZEN, OVER)) == 2
    assert index(choice, (LEAK, FROZEN)) == 0


def test_what_cannot_be_asked() -> None:
    """No run, a run that is over, and one without a socket say why; a limit has a least size."""
    assert press(Choice(), "s", ())[0].message == "there is no run to ask"
    over = LEAK._replace(ended="exited")
    assert press(Choice(), "s", (over,))[0].message == "there is no run to ask"
    deaf = LEAK._replace(socket="")
    expected = "leaker has no socket: it was started with --no-socket"
    assert press(Choice(), "s", (deaf,))[0].message == expected
    assert LEAK.status is not None
    small = LEAK._replace(status=LEAK.status._replace(limits=LEAK.status.limits._replace(soft=MIB)))
    assert press(Choice(), "-", (small,))[0].message == "a limit under 1M is refused"


def test_help_is_left_by_any_key() -> None:
    """Which then does nothing else."""
    shown, _ = typed(["?"])
    assert shown.help
    assert typed(["k"], shown) == (Choice(key="leaker"), [])
