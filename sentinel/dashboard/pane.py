"""A pane that shows a command's output as a terminal would, whatever bytes it writes.

pyte keeps the screen: a progress bar that moves the cursor looks as it should, and no sequence
reaches the real terminal. Only characters and colours leave this file.
"""

from __future__ import annotations

from typing import Protocol, cast

import pyte
from rich.style import Style
from rich.text import Text

from sentinel.dashboard.board import Size

_OUR_NAMES = {"brown": "yellow", "brightbrown": "bright_yellow"}
_PLAIN = frozenset({"black", "red", "green", "blue", "magenta", "cyan", "white"})


class _Cell(Protocol):
    """A character on the screen, pyte.screens.Char."""

    data: str
    fg: str
    bg: str
    bold: bool
    italics: bool
    underscore: bool
    reverse: bool


TAIL = 16 << 10
"""Bytes of the newest output that are drawn again when the pane gets another size."""

RENEWED = 1 << 20
"""Bytes after which the screen is made anew: a sequence without an end hides no more than this."""

LONGEST_CELL = 8
"""Characters in one place; combining marks can be piled up without end."""


class Pane:
    """The command's screen."""

    def __init__(self, size: Size) -> None:
        """An empty one of `size`."""
        self._size = size
        self._tail = b""
        self._fed = 0
        self._begin()

    def _begin(self) -> None:
        self._screen = pyte.Screen(self._size.columns, self._size.rows)
        self._stream = pyte.ByteStream(self._screen)

    def feed(self, data: bytes) -> None:
        """Take what the command wrote."""
        self._tail = (self._tail + data)[-TAIL:]
        self._fed += len(data)
        if self._fed > RENEWED:
            self._renew()
        else:
            self._draw(data)

    def resize(self, size: Size) -> None:
        """Make it `size`."""
        if size != self._size:
            self._size = size
            self._renew()

    def _renew(self) -> None:
        self._fed = 0
        self._begin()
        self._draw(self._tail)

    def _draw(self, data: bytes) -> None:
        try:
            self._stream.feed(data.replace(b"\n", b"\r\n"))  # as a terminal's line discipline does
        except Exception:  # noqa: BLE001 - pyte raises what it likes for sequences it does not know
            # The rest of this piece is not shown; the log has it. The screen goes on.
            self._stream = pyte.ByteStream(self._screen)

    def lines(self) -> list[Text]:
        """The screen, one text for each line."""
        return screen_lines(self._screen, self._size)


def screen_lines(screen: pyte.Screen, size: Size) -> list[Text]:
    """The upper left part of `screen`, one text for each line: characters and colours alone."""
    return [
        _line([cast("_Cell", screen.buffer[row][column]) for column in range(size.columns)])
        for row in range(size.rows)
    ]


def _line(cells: list[_Cell]) -> Text:
    text = Text(no_wrap=True)
    run, looks = "", None
    for cell in cells:
        here = (cell.fg, cell.bg, cell.bold, cell.italics, cell.underscore, cell.reverse)
        if here != looks and run:
            text.append(run, _style(looks))
            run = ""
        looks = here
        run += "".join(c if c.isprintable() else "?" for c in cell.data[:LONGEST_CELL])
    if run:
        text.append(run, _style(looks))
    text.rstrip()
    return text


Looks = tuple[str, str, bool, bool, bool, bool]


def _style(looks: Looks | None) -> Style:
    if looks is None:
        return Style.null()
    fg, bg, bold, italics, underscore, reverse = looks
    return Style(
        color=_colour(fg),
        bgcolor=_colour(bg),
        bold=bold or None,
        italic=italics or None,
        underline=underscore or None,
        reverse=reverse or None,
    )


def _colour(name: str) -> str | None:
    """A colour of pyte's, which is a name or six digits, in rich's words."""
    if name == "default":
        return None
    if name in _OUR_NAMES:
        return _OUR_NAMES[name]
    if name in _PLAIN:
        return name
    if name.startswith("bright") and name.removeprefix("bright") in _PLAIN:
        return f"bright_{name.removeprefix('bright')}"
    digits = len(name) == 6 and all(c in "0123456789abcdefABCDEF" for c in name)
    return f"#{name}" if digits else None
