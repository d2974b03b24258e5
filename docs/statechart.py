"""The stop in Markdown: the escalation table, its words, and a state diagram.

Everything is read from sentinel/policy/escalation.py; only what the names mean is told here,
one sentence for each, and a name without a sentence is an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sentinel.config.resolve import DEFAULT_GRACE
from sentinel.guard.durations import GIVE_UP_AFTER, RETRY_AFTER
from sentinel.model.actions import Action, Arm, Disarm, Do
from sentinel.model.events import ELAPSED, Happening, Timer
from sentinel.model.outcome import Exited, Signalled, Verdict
from sentinel.model.signals import SIGKILL
from sentinel.policy import escalation
from sentinel.policy.escalation import STOPPING, TABLE, Escalation, State

STATES = {
    State.STARTING: "The enclosure exists, the command has not been executed yet.",
    State.WATCHING: "The quiet life: the wire is armed and nothing wakes the guard.",
    State.PRESSED: "Over the limit; the wire is lifted and the patience of `--for` runs.",
    State.TERMINATING: "Asked to stop; the grace runs.",
    State.LINGERING: "The main process is gone, the others were asked; the same grace runs.",
    State.KILLING: "Killed, again and again, until nobody is left or the kernel cannot.",
    State.DONE: "Over; the outcome is known.",
}

HAPPENINGS = {
    Happening.STARTED: "The command was executed inside its enclosure.",
    Happening.SOFT_CROSSED: "The trigger rule found the counted memory over `--limit`.",
    Happening.SOFT_CLEARED: "It is 3 % under the limit again.",
    Happening.HARD_CROSSED: "Out of memory at the wall; in `rss`, seen over `--hard-limit`.",
    Happening.STOP_REQUESTED: "Somebody asked Sentinel for a polite stop.",
    Happening.KILL_REQUESTED: "Somebody asked for the end now.",
    Happening.MAIN_EXITED: "The main process ended, and others are left.",
    Happening.EMPTIED: "The main process ended, and nobody is left.",
    Happening.DEGRADED: "The backend sees less than before: of the memory, or of the forks.",
    Happening.TIMEOUT_ELAPSED: "`--timeout` has passed since the exec.",
    Happening.PATIENCE_ELAPSED: "It has been over the limit for `--for`; at once by default.",
    Happening.GRACE_ELAPSED: "`--grace` has passed since the polite signal.",
    Happening.RETRY_ELAPSED: "Killed, and still not empty.",
    Happening.GIVE_UP_ELAPSED: "What still lives cannot be killed.",
}

DURATIONS = {
    Timer.TIMEOUT: "`--timeout`; without it the timer is never armed",
    Timer.PATIENCE: "`--for`, 0 by default: elapses at once",
    Timer.GRACE: f"`--grace`, {DEFAULT_GRACE:g} s by default",
    Timer.RETRY: f"{RETRY_AFTER:g} s",
    Timer.GIVE_UP: f"{GIVE_UP_AFTER:g} s",
}

ACTIONS = {
    Do.LIFT_WIRE: "`memory.high=max`: the soft limit cannot brake any more.",
    Do.ARM_WIRE: "`memory.high` is the soft limit again.",
    Do.ASK_TO_STOP: "`--signal`, then CONT, to every process that was not asked before.",
    Do.KILL_ALL: "`cgroup.kill`; in `rss`, SIGKILL to the whole family.",
    Do.FINISH: "Read the last counters, remove what was made, and tell the outcome.",
}


def sections() -> str:
    """Everything of docs/escalation.md that follows from the table."""
    parts = (
        ("The picture", _picture()),
        ("The laws", _laws()),
        ("States", _states()),
        (
            "Events",
            _table(
                ("event", "what happened"), [(what.value, HAPPENINGS[what]) for what in Happening]
            ),
        ),
        ("Timers", _timers()),
        (
            "Actions",
            _table(("action", "what is done"), [(what.value, ACTIONS[what]) for what in Do]),
        ),
        ("The table", _transitions()),
        ("Cells that change nothing", _ignored()),
        ("Whom the verdict blames", _blames()),
    )
    return "\n\n".join(f"## {title}\n\n{text}" for title, text in parts)


def _picture() -> str:
    """Draw one arrow for each pair of states, with the events that take it.

    What would cover the picture stands in the boxes instead: an event that leads from every
    earlier state to the same one (its arrow comes from the state before), and what a state
    answers without being left.
    """
    anywhere = {happening: to for happening in Happening if (to := _from_anywhere(happening))}
    arrows: dict[tuple[State, State], list[str]] = {}
    for state, row in TABLE.items():
        for happening, (after, actions) in row.items():
            far = happening in anywhere and _ORDER.index(state) + 1 != _ORDER.index(after)
            if actions and after is not state and not far:
                arrows.setdefault((state, after), []).append(happening.value)
    lines = ["stateDiagram-v2", *(_box(state, anywhere) for state in State)]
    lines.append(f"    [*] --> {_ORDER[0].name}")
    lines += [
        f"    {before.name} --> {after.name}: {'<br/>'.join(events)}"
        for (before, after), events in arrows.items()
    ]
    lines.append(f"    {State.DONE.name} --> [*]")
    return "\n".join(["```mermaid", *lines, "```"])


def _box(state: State, anywhere: dict[Happening, State]) -> str:
    arriving = [happening.value for happening, after in anywhere.items() if after is state]
    staying = [
        happening.value
        for happening, (after, actions) in TABLE[state].items()
        if after is state and actions
    ]
    words = [state.name]
    words += ["<i>from every state above:</i>", *arriving] if arriving else []
    words += ["<i>without leaving it:</i>", *staying] if staying else []
    return f'    state "{"<br/>".join(words)}" as {state.name}'


_ORDER = list(State)


def _from_anywhere(happening: Happening) -> State | None:
    """The state to which `happening` leads from every state before it, and from no other."""
    ways = {state: row[happening][0] for state, row in TABLE.items() if row[happening][1]}
    for target in set(ways.values()):
        earlier = _ORDER[: _ORDER.index(target)]
        if len(earlier) > 1 and ways == dict.fromkeys(earlier, target):
            return target
    return None


def _laws() -> str:
    """Take the numbered lines of the policy's own docstring."""
    lines = (escalation.__doc__ or "").splitlines()
    laws = [line for line in lines if line[:1].isdigit() and line[1:3] == ". "]
    if not laws:
        raise AssertionError("no numbered laws in the docstring of sentinel/policy/escalation.py")
    return "\n".join(laws)


def _states() -> str:
    return _table(
        ("state", "what it means", "a stop is under way"),
        ((state.name, STATES[state], "yes" if state in STOPPING else "no") for state in State),
    )


def _events() -> str:
    rows = ((happening.value, HAPPENINGS[happening]) for happening in Happening)
    return _table(("event", "what happened"), rows)


def _actions() -> str:
    return _table(("action", "what is done"), ((order.value, ACTIONS[order]) for order in Do))


def _timers() -> str:
    armed: dict[Timer, list[str]] = {timer: [] for timer in Timer}
    for state, row in TABLE.items():
        for after, actions in row.values():
            for action in actions:
                name = after.name if after is not state else f"{after.name} again"
                if isinstance(action, Arm) and name not in armed[action.timer]:
                    armed[action.timer].append(name)
    return _table(
        ("timer", "how long", "armed on entering", "its event"),
        (
            (timer.value, DURATIONS[timer], ", ".join(armed[timer]), ELAPSED[timer].value)
            for timer in Timer
        ),
    )


def _transitions() -> str:
    return _table(
        ("state", "event", "next state", "actions, in order"),
        (
            (state.name, happening.value, after.name, ", ".join(map(_action, actions)) or "none")
            for state, row in TABLE.items()
            for happening, (after, actions) in row.items()
            if after is not state or actions
        ),
    )


def _ignored() -> str:
    """Summarise each state's empty cells; they are in the table so that it is total."""
    lines = []
    for state, row in TABLE.items():
        quiet = [what.value for what in Happening if row[what] == (state, ())]
        everything = len(quiet) == len(Happening)
        lines.append(f"- {state.name}: {'everything' if everything else ', '.join(quiet)}")
    return "\n".join(lines)


def _blames() -> str:
    """Walk from the quiet life into a stop by each event; ask the policy for the verdicts."""
    rows = []
    for happening in Happening:
        run = _stopped_by(happening)
        if run is not None and run.cause not in (None, Verdict.EXITED):
            polite, killed = _verdicts(happening)
            rows.append((happening.value, f"`{polite.value}`", f"`{killed.value}`"))
    return _table(("what began the stop", "ended in the grace", "had to be killed"), rows)


def _stopped_by(happening: Happening) -> Escalation | None:
    """A run whose stop was begun by `happening`; None when that begins no stop."""
    run = Escalation()
    run.feed(Happening.STARTED)
    if happening is Happening.PATIENCE_ELAPSED:
        run.feed(Happening.SOFT_CROSSED)
    run.feed(happening)
    return run if run.state in STOPPING else None


def _verdicts(happening: Happening) -> tuple[Verdict, Verdict]:
    """Verdicts for a main process that ended by itself, and for one that was killed."""
    found = []
    for more, status in (((), Exited(0)), ((Happening.GRACE_ELAPSED,), Signalled(SIGKILL))):
        run = _stopped_by(happening)
        if run is None:
            raise AssertionError(happening)
        for event in (*more, Happening.EMPTIED):
            run.feed(event)
        found.append(run.verdict(status))
    return found[0], found[1]


def _action(action: Action) -> str:
    if isinstance(action, Arm):
        return f"arm {action.timer.value}"
    if isinstance(action, Disarm):
        return f"disarm {action.timer.value}"
    return action.value


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
