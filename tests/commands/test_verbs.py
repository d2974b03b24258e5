"""The verbs that talk to a run: which run, what it is asked, what is shown, which status."""

from __future__ import annotations

import io
import json
import os
import sys
import threading
from collections.abc import Callable

import pytest

from sentinel.commands import asking, ls, main
from sentinel.control import registry
from tests.commands.conftest import Played

pytestmark = pytest.mark.native

Play = Callable[..., Played]
Said = tuple[int, str, str]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Run `sentinel WORDS`; its status, stdout, and stderr."""

    def sentinel(*words: str) -> Said:
        capfd.readouterr()
        status = main._status(words)  # noqa: SLF001 - what main() does but for ending the process
        return (status, *capfd.readouterr())

    return sentinel


Run = Callable[..., Said]
DONE = '{"schema":1,"name":"one","answer":"stopping one: sent SIGTERM, 3s to finish"}\n'
VERBS = ("status", "stop", "kill", "freeze", "thaw", "reclaim", "tree", "events")


@pytest.mark.parametrize("words", [*((verb,) for verb in VERBS), ("limit", "1G"), ("grace", "1s")])
def test_without_such_a_run(play: Play, run: Run, words: tuple[str, ...]) -> None:
    """Status 3 and one line: that there is none, or which there are."""
    assert run(*words) == (3, "", "sentinel: no run is live; start one: sentinel exec CMD\n")
    line = "sentinel: no run called 'two' is live, nor any other\n"
    assert run(*words, "two") == (3, "", line)
    play("one")
    play("a\tb")
    line = "sentinel: no run called 'two' is live; live: one, a\\tb\n"
    assert run(*words, "two") == (3, "", line)
    assert run(*words, "two", "--json") == (3, "", line)


@pytest.mark.parametrize("verb", ["stop", "kill", "freeze", "thaw", "tree", "events"])
def test_with_several_runs_one_must_be_named(play: Play, run: Run, verb: str) -> None:
    """Nobody is asked when the name is missing and more than one could be meant."""
    runs = [play("one"), play("two")]
    line = f"sentinel: 2 runs are live: one, two; name one, like: sentinel {verb} one\n"
    assert run(verb) == (2, "", line)
    assert [played.heard for played in runs] == [[], []]


def test_the_remedy_keeps_the_quantity(play: Play, run: Run) -> None:
    """What is suggested can be typed as it is."""
    play("one")
    play("two")
    line = "sentinel: 2 runs are live: one, two; name one, like: sentinel limit 300M one\n"
    assert run("limit", "300M") == (2, "", line)
    line = "sentinel: 2 runs are live: one, two; name one, like: sentinel grace 5s one\n"
    assert run("grace", "5s") == (2, "", line)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("freeze",), "freeze json"),
        (("thaw",), "thaw json"),
        (("reclaim",), "reclaim json"),
        (("reclaim", "--size", "50M"), "reclaim 50M json"),
        (("limit", "1.5 G"), "limit 1.5G json"),
        (("grace", "250ms"), "grace 250ms json"),
        (("stop", "--no-wait"), "stop json"),
        (("kill", "--no-wait"), "kill json"),
    ],
)
@pytest.mark.parametrize("name", [(), ("one",)])
def test_a_change_is_asked_for_and_answered(
    play: Play, run: Run, words: tuple[str, ...], line: str, name: tuple[str, ...]
) -> None:
    """The run is asked once; its answer is shown, escaped, or whole with --json; status 0."""
    played = play("one", {line: '{"schema":1,"name":"one","answer":"done\\u001b[31m"}\n'})
    assert run(*words, *name) == (0, "done\\x1b[31m\n", "")
    assert played.heard == [line]


def test_a_change_in_json(play: Play, run: Run) -> None:
    """With --json the run's own document is shown, a refusal too, and the status tells."""
    play("one", {"freeze json": DONE, "thaw json": '{"schema":1,"error":"already stopping"}\n'})
    assert run("freeze", "--json") == (0, DONE, "")
    assert run("thaw", "--json") == (1, '{"schema":1,"error":"already stopping"}\n', "")
    assert run("thaw") == (1, "", "sentinel: already stopping\n")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ("limit", "one", "300M"),
            "'one' is not a size; SIZE comes first: sentinel limit 300M one",
        ),
        (
            ("grace", "one", "5s"),
            "'one' is not a duration; TIME comes first: sentinel grace 5s one",
        ),
        (
            ("limit", "one"),
            "SIZE: 'one' is not a size; write it like 200M, 1.5G or 1048576",
        ),
        (
            ("limit", "50%", "one"),
            "SIZE: '50%' is not a size; write it like 200M, 1.5G or 1048576",
        ),
        (
            ("reclaim", "--size", "much"),
            "--size: 'much' is not a size; write it like 200M, 1.5G or 1048576",
        ),
        (("limit",), "Missing argument 'SIZE'; see sentinel limit --help"),
        (("stop", "one", "two"), "Got unexpected extra argument (two); see sentinel stop --help"),
    ],
)
def test_wrong_words_ask_nobody(play: Play, run: Run, words: tuple[str, ...], line: str) -> None:
    """One line with the remedy, status 2, and no run has heard a thing."""
    played = play("one")
    assert run(*words) == (2, "", f"sentinel: {line}\n")
    assert played.heard == []


def test_status_shows_what_the_run_tells(play: Play, run: Run) -> None:
    """One run's lines as they are, escaped, without the hint that there are others."""
    play("one", {"status": "1 of 2 runs, see: sentinel ls\nname  one\x1b\n", "status json": DONE})
    assert run("status", "one") == (0, "name  one\\x1b\n", "")
    assert run("status", "one", "--json") == (0, DONE, "")


def test_status_of_all_runs(play: Play, run: Run) -> None:
    """Without a name every run is shown, the oldest first; one that cannot be is said."""
    play("one", {"status": "name  one\n", "status json": '{"name":"one"}\n'})
    play("mute", listens=False)
    play("two", {"status": "name  two\n", "status json": '{"name":"two"}\n'})
    said = f"sentinel: mute was started with --no-socket; signal it: kill {os.getpid()}\n"
    assert run("status") == (125, "name  one\n\n\nname  two\n", said)
    assert run("status", "--json") == (125, '{"name":"one"}\n{"name":"two"}\n', said)


def test_tree(play: Play, run: Run) -> None:
    """The tree is shown as the run tells it; why it does not tell goes to stderr."""
    played = play("one", {"tree": "4711  python3\n"})
    assert run("tree") == (0, "4711  python3\n", "")
    played.close()
    play("one", {"tree": "error: not permitted\n", "tree json": '{"error":"not permitted"}\n'})
    assert run("tree") == (1, "", "sentinel: not permitted\n")
    assert run("tree", "--json") == (1, '{"error":"not permitted"}\n', "")


def test_a_run_that_does_not_answer(play: Play, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A guard that is stopped costs a bounded wait, and one line."""
    monkeypatch.setattr(asking, "PATIENCE", 0.05)
    play("one")
    status, out, err = run("freeze")
    assert (status, out) == (125, "")
    assert err.startswith("sentinel: s/one.0.sock did not answer within 0.05 s; ")


def test_a_run_that_ends_while_it_is_asked(play: Play, run: Run) -> None:
    """When the run is over by the time that asking fails, there is no such run: status 3."""
    played = play("one")
    real = registry.live

    def live_then_over(uid: int | None = None) -> list[registry.Entry]:
        found = real(uid=uid)
        played.close()
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "live", live_then_over)
        assert run("freeze") == (3, "", "sentinel: one has just ended\n")


@pytest.mark.parametrize(
    "words",
    [("stop",), ("freeze",), ("limit", "1G"), ("tree",), ("tree", "--json"), ("status", "one")],
)
def test_a_run_whose_last_word_is_that_it_is_over(
    play: Play, run: Run, words: tuple[str, ...]
) -> None:
    """Who is asked while it is being closed is no live run any more: status 3."""
    over = "the run is over"
    document = json.dumps({"schema": 1, "error": over}, separators=(",", ":")) + "\n"
    lines = ("stop", "freeze", "limit 1G", "tree", "status")
    answers = dict.fromkeys(lines, f"error: {over}\n")
    play("one", answers | {f"{line} json": document for line in lines})
    assert run(*words) == (3, "", "sentinel: one has just ended\n")


def test_an_answer_that_is_no_json(play: Play, run: Run) -> None:
    """Another version's answer is named, not guessed at."""
    play("one", {"freeze json": "frozen\n"})
    assert run("freeze") == (
        125,
        "",
        "sentinel: the run's answer 'frozen\\n' is no JSON; its Sentinel may be another version\n",
    )


@pytest.mark.parametrize("verb", ["stop", "kill"])
def test_the_end_is_waited_for(play: Play, run: Run, verb: str) -> None:
    """What was begun is told at once, the verdict when the run is over; both in one document."""
    answers = {f"{verb} json": DONE}
    played = play("one", answers)
    out = "stopping one: sent SIGTERM, 3s to finish\none is over: stopped, exit status 143\n"
    assert run(verb) == (0, out, "")
    assert played.heard == ["events", f"{verb} json"]
    assert registry.live() == []
    play("one", answers)
    status, out, err = run(verb, "one", "--json")
    assert (status, err) == (0, "")
    over = {"event": "over", "verdict": "stopped", "exit_status": 143}
    assert json.loads(out) == {**json.loads(DONE), "over": over}


def test_a_refused_stop_is_not_waited_for(play: Play, run: Run) -> None:
    """A run that will not stop leaves nothing to wait for."""
    play("one", {"stop json": '{"error":"not permitted"}\n'})
    assert run("stop") == (1, "", "sentinel: not permitted\n")
    assert run("stop", "--json") == (1, '{"error":"not permitted"}\n', "")


def test_a_guard_that_is_killed_meanwhile(play: Play, run: Run) -> None:
    """Without a last word the run is over all the same."""
    answers = {"stop json": DONE}
    played = play("one", answers)
    played.last = ""
    status, out, _ = run("stop")
    assert status == 0
    assert out.endswith("one is over: its guard ended without a verdict\n")


def test_a_stop_where_nobody_more_is_told_events(play: Play, run: Run) -> None:
    """It is asked for and waited for all the same; only the verdict is not known here."""
    played = play("one", {"stop json": DONE})
    played.hello = "error: 64 are told events already; try again later\n"
    status, out, err = run("stop")
    assert (status, err) == (0, "")
    assert out.endswith("one is over: too many others were told its verdict\n")


def test_events_are_told_until_the_end(play: Play, run: Run) -> None:
    """Each line as it came, the verdict last, status 0; a guard that is killed is said."""
    played = play("one")
    played.last = '{"event":"over","verdict":"exited"}\n'
    threading.Thread(target=_end, args=[played]).start()
    hello = '{"schema":1,"event":"hello"}\n'
    assert run("events", "--json") == (0, hello + '{"event":"over","verdict":"exited"}\n', "")
    played = play("two")
    played.last = ""
    threading.Thread(target=_end, args=[played]).start()
    line = "sentinel: two: the events ended before the run did: its guard has gone\n"
    assert run("events") == (125, hello, line)


@pytest.mark.parametrize(
    ("said", "status", "line"),
    [
        ("64 are told events already; try again later", 1, None),
        ("the run is over", 3, "one has just ended"),
    ],
)
def test_events_that_are_refused(
    play: Play, run: Run, said: str, status: int, line: str | None
) -> None:
    """Why stands on stderr, and nothing on stdout; a run that was ending is no live run."""
    play("one").hello = f"error: {said}\n"
    assert run("events") == (status, "", f"sentinel: {line or said}\n")


def _end(played: Played) -> None:
    while not played.heard:
        played._threads[0].join(0.01)  # noqa: SLF001 - wait until it is followed
    played.end()


def status_of(name: str, **more: object) -> str:
    """What `status json` says, as far as a table shows it."""
    document = {
        "name": name,
        "state": "ARMED",
        "elapsed": 61.5,
        "memory": {"working_set": 150 << 20},
        "limits": {"soft": 300 << 20},
        **more,
    }
    return json.dumps(document) + "\n"


def test_ls(play: Play, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """One aligned line a run, the oldest first; ? for what a run did not tell in time."""
    monkeypatch.setattr(ls, "PATIENCE", 2.0)
    play("one", {"status json": status_of("one")})
    play("mute", listens=False)
    play("a\tb", {"status json": status_of("a\tb", frozen=True, memory=None, elapsed=5)})
    play("rude", {"status json": '{"error":"not permitted"}\n'})
    play("odd", {"status json": "[]\n"})
    assert run("ls") == (
        0,
        """\
NAME  STATE           BACKEND   PID  ELAPSED  WORKING-SET  LIMIT  COMMAND
one   ARMED           rss      4711    1m02s         150M   300M  python3
mute  ?               rss      4711        ?            ?   200M  python3
a\\tb  ARMED (frozen)  rss      4711       5s            ?   300M  python3
rude  ?               rss      4711        ?            ?   200M  python3
odd   ?               rss      4711        ?            ?   200M  python3
""",
        "",
    )


def test_ls_keeps_its_columns_whatever_a_run_is_called(play: Play, run: Run) -> None:
    """Wide letters count twice, marks not at all, and what has no end is cut."""
    play("\u540d\u524d", listens=False)
    play("e\u0301", listens=False)
    play("x" * 100, listens=False)
    status, out, err = run("ls")
    assert (status, err) == (0, "")
    assert [line.partition("  ?  ")[0] for line in out.splitlines()[1:]] == [
        "\u540d\u524d" + " " * 76,
        "e\u0301" + " " * 79,
        "x" * 77 + "...",
    ]


def test_names_that_the_locale_does_not_have_are_escaped(
    play: Play, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every letter that standard output cannot take; the rest of the table stands."""
    play("caf\u00e9\u540d", listens=False)
    data = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(data, "latin-1"))
    assert run("ls")[0] == 0
    sys.stdout.flush()
    assert data.getvalue().splitlines()[1].split()[0] == b"caf\xe9\\u540d"


def test_ls_in_json(play: Play, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """One document: each run as it registered, and its status, null where it told none."""
    monkeypatch.setattr(ls, "PATIENCE", 2.0)
    assert run("ls", "--json") == (0, '{"schema":1,"runs":[]}\n', "")
    one = play("one", {"status json": status_of("one")})
    mute = play("mute", listens=False)
    status, out, err = run("ls", "--json")
    assert (status, err) == (0, "")
    assert json.loads(out) == {
        "schema": 1,
        "runs": [
            {**one.entry._asdict(), "status": json.loads(status_of("one"))},
            {**mute.entry._asdict(), "status": None},
        ],
    }


def test_ls_waits_once_for_all_who_do_not_answer(
    play: Play, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped guards are asked side by side, and when time is out no more: all are shown."""
    monkeypatch.setattr(ls, "PATIENCE", 0.05)
    monkeypatch.setattr(ls, "MOST_AT_A_TIME", 2)
    runs = [play(f"stopped{number}") for number in range(20)]
    status, out, _ = run("ls")
    assert status == 0
    assert out.count("  ?      rss  ") == 20
    assert sum(len(played.heard) for played in runs) < 10


def test_ls_without_runs(play: Play, run: Run) -> None:
    """The header stands alone."""
    del play
    header = "NAME  STATE  BACKEND  PID  ELAPSED  WORKING-SET  LIMIT  COMMAND\n"
    assert run("ls") == (0, header, "")


def test_names_are_completed(play: Play) -> None:
    """Those of the live runs that begin so."""
    play("worker")
    play("web")
    play("other")
    found = [item.value for item in asking.complete_names(None, None, "w")]  # type: ignore[arg-type]
    assert found == ["worker", "web"]
