"""Lines to stderr from a guard that must not stand still because nobody reads them."""

from __future__ import annotations

import errno
import os
import select

from sentinel.report.lines import line

STDERR = 2

LAST_WORD_MS = 1_000
"""How long a final line may wait for a slow reader, milliseconds."""

_RWF_NOWAIT = 0x8
"""pwritev2(2): fail rather than wait. Python has the name for reading only on some builds."""


def say(text: str, patience_ms: int = 0) -> None:
    """Write `text` as one line of Sentinel's. What cannot be written in time is dropped.

    Never raises: a terminal that hung up or a pipe that broke is not the guarded command's
    trouble.
    """
    poll = select.poll()
    poll.register(STDERR, select.POLLOUT)
    try:
        if poll.poll(patience_ms):
            _write_now(line(text))
    except OSError:
        return


def _write_now(data: bytes) -> None:
    """Write a line to a descriptor that polled as writable.

    The guarded command may fill the same pipe between the poll and the write, and an
    inherited descriptor must not be made non-blocking: it is shared. So the one write is told
    not to wait where the kernel can be told (pipes since Linux 6.4).
    """
    try:
        os.pwritev(STDERR, [data], -1, _RWF_NOWAIT)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.ESPIPE):
            raise
        os.write(STDERR, data)
