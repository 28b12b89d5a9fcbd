"""A result in other people's formats: Every Eval Ever 0.3.0, and the Hugging Face hub's `.eval_results/*.yaml`.

Every Eval Ever (arXiv 2606.14516) takes a value with its interval, direction and range; what it has no field for
(fingerprints, unscored counts) goes into `additional_details`. The hub's format takes one number per dataset and task
and no interval, so the interval goes into `notes`; only datasets that are on the hub can be named there.
"""

import json
from collections.abc import Iterator
from datetime import datetime, timezone

from unlearn_bench.boards.board import Entry
from unlearn_bench.comparison.metric_info import info
from unlearn_bench.data import hub_id
from unlearn_bench.errors import UserError
from unlearn_bench.results import result_digest
from unlearn_bench.schema import MetricValue, Result, TaskResult
from unlearn_bench.site._cells import has_place

_BETTER = {True: "higher is better", False: "lower is better"}

EVERY_EVAL_EVER_VERSION = "0.3.0"
_RELATIONSHIPS = {"first_party": "first_party", "third_party": "third_party", "unspecified": "other"}


def every_eval_ever(
    result: Result, *, organization: str, entry: Entry | None = None, now: datetime | None = None
) -> dict[str, object]:
    """A record of Every Eval Ever 0.3.0.

    Args:
        result: What is exported.
        organization: Who evaluated; the format asks for a name.
        entry: The leaderboard entry that the result comes from, if any.
        now: Time of the export; the clock's if None.
    """
    at = now or datetime.now(timezone.utc)
    digest = result_digest(result)
    name = entry.name if entry else result.model.name
    relationship = _RELATIONSHIPS[entry.relationship] if entry else "other"
    evaluations = [
        _evaluation(result, task_name, task, metric, value)
        for task_name, task in result.tasks.items()
        for metric, value in task.metrics.items()
        if value.value is not None and value.higher_is_better is not None
    ]
    return {
        "schema_version": EVERY_EVAL_EVER_VERSION,
        "evaluation_id": f"unlearn-bench/{name}/{digest[:16]}",
        "retrieved_timestamp": str(int(at.timestamp())),
        "source_metadata": {
            "source_name": "unlearn-bench",
            "source_type": "evaluation_run",
            "source_organization_name": organization,
            "evaluator_relationship": relationship,
            "additional_details": {"result_sha256": digest, "fingerprint": result.fingerprint},
        },
        "eval_library": {
            "name": "unlearn-bench",
            "version": result.harness.version,
            "additional_details": _strings(result.harness.model_dump(exclude={"version"})),
        },
        "model_info": {
            "name": name,
            "id": name,
            "inference_engine": {"name": "transformers", "version": result.harness.transformers},
            "additional_details": {
                "deployment_type": "self_deployed" if result.model.weights_sha256 else "unknown",
                "model_availability": "unknown",
                **_strings({"evaluated_as": result.model.name, **result.model.model_dump(exclude={"name"})}),
            },
        },
        "evaluation_results": evaluations,
    }


def _evaluation(result: Result, name: str, task: TaskResult, metric: str, value: MetricValue) -> dict[str, object]:
    low, high = info(metric).bounds
    uncertainty: dict[str, object] = {"num_samples": value.n}
    if value.ci95 is not None:
        uncertainty["confidence_interval"] = {
            "lower": value.ci95[0],
            "upper": value.ci95[1],
            "confidence_level": 0.95,
            "method": value.ci_method or "unknown",
        }
    return {
        "evaluation_result_id": f"{name}/{metric}",
        "evaluation_name": name,
        "source_data": _source(task),
        "metric_config": {
            "metric_id": f"unlearn-bench/{metric}",
            "metric_name": metric,
            "lower_is_better": not value.higher_is_better,
            "score_type": "continuous",
            "min_score": _end(low),
            "max_score": _end(high),
            "additional_details": _strings({"scorer_fingerprint": task.scorer.fingerprint, **task.scorer.parts}),
        },
        "score_details": {
            "score": value.value,
            "uncertainty": uncertainty,
            "details": _strings({"unscored": value.unscored, "empty": task.empty, "degenerate": task.degenerate}),
        },
        "generation_config": {
            "generation_args": _generation(task),
            "additional_details": _strings({"settings": json.dumps(task.generation, sort_keys=True)}),
        },
    }


def _end(bound: float) -> float | str:
    return bound if abs(bound) != float("inf") else ("Infinity" if bound > 0 else "-Infinity")


def _source(task: TaskResult) -> dict[str, object]:
    details = _strings(
        {"rows_sha256": task.dataset.sha256, "revision": task.dataset.revision, "version": task.version, "n": task.n}
    )
    repository = hub_dataset(task)
    if repository is None:
        return {"dataset_name": task.dataset.name, "source_type": "other", "additional_details": details}
    return {
        "dataset_name": task.dataset.name,
        "source_type": "hf_dataset",
        "hf_repo": repository,
        "hf_split": task.dataset.split,
        "samples_number": task.n,
        "additional_details": details,
    }


def hub_dataset(task: TaskResult) -> str | None:
    """The dataset's name at the hub, or None where it is not there."""
    if task.dataset.source.startswith("hub:"):
        return task.dataset.source.removeprefix("hub:")
    return hub_id(task.dataset.name)


def _generation(task: TaskResult) -> dict[str, object]:
    generation = task.generation
    found: dict[str, object] = {"temperature": generation.get("temperature") if generation.get("do_sample") else 0.0}
    if isinstance(generation.get("max_gen_toks"), int):
        found["max_tokens"] = generation["max_gen_toks"]
    return found


def _strings(values: dict[str, object]) -> dict[str, str]:
    """The format takes only strings there; what is unknown is left out."""
    return {key: str(value) for key, value in values.items() if value is not None}


def hf_eval_results(result: Result, *, entry: Entry | None = None) -> list[dict[str, object]]:
    """The content of `.eval_results/unlearn-bench.yaml`: one entry for each metric of a dataset that is on the hub.

    Raises:
        UserError: if no task's dataset is there.
    """
    found = [item for name, task in result.tasks.items() for item in _hub_entries(name, task, entry)]
    if not found:
        names = ", ".join(sorted({task.dataset.name for task in result.tasks.values()}))
        raise UserError(
            f"the hub's format names a dataset of the hub, and {names} is not there",
            hint="--to every-eval-ever takes any dataset",
        )
    return found


def _hub_entries(name: str, task: TaskResult, entry: Entry | None) -> Iterator[dict[str, object]]:
    repository = hub_dataset(task)
    if repository is None:
        return
    for metric, value in task.metrics.items():
        if value.value is None or value.higher_is_better is None:
            continue
        interval = "" if value.ci95 is None else f", 95% interval {value.ci95[0]:.4f} to {value.ci95[1]:.4f}"
        better = "the oracle's value is the aim" if has_place(metric) else _BETTER[value.higher_is_better]
        item: dict[str, object] = {
            "dataset": {"id": repository, "task_id": f"{name}_{metric}"},
            "value": value.value,
            "notes": f"unlearn-bench {metric}, {better}, n = {value.n}{interval}, "
            f"profile {task.scorer.profile}, scorers {task.scorer.fingerprint[:12]}",
        }
        if task.dataset.revision:
            item["dataset"]["revision"] = task.dataset.revision
        if entry is not None:
            item["date"] = entry.submitted
            if entry.paper or entry.code:
                item["source"] = {"url": entry.paper or entry.code, "name": "unlearn-bench"}
        yield item
