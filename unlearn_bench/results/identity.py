"""What a result says of itself: its identity, single values, and the settings that are part of a question."""

from collections.abc import Mapping

from unlearn_bench.hashing import sha256_json
from unlearn_bench.schema import MetricValue, Result, ScorerInfo

Setting = str | int | float | bool | None | list[str]
EXECUTION = frozenset({"batch_size", "backend", "device"})
CORRECTIONS = ("corrected", "not_corrected")  # fields of a metric that rest on labels, not on the run


def result_digest(result: Result) -> str:
    """Identity of a run: the hash of the result's canonical JSON, fields at their default left out.

    So a field that a later version adds changes the identity of no older result. Corrected values are left out too:
    they are what some labels make of the run, and other labels make others.
    """
    corrections = {"tasks": {"__all__": {"metrics": {"__all__": set(CORRECTIONS)}}}}
    plain = result.model_dump(mode="json", exclude_defaults=True, by_alias=True, exclude=corrections)
    return sha256_json(plain)


def alike_told(*results: Result) -> str:
    """What to do so that results have the same question sets: `run` names them by tasks, `score` by its files."""
    if any(result.run.get("verb") == "score" for result in results):
        named = "`score` names a question set after its file"
        return f"{named}: give files of the same questions the same name, as a/x.jsonl and b/x.jsonl"
    return "run the same tasks for both"


def without_corrections(result: Result) -> Result:
    """The same result with raw values only."""
    tasks = {
        name: task.model_copy(
            update={
                "metrics": {
                    key: value.model_copy(update=dict.fromkeys(CORRECTIONS)) for key, value in task.metrics.items()
                }
            }
        )
        for name, task in result.tasks.items()
    }
    return result.model_copy(update={"tasks": tasks})


def value_of(result: Result, key: str) -> float | None:
    """The value of "task/metric" in a result, None where it is missing or undefined."""
    metric = metric_of(result, key)
    return None if metric is None else metric.value


def metric_of(result: Result, key: str) -> MetricValue | None:
    """The MetricValue of "task/metric" in a result, or None."""
    task, _, metric = key.partition("/")
    found = result.tasks.get(task)
    return None if found is None else found.metrics.get(metric)


def generation_rules(generation: Mapping[str, Setting]) -> dict[str, Setting]:
    """The settings that are part of the question, without those that only say how the machine was used."""
    return {key: value for key, value in generation.items() if key not in EXECUTION}


def different_keys(one: Mapping[str, object], other: Mapping[str, object]) -> list[str]:
    """The keys that one of two mappings lacks, or that differ."""
    return sorted(k for k in {**one, **other} if k not in one or k not in other or one[k] != other[k])


def scorer_differences(old: ScorerInfo, new: ScorerInfo) -> list[str]:
    """What two scorers differ in, in words: versions, parts and options by name."""
    return [
        f"{key} {one.get(key)} and {two.get(key)}"
        for one, two in ((getattr(old, kind), getattr(new, kind)) for kind in ("versions", "parts", "options"))
        for key in different_keys(one, two)
    ]
