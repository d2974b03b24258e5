"""The part of Dockerfiles and .dockerignore that this project uses; anything else is refused."""

import fnmatch
import json
import os
import re
import shlex
from collections.abc import Iterator
from typing import NamedTuple


class Copy(NamedTuple):
    """Files of the context, or of the stage `source`, and where they go."""

    source: str
    names: tuple[str, ...]
    target: str


class Run(NamedTuple):
    """A shell command."""

    command: str


Step = Copy | Run


class Stage(NamedTuple):
    """One FROM and all that follows it. `arguments` are those that a build may set."""

    base: str
    name: str
    steps: tuple[tuple[str, Step], ...]
    environment: dict[str, str]
    arguments: tuple[str, ...]
    directory: str
    command: tuple[str, ...]


def parse(text: str) -> list[Stage]:
    """Read the stages of a Dockerfile. Raises ValueError for what is not known here."""
    stages: list[Stage] = []
    for word, rest in _instructions(text):
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            stages.append(Stage(base, name, (), {}, (), "/", ()))
        else:
            stages[-1] = _with(stages[-1], word, rest)
    return stages


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    kept = [line for line in text.splitlines() if line.strip() and line.lstrip()[0] != "#"]
    for line in re.sub(r"\\\n", " ", "\n".join(kept)).splitlines():
        word, _, rest = line.strip().partition(" ")
        yield word, rest.strip()


def _with(stage: Stage, word: str, rest: str) -> Stage:
    """Return the stage with one instruction more."""
    if word == "ENV":
        given = dict(pair.split("=", 1) for pair in shlex.split(rest))
        return stage._replace(environment={**stage.environment, **given})
    if word == "ARG":
        return stage._replace(arguments=(*stage.arguments, rest))
    if word == "WORKDIR":
        return stage._replace(directory=os.path.join(stage.directory, rest))
    if word == "CMD":
        return stage._replace(command=tuple(json.loads(rest)))
    if word == "RUN":
        return stage._replace(steps=(*stage.steps, (stage.directory, Run(rest))))
    if word == "COPY":
        return stage._replace(steps=(*stage.steps, (stage.directory, _copy(rest))))
    raise ValueError(f"instruction {word} {rest!r} is not known here: teach it to tests/containers")


def _copy(rest: str) -> Copy:
    words = rest.split()
    source = words.pop(0).removeprefix("--from=") if words[0].startswith("--from=") else ""
    if any(word.startswith("--") for word in words):
        raise ValueError(f"COPY {rest!r} needs BuildKit, which Docker 20.10 does not use by itself")
    return Copy(source, tuple(words[:-1]), words[-1])


def context(ignore: str, names: list[str]) -> list[str]:
    """Those of `names`, relative to the checkout, that a build is given; the last pattern wins."""
    patterns = [line for line in ignore.splitlines() if line and not line.startswith("#")]
    return [name for name in names if not _is_ignored(name, patterns)]


def _is_ignored(name: str, patterns: list[str]) -> bool:
    ignored = False
    parts = name.split("/")
    above = ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
    for pattern in patterns:
        bare = pattern.removeprefix("!")
        if bare.startswith("**/"):
            matched = any(fnmatch.fnmatchcase(part, bare[3:]) for part in parts)
        else:
            matched = any(_matches(path, bare) for path in above)
        if matched:
            ignored = not pattern.startswith("!")
    return ignored


def _matches(path: str, pattern: str) -> bool:
    """Whether a pattern means this path: a star does not pass a slash."""
    mine, theirs = path.split("/"), pattern.split("/")
    return len(mine) == len(theirs) and all(map(fnmatch.fnmatchcase, mine, theirs))
