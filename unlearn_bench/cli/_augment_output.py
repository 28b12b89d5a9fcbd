"""What `augment` shows: a bar while it works, and its summary as a table."""

import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unlearn_bench.augment.pipeline import Progress


def bar(*, quiet: bool) -> "AbstractContextManager[Progress]":
    """Calls `progress(stage, done, total)`; nothing is drawn without a terminal."""
    if quiet or not sys.stderr.isatty():
        return nullcontext(lambda stage, done, total: None)
    return _Bar()


class _Bar:
    """A progress bar on standard error, one line for each stage."""

    def __enter__(self) -> "Progress":
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, console=Console(file=sys.stderr), transient=True)
        self._lines: dict[str, object] = {}
        self._bar.start()
        return self._step

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def _step(self, stage: str, done: int, total: int) -> None:
        if stage not in self._lines:
            self._lines[stage] = self._bar.add_task(stage, total=total)
        self._bar.update(self._lines[stage], completed=done, total=total)


def show(told: dict[str, object], output: Path) -> None:
    """The summary as a table, and what it does not say by itself below."""
    from rich.console import Console
    from rich.table import Table

    table = Table(
        title=f"{told['dataset']}: {told['rows']} rows from {told['sources']} pairs, writer {told['writer']}",
        show_header=False,
    )
    table.add_column("")
    table.add_column("", justify="right")
    for kind, count in told["rows_by_kind"].items():
        table.add_row(kind, str(count))
    table.add_section()
    for name, rate in told["leak_rate"].items():
        before_or_after, _, counted = name.partition("_")
        label = f"leak rate {before_or_after} verification" + (f", {counted.replace('_', ' ')}" if counted else "")
        table.add_row(label, "-" if rate is None else f"{100 * rate:.1f} %")
    table.add_row("fluency of the answers", "-" if told["fluency"] is None else f"{told['fluency']:.3f}")
    table.add_row("distinct answers", str(told["distinct_answers"]))
    table.add_row("asked again (questions, answers)", ", ".join(str(n) for n in told["retries"].values()))
    table.add_row("failed every try", str(told["failed"]))
    for name, value in told["usage"].items():
        table.add_row(name.replace("_", " "), "-" if value is None else f"{value:g}")
    Console().print(table)
    generic, distinct = told["rows_by_kind"]["generic"], told["generic_distinct"]
    if generic > distinct:
        sys.stdout.write(
            f"{generic} generic rows are made of {distinct} pairs, each about {generic / distinct:.0f} times; "
            "--generic FILE brings others, --generic-ratio fewer\n"
        )
    sys.stdout.write(f"{output}\n{output}.summary.json\n")
