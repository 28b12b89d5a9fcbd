"""The task of a result whose metrics are the summaries: over the question sets of all roles."""

from collections.abc import Iterable, Mapping, Sequence

from unlearn_bench.evidence.versions import recipes
from unlearn_bench.harness.oracle import Oracle
from unlearn_bench.hashing import sha256_json
from unlearn_bench.results import build_task_result, choose_samples
from unlearn_bench.schema import DatasetInfo, PromptInfo, Sample, ScorerInfo, TaskResult
from unlearn_bench.scorers import SCORERS
from unlearn_bench.scorers.base import Parts
from unlearn_bench.summaries.aggregate import members, summarise

VERSION = "1"


def reads_likelihoods(scorers: Iterable[str]) -> bool:
    """Whether one of some scorers reads likelihoods: summaries are made of them."""
    return any("likelihood" in SCORERS.get(name).probes for name in scorers)


def summary_task(
    datasets: Mapping[str, DatasetInfo],
    samples: Sequence[Sample],
    parts: Parts,
    options: Mapping[str, object],
    *,
    prompt: PromptInfo | None,
    oracle: Oracle | None,
) -> TaskResult:
    """The summaries of some question sets.

    Args:
        datasets: The question sets and their rows; each asks another role, or other rows.
        samples: The scored answers of the run.
        parts: The parts of the scoring profile.
        options: Options of scorers and summaries that differ from the defaults.
        prompt: How the model was asked.
        oracle: What the numbers that need one are held against.
    """
    own = choose_samples(list(datasets), samples)
    hashes = {name: info.sha256 for name, info in datasets.items()}
    rows = DatasetInfo(
        name="tasks", split="+".join(hashes), revision=None, sha256=sha256_json(hashes), source="this run"
    )
    return build_task_result(
        VERSION,
        rows,
        prompt,
        {},
        summary_info(parts, options, oracle),
        own,
        summarise(own, None if oracle is None else choose_samples(list(datasets), oracle.samples), options),
        role="fluency",
        samples_of=list(datasets),
    )


def summary_info(parts: Parts, options: Mapping[str, object], oracle: Oracle | None) -> ScorerInfo:
    """Who made the summaries: versions and options of each, of the scorers below it, and the oracle."""
    versions: dict[str, int] = {}
    defaults: dict[str, object] = {}
    metrics: dict[str, str] = {}
    for name, summary in members().items():
        below = recipes(summary.uses, parts, options)
        versions[f"summary:{name}"] = summary.version
        versions |= {key: version for recipe in below.values() for key, version in recipe["versions"].items()}
        defaults |= summary.options
        recipe = {
            "summary": summary.version,
            "below": below,
            "options": {key: options.get(key, default) for key, default in summary.options.items()},
            **({"oracle": oracle.identity} if summary.oracle and oracle is not None else {}),
        }
        metrics |= {metric.name: sha256_json(recipe) for metric in summary.metrics}
    return ScorerInfo(
        profile=parts.profile,
        parts={} if oracle is None else {"oracle": f"{oracle.name} samples:{oracle.identity[:16]}"},
        options={key: options.get(key, default) for key, default in defaults.items()},
        versions=versions,
        metrics=metrics,
        fingerprint=sha256_json(metrics),
    )
