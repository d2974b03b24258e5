"""What `sentinel doctor` reports."""

from typing import NamedTuple


class Check(NamedTuple):
    """One thing that was looked at: what, whether it works, what was seen, what would help."""

    subject: str
    works: bool
    detail: str
    remedy: str = ""
