"""Asks many guards at once, over their sockets, for what only they know.

Nobody is waited for longer than the deadline: an answer that is late is told at the next look,
and until then the one before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping

from sentinel.metrics.answer import parse_answer

DEADLINE = 0.1
"""Seconds that a scrape waits for answers."""
PATIENCE = 5.0
"""Seconds after which a question is given up."""
LONGEST_ANSWER = 1 << 17
QUESTION = b"metrics json\n"


class Inquirer:
    """Remembers the last answer of every guard that it asked lately."""

    def __init__(self) -> None:
        """Nobody was asked yet."""
        self._answers: dict[str, Mapping[str, object]] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}

    async def ask(
        self, paths: Collection[str], deadline: float = DEADLINE
    ) -> Mapping[str, Mapping[str, object]]:
        """The newest answers of the guards at `paths`, by path; the others are forgotten."""
        self._answers = {path: told for path, told in self._answers.items() if path in paths}
        for path in paths:
            if path not in self._asking:
                self._asking[path] = asyncio.create_task(self._ask(path))
        asked = [task for path, task in self._asking.items() if path in paths]
        if asked:
            await asyncio.wait(asked, timeout=deadline)
        return dict(self._answers)

    async def _ask(self, path: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                line = await _answer_of(path)
        except (OSError, TimeoutError, ValueError):
            self._answers.pop(path, None)
            return
        finally:
            del self._asking[path]
        document = parse_answer(line)
        if document is not None:
            self._answers[path] = document

    async def close(self) -> None:
        """Give up every question."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _answer_of(path: str) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path, limit=LONGEST_ANSWER)
    try:
        writer.write(QUESTION)
        return await reader.readline()
    finally:
        writer.transport.abort()
