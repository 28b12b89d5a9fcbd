"""What `compare` found as text: a table for each result that was compared with the first, and the flips below it."""

import io
from typing import TYPE_CHECKING

from unlearn_bench.comparison import compare, output

if TYPE_CHECKING:
    from unlearn_bench.comparison.compare import CompareReport

WIDTH = 150
SHOWN_FLIPS = 10


def to_text(report: "CompareReport", flips: int = SHOWN_FLIPS) -> str:
    """The tables, the first `flips` changed questions of each metric, why others were not compared, and how all ran."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    buffer = io.StringIO()
    console = Console(file=buffer, width=WIDTH, highlight=False)
    for index, name in enumerate(report.names[1:]):
        table = Table(box=None, pad_edge=False)
        table.add_column("metric")
        for column in (report.names[0], name, *compare.COLUMNS):
            table.add_column(Text(output.clip(column, 40)), justify="right")
        for row in report.rows:
            cells = [row.key, output.number(row.reference), *compare.cells_of(row.others[index])]
            table.add_row(*map(Text, cells))
        console.print(table)
        for line in _flip_lines(report, index, flips):
            console.print(Text(line), soft_wrap=True)
        console.print()
    for note in [*(f"not compared: {reason}" for reason in report.unlike), *report.provenance]:
        console.print(Text(output.clip(note, 400)), soft_wrap=True)
    return buffer.getvalue()


def _flip_lines(report: "CompareReport", index: int, limit: int) -> list[str]:
    """The questions that changed between the first result and the `index`th of the others."""
    lines = []
    for row in report.rows:
        other = row.others[index]
        if other.flips and limit and row.higher_is_better is not None:
            lines.append(f"{row.key}: {other.worse} questions for the worse, {other.better} for the better")
            for flip in other.flips[:limit]:
                lines.append(f"  {'+' if flip.better else '-'} {flip.id}: {output.clip(flip.question)}")
                lines.append(f"      {report.names[0]}: {output.clip(flip.old_response)}")
                lines.append(f"      {report.names[index + 1]}: {output.clip(flip.new_response)}")
    return lines
