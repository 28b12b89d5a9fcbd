"""A result and its samples as the logs of locuslab/open-unlearning: `*_EVAL.json` and `*_SUMMARY.json`.

Their tools read a retrained model's log as the reference (`retain_logs_path`), and their leaderboard reads summaries.
Sections have their names; a role's prefix is theirs (forget, retain, ra, wf). Per-row numbers are computed from the
likelihoods with the quirks of their code (`parity`: open-unlearning), so that they are what their evaluator would log;
aggregates over several roles are the result's own. `input` is the question, as the whole prompt is not kept.
"""

import math
from collections.abc import Callable, Mapping, Sequence

from unlearn_bench.errors import UserError
from unlearn_bench.formats.open_unlearning import MEMBERSHIP, MEMORISED, PREFIXES
from unlearn_bench.schema import NOT_ASKED, MetricValue, Result, Role, Sample
from unlearn_bench.scorers import SCORERS
from unlearn_bench.scorers.base import Unscored
from unlearn_bench.scorers.likelihood import perturbed
from unlearn_bench.scorers.truth_ratio import log_truth_ratio

_PARITY = {"parity": "open-unlearning"}
_WHOLE = ("forget_quality", "model_utility", "privleak")
Section = dict[str, object]


def evaluation(result: Result, samples: Sequence[Sample]) -> dict[str, Section]:
    """The content of `*_EVAL.json`, sections in the order of their names.

    Raises:
        UserError: if the result holds no forget answers.
    """
    by_role: dict[Role, list[Sample]] = {}
    for role in (*PREFIXES, "holdout"):
        name = next((n for n, task in result.tasks.items() if task.role == role and not task.samples_of), None)
        by_role[role] = [sample for sample in samples if sample.task == name]
    if not by_role["forget"]:
        raise UserError("the result holds no answers to forget questions", hint="export a run of tofu, or of its like")
    found: dict[str, Section] = {}
    for role, prefix in PREFIXES.items():
        found |= _of_role(by_role[role], prefix, role)
    for metric in MEMORISED:
        found |= _named(metric, _scores(by_role["forget"], metric))
    values = _summaries(result)
    found |= {name: {"agg_value": values[name].value} for name in _WHOLE if name in values}
    for name, metric in MEMBERSHIP.items():
        if name not in values or metric not in SCORERS.names():  # the loss of a second model is a log's alone
            continue
        sides = {side: _scores(by_role[side], metric) for side in ("forget", "holdout")}
        if all(sides.values()):
            area = values[name].value
            found[name] = {side: _section(rows) for side, rows in sides.items()} | {"auc": area, "agg_value": area}
    return dict(sorted(found.items()))


def summary(evaluated: Mapping[str, Section]) -> dict[str, object]:
    """The content of `*_SUMMARY.json`: the aggregates that are defined, but those that only enter others."""
    left = ("PARA_Prob", "PERT_Prob", "_Truth_Ratio")
    values = {name: section["agg_value"] for name, section in evaluated.items() if not name.endswith(left)}
    return {name: value for name, value in values.items() if value is not None}


def _of_role(samples: Sequence[Sample], prefix: str, role: Role) -> dict[str, Section]:
    name = f"{prefix}_Q_A"
    answered = [sample for sample in samples if sample.missing != NOT_ASKED]
    found = _named(f"{name}_ROUGE", _rows(answered, _generation), "rougeL_recall")
    found |= _named(f"{name}_Prob", _rows(samples, lambda s: _probability(s, "answer")), "prob")
    found |= _named(f"{name}_PARA_Prob", _rows(samples, lambda s: _probability(s, "paraphrased_answer")), "prob")
    found |= _named(f"{name}_PERT_Prob", _rows(samples, _perturbed), "prob")
    if role in ("neighbour", "world"):
        shares = _scores(samples, "probability_normalised")
        found |= _named(f"{name}_Prob_normalised", {k: {"prob": row["score"]} for k, row in shares.items()}, "prob")
    ratios = _rows(samples, _ratio)
    if ratios:
        values = [row["score"] for row in _scores(samples, "truth_ratio").values()]
        title = "forget_truth_ratio" if role == "forget" else f"{prefix}_Truth_Ratio"
        found[title] = {"agg_value": _mean(values), "value_by_index": ratios}
    return found


def _rows(samples: Sequence[Sample], row: Callable[[Sample], Section | None]) -> dict[str, Section]:
    """Index of each row that has something to say, to that; the number at the end of its id, where all have one."""
    numbers = [sample.id.rpartition("-")[2] for sample in samples]
    usable = len(set(numbers)) == len(numbers) and all(number.isdecimal() for number in numbers)
    keys = numbers if usable else [str(i) for i in range(len(samples))]
    found = {key: row(sample) for key, sample in zip(keys, samples, strict=True)}
    return {key: value for key, value in found.items() if value is not None}


def _scores(samples: Sequence[Sample], metric: str) -> dict[str, Section]:
    """A number of each row, counted as open-unlearning counts it."""
    maker = SCORERS.get(metric)

    def score(sample: Sample) -> Section | None:
        value = maker.score(sample, _PARITY)[metric]
        return None if isinstance(value, Unscored) else {"score": value}

    return _rows(samples, score)


def _generation(sample: Sample) -> Section:
    measured = {name: sample.scores[name] for name in ("rouge1_recall", "rougeL_f1", "rougeL_recall")
                if name in sample.scores}  # fmt: skip
    return {
        **measured,
        "input": sample.question,
        "ground_truth": sample.reference,
        "generation": sample.raw_response or sample.response,
    }


def _probability(sample: Sample, name: str) -> Section | None:
    found = (sample.likelihoods or {}).get(name)
    return None if found is None else {"prob": math.exp(found.mean_logprob), "avg_loss": -found.mean_logprob}


def _perturbed(sample: Sample) -> Section | None:
    means = [found.mean_logprob for found in perturbed(sample)]
    return {"prob": [math.exp(mean) for mean in means], "avg_loss": [-mean for mean in means]} if means else None


def _ratio(sample: Sample) -> Section | None:
    found = log_truth_ratio(sample, _PARITY)
    return None if isinstance(found, Unscored) else {"score": math.exp(min(found, 700.0))}


def _named(name: str, rows: dict[str, Section], value: str = "score") -> dict[str, Section]:
    return {name: _section(rows, value)} if rows else {}


def _section(rows: dict[str, Section], value: str = "score") -> Section:
    numbers = [row[value] for row in rows.values() if value in row]
    flat = [number for one in numbers for number in (one if isinstance(one, list) else [one])]
    return {"agg_value": _mean(flat), "value_by_index": rows}


def _mean(numbers: Sequence[object]) -> float | None:
    known = [float(str(number)) for number in numbers]
    return math.fsum(known) / len(known) if known else None


def _summaries(result: Result) -> dict[str, MetricValue]:
    return {
        name: value
        for task in result.tasks.values()
        for name, value in task.metrics.items()
        if name in (*_WHOLE, *MEMBERSHIP)
    }
