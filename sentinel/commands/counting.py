"""Counts a run that is over before anybody comes to attend it, or that never began."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from sentinel.model.outcome import Moment, Outcome, Verdict

if TYPE_CHECKING:
    from sentinel.model.spec import Command


class Count:
    """One run's. Whoever attends the run sets `attended`, and counts it then."""

    def __init__(self, command: Command) -> None:
        """`command` is what runs."""
        self._command = os.fsdecode(os.path.basename(command.argv[0]))
        self._texts: dict[str, str] = {}
        self.attended = False

    def told(self, moment: Moment, leaf: str) -> None:
        """A moment of the run; what its leaf has counted is read before it goes with the leaf."""
        if not leaf or self.attended:
            return
        with suppress(OSError, ImportError):  # no descriptor is left to import it through
            from sentinel.metrics.lastword import LAST_MOMENTS, final_texts

            if moment.what in LAST_MOMENTS:
                self._texts = final_texts(leaf)

    def ended(self, outcome: Outcome) -> str:
        """Leave the run's last word if nobody else did; why it is lost, else nothing."""
        if self.attended and outcome.verdict is not Verdict.FAILED_TO_START:
            return ""
        try:
            from sentinel.metrics.lastword import count_unattended
        except (OSError, ImportError) as error:
            return f"the run's last metrics are lost: {error}"
        return count_unattended(outcome, self._command, self._texts)
