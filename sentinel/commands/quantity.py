"""A verb's quantity, which stands before the name: `sentinel limit 300M worker`."""

from __future__ import annotations

from collections.abc import Callable

from sentinel.model.errors import UsageFault


def checked(
    verb: str, quantity: tuple[str, str], name: str | None, parse: Callable[[str], object]
) -> str:
    """The text of `quantity`, a metavar and what was written for it, as a run reads it.

    Raises UsageFault, which shows the right order when the name stands first.
    """
    metavar, text = quantity
    try:
        parse(text)
    except UsageFault as error:
        if name is not None and _reads(parse, name):
            remedy = f"{metavar} comes first: sentinel {verb} {name} {text}"
            raise UsageFault(error.message, remedy) from None
        raise UsageFault(f"{metavar}: {error.message}", error.remedy) from None
    return "".join(text.split())


def _reads(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except UsageFault:
        return False
    return True
