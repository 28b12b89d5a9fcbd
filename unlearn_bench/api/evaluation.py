"""What `evaluate` and `score` return: a result with its samples."""

import io
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from unlearn_bench import results
from unlearn_bench.errors import UserError
from unlearn_bench.schema import MetricValue, Result, Sample

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, repr=False)
class Evaluation:
    """A result with its samples. Printed, it is the table that `run` prints.

    Attributes:
        result: All of result.json; see `schema.Result`.
        errors: One line for each row that `score` could not read.
    """

    result: Result
    errors: tuple[str, ...] = ()
    _samples: tuple[Sample, ...] | None = None

    @property
    def samples(self) -> tuple[Sample, ...]:
        """The scored answers, one for each question, sorted by task and row.

        Raises:
            UserError: if only the result is at hand (a board's entry without kept samples).
        """
        if self._samples is None:
            raise UserError(
                f"the samples of {self.result.model.name} are missing",
                hint="keep samples.jsonl next to result.json; boards keep those that `submit --keep-samples` brings",
            )
        return self._samples

    @property
    def metrics(self) -> dict[str, MetricValue]:
        """Every number by "task/metric", with its interval and its counts."""
        return {f"{t}/{m}": value for t, task in self.result.tasks.items() for m, value in task.metrics.items()}

    def to_dict(self) -> dict[str, object]:
        """result.json as a dictionary."""
        return self.result.model_dump(mode="json")

    def to_frame(self, of: Literal["metrics", "samples"] = "metrics") -> "pandas.DataFrame":
        """A pandas table: a row for each metric of each task, or for each answer.

        Args:
            of: "metrics" has the columns task, metric and the fields of `schema.MetricValue`; "samples" has the
                fields of `schema.Sample`, and a column for each metric with the answer's score.

        Raises:
            UserError: if pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise UserError("to_frame needs pandas", hint="pip install pandas, or use to_dict()") from None
        if of == "metrics":
            return pandas.DataFrame(
                [
                    {"task": task, "metric": name, **value.model_dump()}
                    for task, found in self.result.tasks.items()
                    for name, value in found.metrics.items()
                ]
            )
        rows = [sample.model_dump(exclude={"scores"}) | sample.scores for sample in self.samples]
        return pandas.DataFrame(rows)

    def save(self, folder: "str | PathLike[str]", *, overwrite: bool = False) -> None:
        """Write result.json and samples.jsonl, as `run --output` does.

        Raises:
            UserError: if the folder holds another result and `overwrite` is false, or there are no samples.
        """
        target = Path(folder)
        if (target / results.RESULT_FILE).exists() and not overwrite:
            old = results.read_result(target)
            if old.fingerprint != self.result.fingerprint:
                raise UserError(f"{target} holds another result, of {old.model.name}", hint="pass overwrite=True")
        with results.writing(target):
            results.write_results(target, self.result, list(self.samples))

    def __repr__(self) -> str:
        from rich.console import Console

        from unlearn_bench.result_table import PIPE_WIDTH, print_table

        text = io.StringIO()
        console = Console(file=text, width=PIPE_WIDTH, highlight=False)
        print_table(self.result, console=console)
        return "\n".join(line.rstrip() for line in text.getvalue().splitlines()).rstrip()
