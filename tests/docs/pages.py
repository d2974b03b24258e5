"""Markdown pages as data: what they show as code, where they link to, what their headings are."""

import os
import re
from typing import NamedTuple

FENCE = re.compile(r"^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)|\bsrc=\"([^\"]+)\"")
HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)


class Page(NamedTuple):
    """One page: its path below the root, and its text."""

    path: str
    text: str

    @property
    def prose(self) -> str:
        """The text without its code blocks."""
        return FENCE.sub("", self.text)

    def blocks(self, *kinds: str) -> list[str]:
        """Its code blocks of these kinds."""
        return [found["text"] for found in FENCE.finditer(self.text) if found["kind"] in kinds]

    def spans(self) -> list[str]:
        """What stands between backquotes in its prose; a table's escaped bars are bars."""
        return [text.replace("\\|", "|") for text in SPAN.findall(self.prose)]

    def links(self) -> list[str]:
        """Where it links to, pictures included."""
        return ["".join(found) for found in LINK.findall(SPAN.sub("", self.prose))]

    def anchors(self) -> set[str]:
        """The names by which its headings can be linked to."""
        return {
            re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
            for heading in HEADING.findall(self.prose)
        }

    def commands(self) -> list[str]:
        """Lines that a reader would type: all of a `sh` block, what follows `$` in a `console`."""
        lines = [line for block in self.blocks("sh") for line in block.splitlines()]
        for block in self.blocks("console"):
            lines += [line[2:] for line in block.splitlines() if line.startswith("$ ")]
        bare = [re.sub(r"(^|\s+)#.*", "", line) for line in lines]
        return [line for line in bare if line.strip()]


def pages(root: str) -> list[Page]:
    """Return every page of the project below `root`."""
    paths = [name for name in os.listdir(root) if name.endswith(".md")]
    for directory in ("docs", "benchmarks"):
        if os.path.isdir(os.path.join(root, directory)):
            names = os.listdir(os.path.join(root, directory))
            paths += [f"{directory}/{name}" for name in names if name.endswith(".md")]
    found = []
    for path in sorted(paths):
        with open(os.path.join(root, path), encoding="utf-8") as file:
            found.append(Page(path, file.read()))
    return found
