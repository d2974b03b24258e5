"""Signal names and numbers as data (signal(7)); sending and receiving is the linux room's.

The numbers are those of x86, ARM, RISC-V, POWER and s390. Real-time signals are counted as
the C library does: the kernel's first two, 32 and 33, belong to its threads.
"""

from __future__ import annotations

from sentinel.model.errors import UsageFault

SIGKILL = 9
SIGTERM = 15
SIGCONT = 18
SIGSTOP = 19

RTMIN = 34
RTMAX = 64

NUMBERS = {
    "HUP": 1,
    "INT": 2,
    "QUIT": 3,
    "ILL": 4,
    "TRAP": 5,
    "ABRT": 6,
    "BUS": 7,
    "FPE": 8,
    "KILL": SIGKILL,
    "USR1": 10,
    "SEGV": 11,
    "USR2": 12,
    "PIPE": 13,
    "ALRM": 14,
    "TERM": SIGTERM,
    "STKFLT": 16,
    "CHLD": 17,
    "CONT": SIGCONT,
    "STOP": SIGSTOP,
    "TSTP": 20,
    "TTIN": 21,
    "TTOU": 22,
    "URG": 23,
    "XCPU": 24,
    "XFSZ": 25,
    "VTALRM": 26,
    "PROF": 27,
    "WINCH": 28,
    "IO": 29,
    "PWR": 30,
    "SYS": 31,
    "RTMIN": RTMIN,
    "RTMAX": RTMAX,
}

_OTHER_NAMES = {"IOT": 6, "CLD": 17, "POLL": 29}


def signal_name(number: int) -> str:
    """`SIGTERM` for 15, `SIGRTMIN+3` for 37, `signal 99` for what has no name."""
    for name, known in NUMBERS.items():
        if known == number:
            return f"SIG{name}"
    if RTMIN < number < RTMAX:
        return f"SIGRTMIN+{number - RTMIN}"
    return f"signal {number}"


def parse_signal(text: str) -> int:
    """The number of the signal that `text` names: `TERM`, `SIGTERM`, `15`, `RTMIN+3`, `RTMAX-1`.

    Raises UsageFault when there is no such signal, naming the nearest.
    """
    word = text.strip().upper().removeprefix("SIG")
    number = NUMBERS.get(word, _OTHER_NAMES.get(word))
    if number is None:
        number = _offset(word)
    if number is None or number not in _USABLE:
        raise UsageFault(f"{text!r} is no signal", _nearest(word))
    return number


_USABLE = frozenset(range(1, 32)) | frozenset(range(RTMIN, RTMAX + 1))


def _offset(word: str) -> int | None:
    """Read a bare number, or a distance from the ends of the real-time signals."""
    base, rest = 0, word
    if word.startswith("RTMIN+"):
        base, rest = RTMIN, word.removeprefix("RTMIN+")
    elif word.startswith("RTMAX-"):
        base, rest = RTMAX, word.removeprefix("RTMAX-")
    if not rest.isascii() or not rest.isdigit() or len(rest) > len("64"):
        return None
    number = base - int(rest) if base == RTMAX else base + int(rest)
    return number if not base or RTMIN <= number <= RTMAX else None


def _nearest(word: str) -> str:
    """Suggest what may have been meant."""
    from difflib import get_close_matches

    near = get_close_matches(word, [*NUMBERS, *_OTHER_NAMES], n=1, cutoff=0.5)
    if near:
        return f"did you mean {near[0]}?"
    return "use a name like TERM or RTMIN+3, or a number; `kill -l` lists them"
