"""Rows as aligned columns."""

from collections.abc import Sequence

from ..text import escaped


def table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """Lines of a table, safe to show; columns numbered in `right` are right-aligned."""
    safe = [[escaped(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(head), *safe]) for i in range(len(head))]

    def line(row: Sequence[str]) -> str:
        cells = (f"{c:>{w}}" if i in right else f"{c:<{w}}" for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        return "  ".join(cells).rstrip()

    return [line(head), *(line(row) for row in safe)]
