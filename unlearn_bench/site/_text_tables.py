"""One table as Markdown, LaTeX or CSV; every text of it is escaped here."""

import csv
import io
from collections.abc import Iterable, Sequence

from unlearn_bench.untrusted.escape import csv_text, latex, markdown


def markdown_table(title: str | None, head: Sequence[str], rows: Iterable[Sequence[str]], note: str, sides: str) -> str:
    """A table of GitHub's Markdown.

    Args:
        title: Above the table, in bold.
        head: The columns' names.
        rows: As many texts each.
        note: Below the table.
        sides: A letter for each column, as LaTeX has it: "l" for text, "r" for numbers.
    """
    rule = "|" + "".join(" --- |" if side == "l" else " ---: |" for side in sides)
    lines = [_row(head), rule, *map(_row, rows)]
    above = [f"**{markdown(title)}**", ""] if title else []
    return "\n".join([*above, *lines, "", markdown(note), ""])


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(map(markdown, cells))} |"


def latex_table(title: str | None, head: Sequence[str], rows: Iterable[Sequence[str]], note: str, sides: str) -> str:
    """The same table for LaTeX, with the rules of the package booktabs."""

    def row(cells: Iterable[str]) -> str:
        return " & ".join(map(latex, cells)) + r" \\"

    body = [rf"\begin{{tabular}}{{{sides}}}", r"\toprule", row(head), r"\midrule", *map(row, rows), r"\bottomrule"]
    caption = latex(f"{title}. {note}" if title else note)
    lines = [r"\begin{table}", r"\centering", *body, r"\end{tabular}", rf"\caption{{{caption}}}", r"\end{table}"]
    return "\n".join(["% needs \\usepackage{booktabs}", *lines, ""])


def csv_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """The table as CSV; None is an empty cell."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(map(csv_text, head))
    writer.writerows([csv_text(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    return buffer.getvalue()


def number(value: float) -> str:
    """Three places; none where the number is large, more significant ones where it is small.

    >>> number(0.5), number(3042.4), number(0.00098)
    ('0.500', '3042', '0.00098')
    """
    if 1000 <= abs(value) < 1e6:
        return f"{value:.0f}"
    return f"{value:.3f}" if 0.01 <= abs(value) < 1000 or value == 0 else f"{value:.3g}"
