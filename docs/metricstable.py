"""The metrics as a Markdown table, from the table that the collector is made of."""

from __future__ import annotations

from sentinel.metrics.catalogue import BUILD_INFO, CATALOGUE, Row


def table() -> str:
    """Every row: name, type, labels besides `run`, and its help."""
    lines = ["| metric | type | labels | what it is |", "| --- | --- | --- | --- |"]
    return "\n".join([*lines, *map(_row, (*CATALOGUE, BUILD_INFO))])


def _row(row: Row) -> str:
    labels = ", ".join(f"`{label}`" for label in row.labels)
    return f"| `{row.name}` | {row.kind.value} | {labels} | {row.help} |"
