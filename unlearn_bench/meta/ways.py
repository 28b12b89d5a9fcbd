"""KFR and KRR by other ways of judging, from the answers that samples hold: the model is not asked again.

    local       agreement with sentence embeddings (all-MiniLM-L6, from its package) beside the rules
    minilm-l6   the rule of coverage, entities being the same by those embeddings

By rules alone KFR is judged without a way (`agreement`), and by every rule of coverage in `rules`. The ways `nli` and
`llm` need a model that no package carries.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from typing_extensions import TypedDict

from unlearn_bench.comparison.loaded import LoadedResult
from unlearn_bench.files import write_atomically
from unlearn_bench.hashing import sha256_json
from unlearn_bench.models.packaged import MINILM_L6
from unlearn_bench.registry import did_you_mean
from unlearn_bench.results.owned import kept_as
from unlearn_bench.schema import Finite, Sample

WAYS: Mapping[str, Mapping[str, str]] = {
    "local": {"agreement": "local"},
    "minilm-l6": {"entities": "rules", "embedder": MINILM_L6, "nli": "rules"},
}
FILE = "ways.json"
_SCORERS = ("kfr", "kfr_fluent", "krr")
_SHARE = "known_share"


class _Kept(TypedDict):
    """What a way found; `identity`: of the answers and of the way."""

    identity: str
    values: dict[str, Finite | None]


def check(ways: Sequence[str]) -> None:
    """Refuse a way that cannot be gone, before anything is made.

    Raises:
        UserError: for an unknown way, or if its model's package is not installed.
    """
    from unlearn_bench.evidence.profiles import build_parts, require

    for way in ways:
        if way not in WAYS:
            raise did_you_mean("way", way, WAYS)
        require(build_parts(**WAYS[way]), _SCORERS)


def kept(folder: Path, loaded: LoadedResult, ways: Sequence[str]) -> dict[str, float | None]:
    """`by_way` of a result's question sets, kept in ways.json beside it: what is there is not computed again.

    Args:
        folder: Where the result lies.
        loaded: The result; its samples are needed.
        ways: Of `WAYS`.
    """
    own = {task: found for task, found in (loaded.by_task or {}).items() if not loaded.result.tasks[task].samples_of}
    before = kept_as(dict[str, _Kept], folder / FILE) or {}
    found = {}
    for way in ways:
        identity = sha256_json([loaded.result.samples_sha256, _fingerprint(way)])
        earlier = before.get(way)
        if earlier is not None and earlier["identity"] == identity:
            found[way] = earlier
        else:
            found[way] = {"identity": identity, "values": by_way(own, [way])}
    if found != {way: before.get(way) for way in ways}:
        write_atomically(folder / FILE, [json.dumps({**before, **found}, indent=1) + "\n"])
    return {key: value for way in ways for key, value in found[way]["values"].items()}


def _fingerprint(way: str) -> str:
    from unlearn_bench.evidence.profiles import build_parts, scorer_info

    return scorer_info(build_parts(**WAYS[way]), _SCORERS).fingerprint


def by_way(samples: Mapping[str, Sequence[Sample]], ways: Sequence[str]) -> dict[str, float | None]:
    """Each task's KFR, fluent KFR, KRR and known share by other ways ("nano_forget/kfr[local]").

    A metric that the task has is computed by each way; None where no sample can be scored. The mean probability
    (`known_share`) is the ways' of agreement.

    Args:
        samples: Of each task.
        ways: Of `WAYS`.
    """
    from unlearn_bench.evidence.pipeline import aggregate, response_of, score_responses
    from unlearn_bench.evidence.profiles import build_parts

    found: dict[str, float | None] = {}
    for task, own in samples.items():
        scorers = [name for name in _SCORERS if any(name in sample.scores for sample in own)]
        answers = [response_of(sample) for sample in own] if scorers else []
        for way in ways if scorers else ():
            parts = build_parts(**WAYS[way])
            values = aggregate(score_responses(answers, scorers, parts, {}), scorers, {}, resamples=0)
            names = [*scorers, *([_SHARE] if parts.agreement is not None else [])]
            found |= {f"{task}/{name}[{way}]": values[name].value for name in names}
    return found
