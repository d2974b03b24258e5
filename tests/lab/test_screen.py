"""The screen that guests share: who says what, and what a hang leaves on it."""

import io

from tests.lab.screen import QUIET_SECONDS, Screen


class Told:
    """A screen on a buffer, at a time that the test sets."""

    def __init__(self) -> None:
        self.time = 100.0
        self.shown = io.BytesIO()
        self.screen = Screen(self.shown, 4, lambda: self.time)

    @property
    def lines(self) -> list[str]:
        """What is on the screen."""
        return self.shown.getvalue().decode().splitlines()


def test_lines_of_two_parts_do_not_mix() -> None:
    """A line is shown when it is whole, under the name of its part and the time since the start."""
    told = Told()
    quick, slow = told.screen.voice("6.1"), told.screen.voice("6.12")
    quick.write(b"one ")
    slow.write(b"two\nthree")
    told.time += 61.5
    quick.write(b"PASSED\n")
    slow.write(b"\n")
    assert told.lines == ["6.12 0:00 two", "6.1  1:01 one PASSED", "6.12 1:01 three"]


def test_a_hang_shows_where_it_is() -> None:
    """The name of a test that does not end is shown once, and again with its result."""
    told = Told()
    voice = told.screen.voice("6.1")
    voice.write(b"test_hangs ")
    told.time += QUIET_SECONDS - 1
    told.screen.show_unfinished()
    assert told.lines == []
    told.time += 1
    told.screen.show_unfinished()
    told.screen.show_unfinished()
    assert told.lines == ["6.1  0:30 test_hangs ... still running"]
    voice.write(b"FAILED\n")
    told.time += QUIET_SECONDS
    told.screen.show_unfinished()
    assert told.lines[1:] == ["6.1  0:30 test_hangs FAILED"]


def test_the_last_word_begins_a_line() -> None:
    """What a machine had begun to say when it died is shown before what is said about that."""
    told = Told()
    voice = told.screen.voice("6.1")
    voice.write(b"half")
    voice.say("gone")
    voice.say("over")
    assert told.lines == ["6.1  0:00 half", "6.1  0:00 gone", "6.1  0:00 over"]
