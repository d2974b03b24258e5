"""A row: one question, how it is answered, and where it can be asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from benchmarks.figures import Line
from benchmarks.site import Site


class Row(NamedTuple):
    """`story` is Markdown for the page: what is measured, and against what.

    `backends`: it is asked where one of them can be had; `counting`: and where CPU time is
    counted well enough; `systemd`: in the guest where that is PID 1, and nowhere else.
    """

    name: str
    title: str
    story: str
    measure: Callable[[Site], tuple[Line, ...]]
    backends: tuple[str, ...] = ("cgroup", "rss")
    counting: bool = False
    systemd: bool = False

    def fits(self, site: Site) -> bool:
        """Whether the row can be measured at `site`."""
        return (
            self.systemd == site.systemd
            and any(backend in site.backends for backend in self.backends)
            and (site.counts_cpu or not self.counting)
        )
