"""What an exporter told, scrape by scrape, as a file: one line for each series.

    # kernel=6.12.48 command=batches.py limit=134217728
    # 0.000 1.002 2.001 ...
    sentinel_memory_anon_bytes{run="batches"} - 1048576 2097152*3 -

The second line are the seconds of the scrapes. A value that repeats is written once, with how
often; a dash is a scrape in which the series was not there.
"""

from __future__ import annotations

import itertools
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

HERE = os.path.dirname(os.path.abspath(__file__))
PATH = os.path.join(HERE, "batches.txt")

LABELS = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Recording(NamedTuple):
    """Seconds of the scrapes, and each series by its name with its labels; None: not there."""

    about: Mapping[str, str]
    times: Sequence[float]
    series: Mapping[str, Sequence[float | None]]

    def one(self, name: str, **labels: str) -> Sequence[float | None]:
        """The one series of that name that has `labels`, whatever others it has.

        :raises LookupError: there is none, or more than one.
        """
        found = [
            values
            for key, values in self.series.items()
            if key.partition("{")[0] == name and labels.items() <= dict(LABELS.findall(key)).items()
        ]
        if len(found) != 1:
            raise LookupError(f"{len(found)} series {name} with {labels}: record it again")
        return found[0]


def parse_page(text: str) -> dict[str, float]:
    """The samples of an exporter's page in Prometheus's text format, Sentinel's own alone."""
    found = {}
    for line in text.splitlines():
        key, _, value = line.rpartition(" ")
        if key.startswith("sentinel_"):
            found[key] = float(value)
    return found


def gathered(
    about: Mapping[str, str], pages: Sequence[tuple[float, Mapping[str, float]]]
) -> Recording:
    """Make a recording of scrapes: seconds, and what each page said."""
    keys = dict.fromkeys(key for _, page in pages for key in page)
    series = {key: [page.get(key) for _, page in pages] for key in keys}
    return Recording(about, [at for at, _ in pages], series)


def write(recording: Recording) -> str:
    """The recording as text."""
    lines = [
        "# " + " ".join(f"{key}={value}" for key, value in recording.about.items()),
        "# " + " ".join(f"{at:.3f}" for at in recording.times),
        *(f"{key} {' '.join(_packed(values))}" for key, values in recording.series.items()),
    ]
    return "\n".join(lines) + "\n"


def _packed(values: Iterable[float | None]) -> Iterable[str]:
    for value, group in itertools.groupby(values):
        often = len(list(group))
        word = "-" if value is None else _number(value)
        yield word if often == 1 else f"{word}*{often}"


def _number(value: float) -> str:
    return "+Inf" if value == math.inf else f"{value:.10g}"


def read(path: str = PATH) -> Recording:
    """Read the recording at `path`."""
    with open(path, encoding="utf-8") as file:
        head, times, *lines = file.read().splitlines()
    about = dict(word.split("=", 1) for word in head.removeprefix("# ").split())
    series: dict[str, list[float | None]] = {}
    for line in lines:
        key, _, words = line.rpartition("} ")
        series[key + "}"] = [value for word in words.split() for value in _unpacked(word)]
    return Recording(about, [float(word) for word in times.removeprefix("# ").split()], series)


def _unpacked(word: str) -> list[float | None]:
    value, _, often = word.partition("*")
    return [None if value == "-" else float(value)] * int(often or 1)


def openmetrics(recording: Recording, began: float, labels: Mapping[str, str]) -> str:
    """The recording as OpenMetrics with times from `began` on, and the labels of a scrape."""
    more = ",".join(f'{name}="{value}"' for name, value in labels.items())
    lines = [
        f"{key[:-1]},{more}}} {_number(value)} {began + at:.3f}"
        for key, values in recording.series.items()
        for at, value in zip(recording.times, values, strict=True)
        if value is not None
    ]
    return "\n".join([*lines, "# EOF", ""])
