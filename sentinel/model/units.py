"""Sizes and durations as people write them, and back. Pure text and numbers."""

from __future__ import annotations

from sentinel.model.errors import UsageFault

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30
TIB = 1 << 40

_SIZE_UNITS = {"": 1, "b": 1}
for _letter, _factor in (("k", KIB), ("m", MIB), ("g", GIB), ("t", TIB)):
    _SIZE_UNITS[_letter] = _SIZE_UNITS[_letter + "b"] = _SIZE_UNITS[_letter + "ib"] = _factor

_TIME_UNITS = {"": 1.0, "s": 1.0, "ms": 0.001, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}

SMALLEST_LIMIT = MIB
"""Bytes. Below this not even a C program's start fits; almost always a forgotten unit."""

LARGEST_SIZE = (1 << 63) - 1
"""Bytes. What the kernel's page counters can hold."""

LONGEST_DURATION = 36_500 * 86_400.0
"""Seconds, a hundred years. The kernel counts nanoseconds in 63 bits, which is 292."""

MOST_DIGITS = 40


def _split(text: str) -> tuple[str, str]:
    """Cut `1.5G` into its number and its unit."""
    number = text.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ%")
    return number.strip(), text[len(number) :].strip().lower()


def parse_decimal(text: str) -> float | None:
    """Read a plain non-negative decimal; None for anything else (nan, inf, 1e9, 1_000, signs).

    So is what has more than 40 digits: no quantity here does, and `int` and `float` have ends.
    """
    whole, _, fraction = text.partition(".")
    digits = whole + fraction
    if not 0 < len(digits) <= MOST_DIGITS or not digits.isascii() or not digits.isdigit():
        return None
    return float(text)


def parse_size(text: str, *, whole: int | None = None) -> int:
    """Bytes meant by `text`: `200M`, `1.5G`, `64KiB`, `1048576`, or `50%` of `whole` bytes.

    K, M, G and T are powers of 1024 with or without `iB` or `B`.
    Raises UsageFault when the text is no size, or a percentage where none makes sense.
    """
    number, unit = _split(text.strip())
    value = parse_decimal(number)
    if unit == "%" and whole is not None and value is not None:
        if value > 100:
            raise UsageFault(f"size {text!r} is more than all there is", "use at most 100%")
        return int(whole * value / 100)
    if value is None or unit not in _SIZE_UNITS:
        example = "200M, 1.5G or 50%" if whole is not None else "200M, 1.5G or 1048576"
        raise UsageFault(f"{text!r} is not a size", f"write it like {example}")
    factor = _SIZE_UNITS[unit]
    size = int(number) * factor if number.isdigit() else int(value * factor)
    if size > LARGEST_SIZE:
        raise UsageFault(
            f"size {text!r} is beyond what the kernel can count", "use at most 8388607T"
        )
    return size


def parse_duration(text: str) -> float:
    """Seconds meant by `text`: `3s`, `250ms`, `1.5m`, `2h`, `1d`, or bare seconds.

    Raises UsageFault when the text is no duration.
    """
    number, unit = _split(text.strip())
    value = parse_decimal(number)
    if value is None or unit not in _TIME_UNITS:
        raise UsageFault(f"{text!r} is not a duration", "write it like 3s, 250ms, 5m or 2h")
    seconds = value * _TIME_UNITS[unit]
    if seconds > LONGEST_DURATION:
        raise UsageFault(f"duration {text!r} is over a hundred years", "use at most 36500d")
    return seconds


def format_size(size: float) -> str:
    """`size` bytes for people: at most four significant digits, in the largest fitting unit."""
    for factor, letter in ((TIB, "T"), (GIB, "G"), (MIB, "M"), (KIB, "K")):
        if abs(size) >= factor:
            value = size / factor
            text = f"{value:.0f}" if abs(value) >= 1000 else f"{value:.1f}"
            return text.removesuffix(".0") + letter
    return f"{size:.0f}B"


def format_duration(seconds: float) -> str:
    """`seconds` for people: milliseconds under a second, then s, m, h."""
    if 0 < seconds < 0.9995:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 59.95:
        return f"{seconds:.1f}".removesuffix(".0") + "s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m"
