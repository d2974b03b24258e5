"""The control server on real sockets, in the guard's real loop."""

from __future__ import annotations

import json
import os
import resource
import socket
import stat

import pytest

from sentinel.control import allowance, reception
from sentinel.control.reception import MOST
from sentinel.control.server import Settings
from sentinel.control.session import PATIENCE, Phase
from sentinel.control.traffic import Traffic
from sentinel.linux.loop import Loop
from sentinel.model.outcome import Moment
from sentinel.model.request import Reply, SetLimit, Stop
from sentinel.model.spec import Observation
from tests.control.stage import MIB, OUTCOME, Stage, received, stages

pytestmark = pytest.mark.native


def descriptors() -> int:
    """How many this process has open."""
    return len(os.listdir("/proc/self/fd"))


def test_a_line_gets_one_answer_and_the_end(stage: Stage) -> None:
    """At the newline: the client has not closed anything yet."""
    assert stage.ask("ping") == "pong\n"
    assert stage.ask("status").splitlines()[0] == "name           worker"
    assert json.loads(stage.ask("ping json"))["answer"] == "pong"
    assert stage.say(b"ping\nping\nping\n") == b"pong\n"
    assert stage.say(b"ping\n", half_close=True) == b"pong\n"


def test_a_line_may_come_in_pieces(stage: Stage) -> None:
    """It is answered when its newline is there, and not before."""
    with stage.connect() as client:
        for piece in (b"st", b"at", b"us js", b"on"):
            client.send(piece)
            stage.turn()
            stage.turn()
            assert received(client) is None
        client.send(b"\n")
        assert json.loads(stage.answer(client))["name"] == "worker"


def test_what_is_asked_for_reaches_the_run_with_the_asking_uid(stage: Stage) -> None:
    """And its reply comes back, refusals as errors."""
    assert stage.ask("stop") == "so be it\n"
    stage.run.reply = Reply("already stopping", ok=False)
    assert stage.ask("limit 300M") == "error: already stopping\n"
    assert json.loads(stage.ask("limit 300M json")) == {"schema": 1, "error": "already stopping"}
    uid = f"uid {os.getuid()}"
    limit = SetLimit(300 * MIB)
    assert stage.run.requests == [(Stop(), uid), (limit, uid), (limit, uid)]


def test_the_tree_and_the_metrics_are_this_run_s(stage: Stage) -> None:
    """Processes that are gone are left out; metrics are written by whoever was given."""
    stage.run.pids = (os.getpid(), 1 << 30)
    document = json.loads(stage.ask("tree json"))
    assert [row["pid"] for row in document["processes"]] == [os.getpid()]
    assert stage.ask("tree").splitlines()[1].split()[1] == str(os.getpid())
    assert stage.ask("metrics") == "metrics\n"
    document = json.loads(stage.ask("metrics json"))
    assert document["actions"] == {"lift": 1, "sigterm": 2}
    assert document["status"]["name"] == "worker"


@pytest.mark.parametrize(
    ("data", "half_close", "answer"),
    [
        (b"statsu\n", False, "error: unknown verb 'statsu'; did you mean status?\n"),
        (
            b"sta\0tus\n",
            False,
            "error: the line 'sta\\x00tus' has a NUL in it; write it as text, like status\n",
        ),
        (
            b"stop\xff\n",
            False,
            "error: the line 'stop\\xff' is not UTF-8; write it as text, like stop\n",
        ),
        (
            b"status",
            True,
            "error: the line 'status' does not end with a newline; send one line, like status\n",
        ),
        (
            b"stop " + b"x" * 5000,
            False,
            "error: the line is longer than 4096 bytes; send one line, like stop\n",
        ),
        (
            b"x" * 4096 + b"\n",
            False,
            "error: the line is longer than 4096 bytes; send one line with a verb, like status\n",
        ),
        (b"", True, ""),
    ],
)
def test_bad_input_gets_one_line(
    stage: Stage,
    data: bytes,
    half_close: bool,  # noqa: FBT001 - a column of the table
    answer: str,
) -> None:
    """And the next client is served as ever."""
    assert stage.say(data, half_close=half_close).decode() == answer
    assert stage.ask("ping") == "pong\n"
    assert stage.run.requests == []


def test_a_line_of_4096_bytes_is_not_too_long(stage: Stage) -> None:
    """With its newline."""
    assert stage.say(b" " * 4091 + b"ping\n") == b"pong\n"


def test_who_still_writes_reads_the_error_all_the_same(stage: Stage) -> None:
    """A megabyte without a newline is thrown away, not reset."""
    with stage.connect() as client:
        client.setblocking(False)
        left = b"x" * (1 << 20)

        def written() -> bool:
            nonlocal left
            try:
                left = left[client.send(left[:65536]) :]
            except BlockingIOError:
                return False
            return not left

        stage.until("a megabyte to be taken", written)
        client.shutdown(socket.SHUT_WR)
        assert stage.answer(client).startswith(b"error: the line is longer than 4096 bytes")


def test_vanished_clients_cost_nothing(stage: Stage) -> None:
    """Before a word, in the middle of one, and before the answer."""
    stage.ask("ping")
    before = descriptors()
    for data in (b"", b"sta", b"status\n", b"tree\n", b"events\n"):
        for _ in range(20):
            with stage.connect() as client:
                if data:
                    client.send(data)
            stage.turn()
    stage.until("all to be forgotten", lambda: descriptors() == before)
    assert stage.ask("ping") == "pong\n"


def test_with_nobody_connected_nothing_is_due(stage: Stage) -> None:
    """No deadline, no timer, no wake-up; a silent client costs one deadline."""
    assert stage.server.deadline() is None
    stage.ask("status")
    assert stage.server.deadline() is None
    assert stage.loop.wait(stage.loop.now() + 0.05) == set()
    with stage.connect():
        stage.turn(1.0)
        due = stage.server.deadline()
        assert due is not None
        assert due - stage.loop.now() > PATIENCE[Phase.ASKING] - 5
    stage.until("no deadline", lambda: stage.server.deadline() is None)


def test_a_silent_client_is_given_up(stage: Stage) -> None:
    """When its time is over, with a line that says so."""
    with stage.connect() as client:
        stage.turn(1.0)
        late = stage.loop.now() + PATIENCE[Phase.ASKING] + 1
        stage.server.turn(late, set())
        assert received(client) == b"error: no line came; send one, like status\n"
        assert received(client) == b""


def test_a_dripping_client_is_given_up_too(stage: Stage) -> None:
    """Its first byte buys it time, its second no more."""
    with stage.connect() as client:
        stage.turn(1.0)
        for _ in range(3):
            client.send(b"s")
            stage.turn(1.0)
        due = stage.server.deadline()
        client.send(b"s")
        stage.turn(1.0)
        assert stage.server.deadline() == due


def test_fifty_silent_clients_are_no_problem(stage: Stage) -> None:
    """A question is answered past them."""
    silent = [stage.connect() for _ in range(50)]
    stage.turn(1.0)
    assert stage.ask("status").startswith("name ")
    assert [received(client) for client in silent] == [None] * 50
    for client in silent:
        client.close()


def test_past_the_bound_the_longest_silent_makes_room(stage: Stage) -> None:
    """It is told why."""
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 1024
    silent = []
    for _ in range(MOST):
        silent.append(stage.connect())
        stage.turn(1.0)
    assert received(silent[0]) is None
    assert stage.ask("ping") == "pong\n"
    assert stage.answer(silent[0]).startswith(b"error: too many connections")
    assert received(silent[1]) is None
    for client in silent:
        client.close()


def test_who_made_room_is_not_heard_any_more(short: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though it spoke up in the same wake-up in which it was sent away."""
    monkeypatch.setattr(reception, "MOST", 4)
    with Stage(short) as stage:
        silent = [stage.connect() for _ in range(4)]
        stage.turn(1.0)
        newcomer = stage.connect()
        for client in silent:
            client.send(b"p")
        stage.turn(1.0)
        newcomer.send(b"ping\n")
        assert stage.answer(newcomer) == b"pong\n"
        assert stage.answer(silent[0]).startswith(b"error: too many connections")
        for client in (*silent, newcomer):
            client.close()


def test_an_answer_for_who_has_just_left_is_dropped(short: str) -> None:
    """The other run answers in the same wake-up in which the client goes."""
    with stages(short, Observation(), Observation()) as (first, second):
        client = first.connect()
        client.send(b"status run1\n")
        first.turn(1.0)
        client.close()
        second.until("the answer to be on its way", lambda: second.run.looks > 1)
        for _ in range(3):
            first.turn(0.1)
        assert first.ask("ping") == "pong\n"
        assert first.server.deadline() is None


def test_without_silent_ones_the_newcomer_is_refused(stage: Stage) -> None:
    """Readers of events are not silent: they listen. The 65th is refused, and others are not."""
    readers = []
    for _ in range(64):
        client = stage.connect()
        client.send(b"events\n")
        readers.append(client)
        stage.turn(1.0)
        assert stage.run.looks
    assert stage.ask("events") == "error: 64 are told events already; try again later\n"
    assert stage.ask("stop") == "so be it\n"
    for client in readers:
        client.close()


def test_no_descriptors_left_is_survived(stage: Stage) -> None:
    """Whoever waits is served when there are some again; until then nothing spins."""
    stage.ask("ping")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    client = stage.connect()
    client.send(b"ping\n")
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 1, hard)
    )
    fillers = []
    try:
        while True:
            try:
                fillers.append(os.dup(0))
            except OSError:
                break
        stage.turn(1.0)
        assert stage.server.deadline() is not None
        assert stage.loop.wait(stage.loop.now()) == set()
        assert received(client) is None
    finally:
        for fd in fillers:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert stage.answer(client) == b"pong\n"
    client.close()


def test_a_flood_is_rationed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The descriptor is put aside when the allowance is used up; everybody is served at last."""
    monkeypatch.setattr(allowance, "SHARE", 0.05)  # used up however quick the machine is
    rested, answered = 0, 0
    clients: list[socket.socket] = []
    while answered < 600:
        while len(clients) < 100:
            client = stage.connect()
            client.send(b"status\n")
            clients.append(client)
        before = stage.loop.now()
        stage.turn(0.05)
        due = stage.server.deadline()
        rested += due is not None and 0 < due - before < 1
        for client in [one for one in clients if received(one)]:
            answered += 1
            clients.remove(client)
            client.close()
    assert rested > 1
    for client in clients:
        client.close()


def test_a_great_tree_is_made_in_turns(stage: Stage) -> None:
    """Others are answered in between."""
    stage.run.pids = tuple([os.getpid()] * 20000)
    with stage.connect() as slow, stage.connect() as quick:
        slow.send(b"tree json\n")
        stage.turn(1.0)
        assert stage.server.deadline() is not None
        assert received(slow) is None
        quick.send(b"ping\n")
        assert stage.answer(quick) == b"pong\n"
        assert received(slow) is None
        assert json.loads(stage.answer(slow))["omitted"] == 20000 - 200


def test_events_are_told_as_they_happen(stage: Stage) -> None:
    """First a hello, last the end; the moment `over` is the end and is told once."""
    with stage.connect() as client, stage.connect() as broken:
        client.send(b"events\n")
        stage.until(
            "hello", lambda: len(client.recv(9999, socket.MSG_PEEK)) if ready(client) else 0
        )
        broken.send(b"events\n")
        stage.turn(1.0)
        broken.close()
        now = stage.loop.now()
        stage.server.told(stage.run, Moment(1.5, "soft-limit crossed", "", 5), None, now)
        stage.server.told(stage.run, Moment(1.6, "asked to stop", "1 asked"), None, now)
        stage.turn()
        stage.server.told(stage.run, Moment(2.0, "over", "stopped"), None, now)
        stage.server.ended(stage.run, OUTCOME, now)
        lines = [json.loads(line) for line in stage.answer(client).splitlines()]
    assert [line["event"] for line in lines] == [
        "hello",
        "soft-limit crossed",
        "asked to stop",
        "over",
    ]
    assert lines[1]["monotonic"] == now
    assert lines[-1]["verdict"] == "stopped"


def test_what_is_asked_for_is_an_event_before_it_has_consequences(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader is told of a stop in the same wake-up in which it was asked for."""
    stopped = Moment(3.0, "stop requested", "uid 0")

    def stop(*_: object) -> Reply:
        stage.server.told(stage.run, stopped, None, stage.loop.now())
        return Reply("stopping")

    monkeypatch.setattr(stage.run, "request", stop)
    with stage.connect() as reader, stage.connect() as asker:
        reader.send(b"events\n")
        stage.turn(1.0)
        asker.send(b"stop\n")
        while not received(asker):
            stage.turn(1.0)
        lines = reader.recv(1 << 16).splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["hello", "stop requested"]


def ready(client: socket.socket) -> bool:
    """Whether something is there."""
    try:
        return bool(client.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False


def test_moments_that_nobody_wants_are_not_kept(stage: Stage) -> None:
    """And cost no look at the run."""
    looks = stage.run.looks
    stage.server.told(stage.run, Moment(1.5, "crossed"), None, stage.loop.now())
    stage.turn()
    assert stage.run.looks == looks


def test_a_reader_who_falls_behind_is_told_how_many_lines_it_lost(stage: Stage) -> None:
    """The newest are there, and the guard's memory is bounded."""
    with stage.connect() as client:
        client.send(b"events\n")
        stage.turn(1.0)
        stage.turn()
        for number in range(5000):
            moment = Moment(float(number), "note", "x" * 200)
            stage.server.told(stage.run, moment, None, stage.loop.now())
            stage.server.turn(stage.loop.now(), set())
        stage.server.ended(stage.run, OUTCOME, stage.loop.now())
        text = b""
        while data := received(client):
            text += data
    lines = [json.loads(line) for line in text.splitlines() if line.endswith(b"}")]
    assert [line["at"] for line in lines[1:20]] == [float(number) for number in range(19)]


def test_a_slow_reader_gets_the_loss_and_then_the_newest(stage: Stage) -> None:
    """Once it reads again: every line is told or counted."""
    with stage.connect() as client:
        client.send(b"events\n")
        stage.turn(1.0)
        for number in range(5000):
            moment = Moment(float(number), "note", "x" * 200)
            stage.server.told(stage.run, moment, None, stage.loop.now())
            stage.server.turn(stage.loop.now(), set())
        text = b""

        def caught_up() -> bool:
            nonlocal text
            while data := received(client):
                text += data
            return b'"at":4999.0,' in text

        stage.until("the newest line", caught_up)
    lines = [json.loads(line) for line in text.splitlines()]
    lost = [line["count"] for line in lines if line["event"] == "lost"]
    told = [line["at"] for line in lines if line["event"] == "note"]
    assert len(lost) == 1
    assert lost[0] + len(told) == 5000
    assert told == sorted(told)


def test_a_question_that_fails_ends_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an answer, one line for the user, and the next question is answered."""

    def fail(now: float) -> None:
        raise ValueError(f"no{now:.0f}\n")

    with monkeypatch.context() as patch:
        patch.setattr(stage.run, "status", fail)
        assert stage.ask("status").startswith("error: status failed: ValueError: 'no")
        assert stage.ask("status json").startswith('{"schema":1,"error":"status failed')
    assert stage.ask("status").startswith("name ")
    assert len(stage.heard) == 1
    assert stage.heard[0].startswith("control socket: status failed: ValueError")


def test_at_the_end_those_who_ask_are_told_so(stage: Stage) -> None:
    """Connected or about to be; then the paths are gone and nothing is open."""
    waiting = stage.connect()
    stage.turn(1.0)
    waiting.send(b"status\n")
    late = stage.connect()
    late.send(b"stop\n")
    program = stage.connect()
    program.send(b"status json\n")
    silent = stage.connect()
    stage.server.ended(stage.run, OUTCOME, stage.loop.now())
    assert received(waiting) == received(late) == b"error: the run is over\n"
    assert received(program) == b'{"schema":1,"error":"the run is over"}\n'
    assert received(silent) == b""
    assert os.listdir(stage.directory) == ["runtime"]
    assert os.listdir(os.path.join(stage.directory, "runtime")) == ["well-known.lock"]
    assert stage.run.requests == []
    stage.server.close()
    for client in (waiting, late, program, silent):
        client.close()


def test_nothing_stays_open(short: str) -> None:
    """After the end every descriptor is given back."""
    before = descriptors()
    made = Stage(short)
    clients = [made.connect() for _ in range(3)]
    clients[0].send(b"events\n")
    clients[1].send(b"tree\n")
    made.turn(1.0)
    for client in clients:
        client.close()
    made.close()
    assert descriptors() == before


def test_the_socket_is_its_owner_s_alone(stage: Stage) -> None:
    """Mode 0600 in a directory of 0700; the well-known one lets everybody ask."""
    assert stat.S_IMODE(os.stat(stage.path()).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(stage.path())).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(stage.common).st_mode) == 0o666
    assert stage.ask("ping", stage.common) == "pong\n"


def test_a_path_of_one_s_own_replaces_the_usual_one(short: str) -> None:
    """For the owner alone, or for those who are allowed."""
    for uids, mode in ((frozenset[int](), 0o600), (frozenset({12345}), 0o666)):
        path = os.path.join(short, f"mine-{mode:o}")
        made = Stage(short, observation=Observation(socket_path=path, allow_uids=uids))
        assert stat.S_IMODE(os.stat(path).st_mode) == mode
        assert made.ask("ping", path) == "pong\n"
        assert not os.path.exists(made.path())
        assert made.heard == []
        made.close()
        assert not os.path.lexists(path)


def test_a_path_that_is_taken_costs_one_warning(short: str) -> None:
    """It is left untouched, and the run listens where it usually would."""
    path = os.path.join(short, "mine")
    with open(path, "w", encoding="ascii") as file:
        file.write("precious")
    made = Stage(short, observation=Observation(socket_path=path))
    usual = made.path()
    assert made.heard == [f"{path} is a regular file: left untouched; this run listens on {usual}"]
    assert made.ask("ping", usual) == "pong\n"
    made.close()
    assert os.path.getsize(path) == 8


def test_without_sockets_a_run_is_registered_all_the_same(short: str) -> None:
    """Found by `sentinel ls`, spoken to by nobody, and nothing is watched."""
    made = Stage(short, observation=Observation(socket=False))
    assert sorted(os.listdir(os.path.join(short, "runtime"))) == ["run-worker.entry"]
    assert not os.path.exists(made.common)
    assert made.server.deadline() is None
    made.turn()
    made.close()
    assert os.listdir(os.path.join(short, "runtime")) == []


def test_the_entry_follows_the_limit(stage: Stage) -> None:
    """Once it was changed over the socket."""
    entry = os.path.join(stage.directory, "runtime", "run-worker.entry")
    stage.run.status_now = stage.run.status_now._replace(
        limits=stage.run.status_now.limits._replace(soft=300 * MIB)
    )
    stage.ask("limit 300M")
    with open(entry, encoding="utf-8") as file:
        assert f"soft={300 * MIB}\n" in file.read()


def test_another_run_is_reached_by_its_name(short: str) -> None:
    """Over its own socket, with the asking uid; a run without that name is an error."""
    with stages(short, Observation(), Observation(), Observation(socket=False)) as made:
        first, second, third = made
        assert second.common == first.common
        with first.connect(first.common) as client:
            client.send(b"stop run1\n")
            first.until(
                "the question to be passed on", lambda: (second.turn(), second.run.requests)[1]
            )
            assert first.answer(client) == b"so be it\n"
        assert second.run.requests == [(Stop(), f"uid {os.getuid()}")]
        assert first.run.requests == []
        assert first.ask("stop run9") == "error: no live run is called 'run9'; see: sentinel ls\n"
        assert first.ask("stop run2") == (
            "error: run 'run2' has no socket; start it without --no-socket\n"
        )
        assert third.run.requests == []
        assert first.ask("stop run0") == "so be it\n"
        assert first.ask("status").splitlines()[0] == "1 of 3 runs, see: sentinel ls"
        assert first.ask("status run0").splitlines()[0] == "name           run0"
        assert json.loads(first.ask("status json"))["runs"] == 3


def test_a_run_that_does_not_answer_is_given_up(short: str) -> None:
    """Its guard is stopped: the one that was asked says so, and has served others meanwhile."""
    with stages(short, Observation(), Observation()) as (first, _), first.connect() as client:
        client.send(b"status run1 json\n")
        first.turn(1.0)
        assert first.ask("ping") == "pong\n"
        late = first.loop.now() + PATIENCE[Phase.WORKING] + 1
        first.server.turn(late, set())
        late_word = b'{"schema":1,"error":"the answer took too long; try again"}\n'
        assert received(client) == late_word


def test_on_whose_behalf_is_believed_from_the_owner(stage: Stage) -> None:
    """If that user may ask at all."""
    assert stage.ask("uid=0 stop") == "so be it\n"
    assert stage.ask("uid=4711 stop") == "error: not permitted\n"
    assert stage.run.requests == [(Stop(), "uid 0")]


def test_a_name_that_does_not_live_here_is_not_passed_on_twice(stage: Stage) -> None:
    """What was passed on to the wrong run ends there."""
    with Stage(stage.directory, "other") as other:
        assert other.ask("ping") == "pong\n"
        assert stage.ask("uid=0 stop other") == (
            "error: run 'other' has just ended; see: sentinel ls\n"
        )


def test_settings_know_the_place_that_everybody_knows() -> None:
    """The path of the README."""
    assert Settings().well_known == "/tmp/sentinel.socket"


def test_the_guard_s_loop_sees_one_descriptor(stage: Stage) -> None:
    """However many are connected."""
    clients = [stage.connect() for _ in range(20)]
    for client in clients:
        client.send(b"p")
    ready_tokens = stage.loop.wait(stage.loop.now() + 5)
    assert [type(token) for token in ready_tokens] == [Traffic]
    assert isinstance(stage.loop, Loop)
    for client in clients:
        client.close()
