"""What the pages may name: options, verbs, verdicts, make targets, files, variables.

Each law takes a page and the root of the tree, and returns what the page names and the tree
does not have, one line each.
"""

import glob
import os
import re
import shlex
from collections.abc import Iterator

import click

from sentinel.commands.group import Verbs
from sentinel.commands.main import VERBS
from sentinel.config.options import OPTIONS
from sentinel.model.outcome import Verdict
from tests.docs.pages import Page, pages

PLACEHOLDER = re.compile(r"[A-Z.]+|\[.*")
DASHED = re.compile(r"[a-z]+(-[a-z]+)+")
VARIABLE = re.compile(r"\bSENTINEL_[A-Z_]+\b")
TARGET = re.compile(r"^([a-z-]+):", re.MULTILINE)
TOLD = re.compile(r"^sentinel: [^:]+: ([a-z-]+): ", re.MULTILINE)
JSON_VERDICT = re.compile(r"\"verdict\": \"([^\"]*)\"")

OTHERS = {"systemd-run", "copy-on-write", "soft-dirty", "user-mode-linux", "process-events"}
"""Words with a dash that are not ours: other programs and the kernel's terms."""

OURS = {"help", "version"}
"""Options that click gives to every verb."""


def _options_of_verbs() -> set[str]:
    """Every option of every verb, as click reads it."""
    group = Verbs(VERBS)
    context = click.Context(group)
    commands = [group.get_command(context, name) for name in group.list_commands(context)]
    return {
        word for one in commands if one is not None for param in one.params for word in param.opts
    }


def unknown_options(page: Page) -> list[str]:
    """Find options of ours that do not exist: a span that begins with a dash is one of ours."""
    known = {f"--{name}" for name in OURS} | {f"--{option.name}" for option in OPTIONS}
    known |= {f"-{option.short}" for option in OPTIONS if option.short} | _options_of_verbs()
    return [
        f"{page.path}: option {span!r} does not exist"
        for span in page.spans()
        if span.startswith("-") and span != "--" and re.split(r"[ =\[]", span)[0] not in known
    ]


def unknown_verdicts(page: Page) -> list[str]:
    """Find verdicts that do not exist: dashed words, and what shown output says."""
    known = {verdict.value for verdict in Verdict}
    blocks = "\n".join(page.blocks("console", "text", "json", ""))
    told = TOLD.findall(blocks) + JSON_VERDICT.findall(page.text)
    keys = {option.name for option in OPTIONS}
    named = [span for span in page.spans() if DASHED.fullmatch(span)]
    unknown = [word for word in named if word not in known | keys | OTHERS]
    unknown += [word for word in told if word not in known]
    return [f"{page.path}: verdict {word!r} does not exist" for word in unknown]


def unknown_verbs(page: Page) -> list[str]:
    """Find verbs that do not exist: `sentinel` and a word, in prose."""
    return [
        f"{page.path}: verb {words[1]!r} does not exist"
        for span in page.spans()
        if (words := span.split())[0] == "sentinel" and len(words) > 1
        if words[1] not in VERBS
        and words[1].lstrip("-") not in OURS
        and not PLACEHOLDER.fullmatch(words[1])
    ]


def unknown_targets(page: Page, root: str) -> list[str]:
    """Find make targets that do not exist, in prose and in commands."""
    with open(os.path.join(root, "Makefile"), encoding="utf-8") as file:
        known = set(TARGET.findall(file.read()))
    return [
        f"{page.path}: make target {word!r} does not exist"
        for line in page.spans() + page.commands()
        if (words := line.split())[:1] == ["make"] or words[:2] == ["sudo", "make"]
        for word in words[words.index("make") + 1 :]
        if "=" not in word and word not in known
    ]


def unknown_files(page: Page, root: str) -> list[str]:
    """Find files of the project that do not exist, in prose and in commands."""
    words = [span for span in page.spans() if _is_file(span)]
    # What a reader types may name files of his own, but not in our directories.
    words += [
        word
        for line in page.commands()
        for word in shlex.split(line)
        if _is_file(word) and os.path.isdir(os.path.join(root, word.split("/")[0]))
    ]
    return [
        f"{page.path}: file {word!r} does not exist"
        for word in words
        if not word.startswith((".", "./")) and not glob.glob(os.path.join(root, word))
    ]


def _is_file(word: str) -> bool:
    """Whether a word looks like a relative path."""
    plain = re.fullmatch(r"[\w.*-]+(/[\w.*-]+)*/?", word)
    return bool(plain) and ("/" in word or word.endswith((".py", ".md", ".toml", ".svg")))


def unknown_variables(page: Page, root: str) -> list[str]:
    """Find environment variables of ours that no program of the project reads."""
    known = {option.variable for option in OPTIONS}
    for where in ("sentinel/**/*.py", "tests/*.py", "tests/lab/*.py"):
        for path in glob.glob(os.path.join(root, where), recursive=True):
            with open(path, encoding="utf-8") as file:
                known |= set(VARIABLE.findall(file.read()))
    return [
        f"{page.path}: variable {name!r} is read by nothing"
        for name in VARIABLE.findall(page.text)
        if name not in known
    ]


def broken_links(page: Page, root: str) -> list[str]:
    """Find relative links to a page, picture or heading that does not exist."""
    by_path = {other.path: other for other in pages(root)}
    return list(_broken(page, root, by_path))


def _broken(page: Page, root: str, by_path: dict[str, Page]) -> Iterator[str]:
    for link in page.links():
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", path):
            continue
        there = os.path.normpath(os.path.join(os.path.dirname(page.path), path))
        target = by_path.get(there) if path else page
        if path and not os.path.exists(os.path.join(root, there)):
            yield f"{page.path}: link to {link!r}, which does not exist"
        elif anchor and (target is None or anchor not in target.anchors()):
            yield f"{page.path}: link to {link!r}, where there is no such heading"
