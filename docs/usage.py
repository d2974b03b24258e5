"""The options of `sentinel exec` as a Markdown table, from the table that the CLI is made of."""

from __future__ import annotations

from sentinel.config.options import OPTIONS, Option

DEFAULT = "[default: "


def table() -> str:
    """Every option with its meaning, its default, and whether a file may set it."""
    lines = ["| option | meaning | default |", "| --- | --- | --- |"]
    return "\n".join([*lines, *map(_row, OPTIONS)])


def _row(option: Option) -> str:
    meaning, _, default = option.help.partition(DEFAULT)
    gap = "" if option.alone else " "
    names = f"--{option.name}{gap}{option.metavar}".strip()
    names = f"`-{option.short}`, `{names}`" if option.short else f"`{names}`"
    cells = (names, meaning.strip(), default.removesuffix("]") or "off")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
