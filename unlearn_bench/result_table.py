"""A result as a table for people; scripts read `--json` or result.json instead."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from unlearn_bench.errors import printable
from unlearn_bench.result_words import answer_lines
from unlearn_bench.schema import CANNOT_READ, BeforeAfter, MetricValue, Result, StressInfo, StressRow, TaskResult
from unlearn_bench.schema_judges import Coefficient

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

# In result.json, but not in the table: evidence, flags, what the linguistic score and membership are made of, and
# second readings of numbers that are there.
HIDDEN = frozenset({
    "coverage", "nli_contradiction", "empty", "degenerate", "brunet_index", "honore_statistic", "root_ttr",
    "rouge1_recall", "loss", "loss_zlib", "min_k", "min_k_plus_plus", "gradnorm", "truth_ratio_probability",
    "forget_shift_p",
})  # fmt: skip
COLUMNS = ("task", "metric", "value", "95 % interval", "n", "unscored", "degenerate")
SUBROWS = ("corrected", "place")  # below a value: without its judge's error; between original and oracle
STRESS_COLUMNS = (
    "stress", "task", "metric", "before", "after", "recovery", "oracle", "original", "excess [95 %]", "verdict", "n",
)  # fmt: skip
_RELEARNED = re.compile(r"relearning/forget(\d+)_s(\d+)")
PIPE_WIDTH = 160  # in a file or a pipe nothing should be cut or folded


def print_table(result: Result, *, console: "Console | None" = None) -> None:
    """Print a result: what was scored and how, what it says in words, every metric in a row, notes.

    Args:
        result: What to show.
        console: Where to; standard output if left out.
    """
    from rich.text import Text

    console, table = _console_and_table(console)
    for name in COLUMNS:
        table.add_column(name, justify="left" if name in COLUMNS[:2] else "right", no_wrap=name not in COLUMNS[:2])
    for task, rows in table_rows(result).items():
        for number, row in enumerate(rows):
            cells = [task if number == 0 else "", *row]
            table.add_row(*(Text(cell) for cell in cells), end_section=number == len(rows) - 1)
    console.print(Text(header(result)), soft_wrap=True)
    if answers := answer_lines(result):
        console.print(Text("\n" + "\n".join(answers)), soft_wrap=True)
    console.print(table)
    for line in (*_footnotes(result), *result.notes):
        console.print(Text(line))


def _console_and_table(console: "Console | None") -> "tuple[Console, Table]":
    """Where to print, and an empty table for it."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = console or Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, PIPE_WIDTH)
    return console, Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)


def header(result: Result) -> str:
    """One line that says what was scored and how: model, adapter, profile, limit, prompts, backend."""
    model, run = result.model, result.run
    parts = [f"model {model.name}" + (f" + {model.adapter}" if model.adapter else "")]
    parts += [", ".join(sorted({task.scorer.profile for task in result.tasks.values()})) + " profile"] * bool(
        result.tasks
    )
    parts += [f"limit {run['limit']:g}"] if isinstance(run.get("limit"), int | float) else []
    styles = sorted({task.prompt.style for task in result.tasks.values() if task.prompt})
    parts += [f"prompt {', '.join(styles)}"] if styles else []
    named = {name: run.get(name) for name in ("backend", "dtype", "format")}
    parts += [f"{k} {v}" for k, v in named.items() if isinstance(v, str) and (k, v) != ("format", "auto")]
    return printable(", ".join(parts))


def table_rows(result: Result) -> dict[str, list[tuple[str, ...]]]:
    """The cells of each task, `COLUMNS` without the first; stock lm-eval tasks have only names and values."""
    rows = {
        name: [
            row
            for k, (metric, value) in enumerate(pairs)
            for row in (
                _row(_marked(result, task, metric), value, task.degenerate if k == 0 else None),
                *_corrected(value),
                *_never_knew(value),
                *_place(value),
            )
        ]
        for name, task in result.tasks.items()
        if (pairs := [(metric, value) for metric, value in task.metrics.items() if _is_shown(name, metric, value)])
    }
    for name, metrics in result.other.items():
        n = str(result.other_n.get(name, ""))
        rows[name] = [
            (metric, format_value(value), _stderr(metrics, metric), n, "", "")
            for metric, value in metrics.items()
            if not metric.partition(",")[0].endswith("_stderr")
        ]
    return rows


def _is_shown(task: str, metric: str, value: MetricValue) -> bool:
    """Whether a number has a row; those of a summary that are undefined share a line below the table."""
    return metric not in HIDDEN and not (_is_summary(task) and value.value is None)


def _is_summary(task: str) -> bool:
    """Whether the numbers of a task are those over several roles (`summaries`)."""
    return task.rpartition("_")[2] == "summary"


def _stderr(metrics: Mapping[str, float], metric: str) -> str:
    """lm-eval's standard error of a metric, where it gives one."""
    name, comma, kind = metric.partition(",")
    found = metrics.get(f"{name}_stderr{comma}{kind}")
    return "" if found is None else f"stderr {format_value(found)}"


def _row(name: str, metric: MetricValue, degenerate: int | None) -> tuple[str, ...]:
    last = "" if degenerate is None else str(degenerate)
    return (name, format_value(metric.value), format_interval(metric), str(metric.n), str(metric.unscored), last)


def _corrected(metric: MetricValue) -> list[tuple[str, ...]]:
    """The value without the judge's error, on a line below the raw one."""
    found = metric.corrected
    if found is None:
        return []
    interval = f"{format_value(found.ci95[0])} .. {format_value(found.ci95[1])}"
    return [(f"  {SUBROWS[0]}", format_value(found.value), interval, f"{found.labels} labels", "", "")]


def _never_knew(metric: MetricValue) -> list[tuple[str, ...]]:
    """What a model that never knew scores, on a line below; forgetting ends there, and not at chance or at zero."""
    found = metric.never_knew
    return [] if found is None else [("  never knew", format_value(found.value), "", "", "", "")]


def _place(metric: MetricValue) -> list[tuple[str, ...]]:
    """Where the value lies between original and oracle, on a line below."""
    found = metric.place
    if found is None or found.value is None:
        return []
    interval = "" if found.ci95 is None else " .. ".join(format_value(end) for end in found.ci95)
    return [(f"  {SUBROWS[1]}", format_value(found.value), interval, "over" if found.over_forgotten else "", "", "")]


def place_lines(result: Result) -> list[str]:
    """What places mean, or what is missing for them where forget questions were asked."""
    keyed = {f"{name}/{m}": v for name, task in result.tasks.items() for m, v in task.metrics.items()}
    placed = {key: value.place for key, value in keyed.items() if value.place is not None}
    if placed:
        over = [key for key, found in placed.items() if found.over_forgotten]
        told = f"; over-forgotten, beyond the noise: {_first(over)}" if over else ""
        same = sum(found.value is None for found in placed.values())
        alike = f"; {same} numbers have none, as original and oracle do not differ beyond their noise" if same else ""
        return [f"place: 0 is the original, 1 the oracle, which never saw the forget set, and the aim{alike}{told}"]
    if not any(task.role == "forget" for task in result.tasks.values()):
        return []
    lacking = [f"--{which}" for which in ("original", "oracle") if not result.run.get(which)]
    return (
        [f"where the values stand between original (0) and oracle (1) is not known: pass {' and '.join(lacking)}"]
        if lacking
        else []
    )


def never_knew_lines(result: Result) -> list[str]:
    """Whose values those of models that never knew are, a line for each source."""
    found: dict[str, list[str]] = {}
    for name, task in result.tasks.items():
        for metric, value in task.metrics.items():
            if value.never_knew is not None:
                found.setdefault(value.never_knew.source, []).append(f"{name}/{metric}")
    return [printable(f"never knew: {source}: {_first(places)}") for source, places in found.items()]


def _marked(result: Result, task: TaskResult, metric: str) -> str:
    """A metric's name; that of a judge who fails the planted cases says so."""
    made = {name for judge, info in result.judges.items() if info.weak for name in _JUDGED.get(judge, ())}
    if "forget" in result.judges and task.scorer.parts.get("agreement", "").startswith("llm:"):
        made |= set(_BY_AGREEMENT) if result.judges["forget"].weak else set()
    return f"{metric} (weak judge)" if metric in made else metric


def correction_lines(result: Result) -> list[str]:
    """What corrected values rest on, and why others are not corrected: a line for each, with its metrics."""
    found: dict[str, list[str]] = {}
    for name, task in result.tasks.items():
        for metric, value in task.metrics.items():
            if value.corrected is not None:
                found.setdefault(f"corrected for the judge's error: {value.corrected.basis}", []).append(
                    f"{name}/{metric}"
                )
            elif value.not_corrected is not None:
                found.setdefault(f"not corrected: {value.not_corrected}", []).append(f"{name}/{metric}")
    return [printable(f"{basis}: {_first(places)}") for basis, places in found.items()]


def format_value(value: float | None) -> str:
    """Four significant places after the point for shares, fewer for what is large or next to nothing (a p-value).

    >>> format_value(0.85454), format_value(14.4724), format_value(1896.8), format_value(2.5e7), format_value(None)
    ('0.8545', '14.47', '1897', '2.5e+07', 'undefined')
    >>> format_value(3.905e-22), format_value(0.0)
    ('3.9e-22', '0.0000')
    """
    if value is None:
        return "undefined"
    if 0 < abs(value) < 0.00005:
        return f"{value:.2g}"
    if abs(value) < 10:
        return f"{value:.4f}"
    return f"{value:.2f}" if abs(value) < 1000 else f"{value:.4g}"


def format_interval(metric: MetricValue) -> str:
    """Both ends; a star where the interval was computed over clusters.

    >>> format_interval(MetricValue(value=0.5, ci95=(0.4, 0.6), ci_method="cluster_wilson", n=9))
    '0.4000 .. 0.6000 *'
    """
    if metric.ci95 is None:
        return ""
    star = " *" if _over_clusters(metric) else ""
    return f"{format_value(metric.ci95[0])} .. {format_value(metric.ci95[1])}{star}"


_BY_AGREEMENT = ("kfr", "kfr_fluent", "krr", "known_share")
_JUDGED = {
    "forget": ("judge_forgotten", "judge_forget"),
    "retain": ("judge_retained", "judge_retain"),
    "fluency": ("judge_fluent", "judge_fluency"),
    "relevance": ("judge_relevant", "judge_relevance"),
}


def judge_lines(result: Result) -> list[str]:
    """What is known of the judges: who, how often right, what their verdicts took, how far other scores agree."""
    lines = []
    for name, judge in result.judges.items():
        found = judge.controls
        low, high = (f"{end:.2f}" for end in found.right_ci95)
        sides = ", ".join(
            f"{side} {'-' if value is None else f'{value:.2f}'}"
            for side, value in (("sensitivity", found.sensitivity), ("specificity", found.specificity))
        )
        cost = "" if judge.cost is None else f", cost {judge.cost:.4g}"
        lines.append(
            f"judge {name}: {judge.model} ({judge.endpoint}){', WEAK' if judge.weak else ''}: {found.right} of "
            f"{found.cases} planted cases right ({low} .. {high}), {sides}; {judge.replies} replies, {judge.asked_now} "
            f"asked now, {judge.prompt_tokens:,} + {judge.completion_tokens:,} tokens{cost}"
        )
    lines += [
        f"judge {one.judge} and {one.score} in {one.task}: Krippendorff's alpha {_with_interval(one.alpha)}, weighted "
        f"kappa {_with_interval(one.kappa)}, n {one.alpha.n}"
        for one in result.judge_agreement
    ]
    return [printable(line) for line in lines]


def _with_interval(found: Coefficient) -> str:
    ends = "" if found.ci95 is None else f" ({found.ci95[0]:.2f} .. {found.ci95[1]:.2f})"
    return f"{found.value:.2f}{ends}"


def _over_clusters(metric: MetricValue) -> bool:
    return (metric.ci_method or "").startswith("cluster")


def _footnotes(result: Result) -> list[str]:
    starred = [t for t in result.tasks.values() if any(_over_clusters(m) for m in t.metrics.values())]
    counts = sorted({task.clusters.n for task in starred if task.clusters})
    numbers = f" ({', '.join(map(str, counts))} of them)" if counts else ""
    star = [f"* interval over clusters of questions{numbers}, not over single answers"] if starred else []
    told = (correction_lines, never_knew_lines, place_lines, summary_lines, unscored_lines, cut_lines, judge_lines)
    return [*star, *(line for lines in told for line in lines(result))]


def unscored_lines(result: Result) -> list[str]:
    """Why metrics lack answers, a line for each reason with the metrics and how many answers they lack."""
    found: dict[str, list[str]] = {}
    for name, task in result.tasks.items():
        for metric, value in task.metrics.items():
            for reason, count in value.unscored_reasons.items() if _is_shown(name, metric, value) else ():
                found.setdefault(reason, []).append(f"{name}/{metric} {count}")
    return [printable(f"unscored, {_WORDS.get(reason, reason)}: {_first(places)}") for reason, places in found.items()]


def summary_lines(result: Result) -> list[str]:
    """Which numbers of a summary are undefined and why, a line for each summary."""
    lines = []
    for name, task in result.tasks.items():
        found: dict[str, list[str]] = {}
        for metric, value in task.metrics.items() if _is_summary(name) else ():
            for reason in value.unscored_reasons if value.value is None and metric not in HIDDEN else ():
                found.setdefault(reason, []).append(metric)
        why = [f"no {_first(metrics)}: {_WORDS.get(reason, reason)}" for reason, metrics in found.items()]
        lines += [printable(f"{name}: {'; '.join(why)}")] if why else []
    return lines


_WORDS = {
    "no_oracle": "they need --oracle, a model that never saw the forget set",
    "no_gradients": "it needs a backward pass for each row; ask for it with `run --metrics default,mia_gradnorm`",
    "backend_gives_no_gradients": "only --backend hf computes gradients",
    "gradients_of_quantized_weights": "quantized weights have no gradients",
    "gradients_of_this_adapter": "this kind of adapter has not the gradients of the merged model: merge it first",
    "gradient_of_other_tokens": "the gradient was taken with another --parity",
    "no_holdout_rows": "no holdout rows were asked",
    CANNOT_READ: f"{CANNOT_READ} (the perplexity model knows other text only, so these numbers would say nothing; one "
    "that reads English: --ppl-model smollm2-135m)",
}


def _first(places: list[str], most: int = 4) -> str:
    more = f" and {len(places) - most} more" if len(places) > most else ""
    return ", ".join(places[:most]) + more


_CUT = {
    "thinking": "had a thinking block, which is not part of the answer",
    "next_turn": "went on with another turn",
    "rambling": "went on with another text",
}


def cut_lines(result: Result) -> list[str]:
    """What was taken off the answers, a line for each kind."""
    lines = []
    for kind, text in _CUT.items():
        counts = [f"{name} {task.cut[kind]} of {task.n}" for name, task in result.tasks.items() if kind in task.cut]
        if counts:
            lines.append(f"cut: answers that {text}: {', '.join(counts)}")
    return lines


def print_stress(info: StressInfo, *, console: "Console | None" = None) -> None:
    """Print what came back under stress: a row for each stress and metric, and below it what was skipped and why.

    Args:
        info: What to show.
        console: Where to; standard output if left out.
    """
    from rich.text import Text

    console, table = _console_and_table(console)
    for number, name in enumerate(STRESS_COLUMNS):
        table.add_column(name, justify="left" if number < 3 or name == "verdict" else "right")
    for row in info.rows:
        table.add_row(*map(Text, _stress_cells(row)))
    console.print(table)
    for names, *cells in relearning_grids(info.rows):
        _, grid = _console_and_table(console)
        for number, name in enumerate(names):
            grid.add_column(name, justify="right" if number else "left")
        for own in cells:
            grid.add_row(*map(Text, own))
        console.print(grid)
    for line in stress_lines(info):
        console.print(Text(line))


def _stress_cells(row: StressRow) -> tuple[str, ...]:
    excess = "" if row.excess is None else f"{row.excess:+.2f}"
    if row.ci95 is not None:
        excess += f" [{row.ci95[0]:+.2f}, {row.ci95[1]:+.2f}]"
    needed = f" (n ~ {row.needed})" if row.needed else ""
    return (
        row.stress,
        row.task,
        row.metric,
        f"{row.model.before:.3f}",
        f"{row.model.after:.3f}",
        "" if row.model.recovery is None else f"{row.model.recovery:.2f}",
        _before_after(row.oracle),
        _before_after(row.original),
        excess,
        f"{row.verdict or ''}{needed}",
        str(row.n),
    )


def relearning_grids(rows: Sequence[StressRow]) -> Iterator[list[list[str]]]:
    """Rows trained on by steps of training: recovery of the rows that were not, and the oracle's; where it is a grid.

    Yields:
        For each task and metric a header, and a line for each number of rows.
    """
    for task, metric in dict.fromkeys((row.task, row.metric) for row in rows if row.verdict is not None):
        cells = {
            (int(found[1]), int(found[2])): _recoveries(row)
            for row in rows
            if (row.task, row.metric) == (task, metric) and (found := _RELEARNED.fullmatch(row.stress))
        }
        counts, steps = (sorted(set(part)) for part in zip(*cells, strict=True)) if cells else ([], [])
        if len(counts) > 1 and len(steps) > 1:
            header = [f"{task} {metric}: recovery (oracle) of other rows", *(f"{step} steps" for step in steps)]
            yield [header, *([f"{n} rows trained on", *(cells.get((n, step), "") for step in steps)] for n in counts)]


def _recoveries(row: StressRow) -> str:
    told = ["-" if one is None or one.recovery is None else f"{one.recovery:.2f}" for one in (row.model, row.oracle)]
    return f"{told[0]} ({told[1]})"


def _before_after(one: BeforeAfter | None) -> str:
    return "" if one is None else f"{one.before:.3f} > {one.after:.3f}"


def stress_lines(info: StressInfo) -> list[str]:
    """What the table cannot say: why a number is missing, facts, what was skipped, how long it took."""
    reasons: dict[str, list[str]] = {}
    for row in info.rows:
        for field, why in row.reasons.items():
            reasons.setdefault(f"{field}: {why}", []).append(f"{row.stress} {row.metric}")
    lines = [f"{why} ({_first(list(dict.fromkeys(places)))})" for why, places in reasons.items()]
    lines += [
        f"{row.stress} {row.metric}: the question whose draws show most: {row.worst}"
        for row in info.rows
        if row.changes == "sampling" and row.worst is not None
    ]
    lines += [
        f"{name}: " + ", ".join(f"{key} {format_value(value)}" for key, value in found.items())
        for name, found in info.facts.items()
    ]
    lines += [f"skipped {name}: {why}" for name, why in info.skipped.items()]
    seconds = sum(sum(times.values()) for times in info.timing.values())
    return [printable(line) for line in [*lines, *info.notes, f"{seconds:.0f} seconds in all"]]
