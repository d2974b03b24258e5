"""Draw again what the docs show of the code: `make diagram`.

docs/architecture.svg and docs/sentinel.1 are written whole, the pages only between their
markers. tests/docs/ fails when one of them is not what the code says.
"""

from __future__ import annotations

import os
import sys

from docs import blueprint, floorplan, leakpictures, manual, metricstable, statechart, usage

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

BEGIN = "<!-- drawn by `make diagram`: change the code, not these lines -->"
END = "<!-- drawn until here -->"


DRAWN = (
    "README.md",
    "docs/architecture.md",
    "docs/architecture.svg",
    "docs/escalation.md",
    "docs/leak-composition.svg",
    "docs/leak-staircase.svg",
    "docs/metrics.md",
    manual.PATH,
)


def drawings(root: str) -> dict[str, str]:
    """Return what each drawn file should hold, by its path below `root`."""
    rooms = floorplan.survey(root)
    between = {
        "README.md": usage.table(),
        "docs/architecture.md": floorplan.import_table(rooms),
        "docs/escalation.md": statechart.sections(),
        "docs/metrics.md": metricstable.table(),
    }
    drawn = {path: between_markers(root, path, text) for path, text in between.items()}
    drawn["docs/architecture.svg"] = blueprint.draw(rooms)
    return {**drawn, **leakpictures.pictures(), manual.PATH: manual.page()}


def between_markers(root: str, path: str, text: str) -> str:
    """Return the file at `path` with `text` between its markers."""
    head, begin, rest = read(root, path).partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise LookupError(f"{path} lacks its markers; they are the lines {BEGIN!r} and {END!r}")
    return f"{head}{BEGIN}\n\n{text}\n\n{END}{tail}"


def read(root: str, path: str) -> str:
    """The text of a file of the project; empty when there is none."""
    try:
        with open(os.path.join(root, path), encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def main() -> int:
    """Write every drawing that is not what it should be."""
    for path, text in drawings(ROOT).items():
        if read(ROOT, path) != text:
            with open(os.path.join(ROOT, path), "w", encoding="utf-8") as file:
                file.write(text)
            print(f"drawn: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
