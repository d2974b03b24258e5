"""One look at the runs, by a process that then ends."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from sentinel.linux.clock import monotonic, wall
from sentinel.linux.runtime import Place
from sentinel.metrics.inquiry import Inquirer
from sentinel.metrics.onrequest import extras
from sentinel.metrics.past import PastRuns
from sentinel.metrics.subject import Subject
from sentinel.metrics.survey import Moment, Surveyor, View

PATIENCE = 1.0
"""Seconds that guards have for an answer: nobody scrapes again in a moment."""


def look_once(
    subjects: Sequence[Subject], wanted: frozenset[str], places: Sequence[Place] = ()
) -> list[View]:
    """The rows of `subjects` and of the runs that are over. No trend: that takes several looks."""
    answers = asyncio.run(_answers(subjects))
    surveyor = Surveyor(PastRuns(places).read)
    return surveyor.look(subjects, answers, Moment(monotonic(), wall()), extras(wanted))


async def _answers(subjects: Sequence[Subject]) -> Mapping[str, Mapping[str, object]]:
    inquirer = Inquirer()
    try:
        return await inquirer.ask({s.socket for s in subjects if s.socket}, PATIENCE)
    finally:
        await inquirer.close()
