"""What a run shows on the terminal while it works; on standard error, so that the table can be piped."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unlearn_bench.harness.progress import Progress

STAGES = {
    "load": "loading the model",
    "run": "generating and scoring",
    "aggregate": "computing intervals",
    "diagnose": "looking inside",
}


@contextmanager
def show_progress(*, quiet: bool) -> "Iterator[Progress]":
    """Yield a Progress that draws a bar on standard error, where that is a terminal, in the first process only."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    from unlearn_bench.harness.progress import Progress

    if quiet or not sys.stderr.isatty() or os.environ.get("RANK", "0") != "0":
        yield Progress()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, console=Console(file=sys.stderr), transient=True) as bar:
        line = bar.add_task("starting", total=None)
        yield Progress(
            stage=lambda name: bar.update(line, description=STAGES.get(name, name)),
            total=lambda count: bar.update(line, total=count),
            answers=lambda count: bar.advance(line, count),
        )
