"""What `diagnose` and `run --diagnose` show on the terminal."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unlearn_bench.schema import MetricValue

# The few numbers to begin with; the others are in the files.
HEADLINES = {
    "token_distribution": ("forced_entity_gold_probability", "forced_entity_flattened", "forced_entity_repeaked"),
    "logit_lens": ("entity_formation_layer", "entity_residual", "entity_residual_excess"),
    "circuits": ("subject_share", "subject_share_reference"),
    "depth": ("uds", "control"),
    "weights": ("update_norm", "flips_int8", "flips_nf4"),
}


def print_numbers(
    tables: Mapping[str, Mapping[str, "MetricValue"]], lines: Iterable[str], *, headlines: bool = False
) -> None:
    """Print diagnostics' numbers, and lines below: what is missing, what should not be read.

    Args:
        tables: Diagnostic to name to number.
        lines: Each printed as it is.
        headlines: Only `HEADLINES`.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from unlearn_bench.result_table import PIPE_WIDTH, format_interval, format_value

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, PIPE_WIDTH)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("diagnostic", "number", "value", "95 % interval", "n", "unscored"):
        table.add_column(name, justify="left" if name in ("diagnostic", "number") else "right")
    starred = False
    for diagnostic, numbers in tables.items():
        shown = {k: v for k, v in numbers.items() if not headlines or k in HEADLINES[diagnostic]}
        for row, (name, value) in enumerate(shown.items()):
            cells = (diagnostic if row == 0 else "", name, format_value(value.value), format_interval(value))
            starred = starred or cells[-1].endswith("*")
            counts = (str(value.n), str(value.unscored))
            table.add_row(*map(Text, (*cells, *counts)), end_section=row == len(shown) - 1)
    console.print(table)
    note = ["* interval over clusters of questions, not over single ones"] if starred else []
    for line in (*note, *lines):
        console.print(Text(line), soft_wrap=True)


def missing_lines(unavailable: Mapping[str, str]) -> list[str]:
    """What was not computed, and why."""
    return [f"{name}: not available, {why}" for name, why in unavailable.items()]
