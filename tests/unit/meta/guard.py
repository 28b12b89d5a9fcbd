"""Stored answers and likelihoods of a few nano models that know and that do not, scored anew: no model is needed.

`python -m tests.unit.meta.guard POOL` packs them from a pool that `nano meta` made.
"""

import bz2
import json
import sys
from pathlib import Path

from unlearn_bench.comparison.metric_info import info
from unlearn_bench.evidence.pipeline import aggregate, score_responses
from unlearn_bench.evidence.profiles import parts_from
from unlearn_bench.meta.faithfulness import Separation, separation
from unlearn_bench.meta.knowing import base_name, knowing
from unlearn_bench.meta.rules import by_rule
from unlearn_bench.results import read_samples
from unlearn_bench.schema import Response, Sample
from unlearn_bench.summaries.aggregate import summarise

STORED = Path(__file__).parents[2] / "golden" / "meta_pool.jsonl.bz2"
FLOORS = Path(__file__).parents[2] / "golden" / "meta_floors.json"
ROWS, MODELS = 8, 6
SIDES = ("positive", "negative", "broken")
TASKS = {
    "nano_forget": (
        "kfr", "kfr_fluent", "fluency", "linguistic_score", "perplexity", "rouge", "rouge_f1", "token_f1",
        "exact_match", "literal_match", "rwku_rouge", "probability", "truth_ratio", "extraction_strength",
        "exact_memorization", "loss", "loss_zlib", "min_k", "min_k_plus_plus",
    ),
    "nano_forget_paraphrase": ("kfr", "kfr_fluent", "rouge", "probability"),
    "nano_holdout": ("loss", "loss_zlib", "min_k", "min_k_plus_plus"),
}  # fmt: skip


def pack(pool: Path) -> None:
    """Store the first models of each side that `nano meta` makes, with the first rows of each task."""
    lines = []
    for side in SIDES:
        folders = sorted((pool / side).iterdir(), key=lambda folder: (folder / "made.json").stat().st_mtime)
        for folder in folders[:MODELS]:
            rows = [_slim(one) for task in TASKS for one in _of(read_samples(folder), task)[:ROWS]]
            lines.append(json.dumps({"side": side, "name": folder.name, "rows": rows}, ensure_ascii=False))
    STORED.write_bytes(bz2.compress(("\n".join(lines) + "\n").encode()))


def _of(samples: list[Sample], task: str) -> list[Sample]:
    return [one for one in samples if one.task == task]


def _slim(sample: Sample) -> dict:
    """What a response needs to be scored; of given texts other than the answer only the mean."""
    kept = sample.model_dump(mode="json", by_alias=True, include={"id", "task", "role", "question", "reference"})
    likelihoods = {
        name: _rounded(found.model_dump(exclude_none=True), whole=name == "answer")
        for name, found in (sample.likelihoods or {}).items()
    }
    more = {"response": sample.response, "cluster": sample.cluster, "missing": sample.missing}
    if sample.perplexity is not None:
        more["given"] = {"perplexity": round(sample.perplexity, 3)}
    return {**kept, **more, "likelihoods": likelihoods or None}


def _rounded(likelihood: dict, *, whole: bool) -> dict:
    kept = likelihood if whole else {key: likelihood[key] for key in ("mean_logprob", "tokens", "ending")}
    return {
        key: [round(v, 3) if isinstance(v, float) else v for v in value] if isinstance(value, list) else value
        for key, value in kept.items()
    }


def stored() -> dict[str, list[list[Response]]]:
    """Side to its models' answers."""
    found: dict[str, list[list[Response]]] = {side: [] for side in SIDES}
    for line in bz2.decompress(STORED.read_bytes()).decode().splitlines():
        model = json.loads(line)
        found[model["side"]].append([Response.model_validate(row) for row in model["rows"]])
    return found


def values(responses: list[Response]) -> dict[str, float | None]:
    """Every number of a model, as the scorers of this version make it."""
    parts = parts_from({"profile": "offline", "ppl_model": "given"}, "nano")
    samples: list[Sample] = []
    found: dict[str, float | None] = {}
    for task, scorers in TASKS.items():
        own = score_responses([one for one in responses if one.task == task], scorers, parts, {})
        found |= {f"{task}/{name}": value.value for name, value in aggregate(own, scorers, {}, resamples=0).items()}
        found |= by_rule({task: own})
        samples += own if task != "nano_forget_paraphrase" else []
    return found | {f"nano_summary/{name}": value.value for name, value in summarise(samples, None, {}).items()}


def measure() -> dict[str, Separation]:
    """Faithfulness of every metric of knowledge; of a metric of language, whole models against broken ones."""
    sides = {side: [values(model) for model in models] for side, models in stored().items()}
    found = {}
    for key in sides["positive"][0]:
        task, _, metric = key.partition("/")
        role = "fluency" if task == "nano_summary" else "holdout" if task == "nano_holdout" else "forget"
        direction = knowing(metric, role)
        better = info(base_name(metric)).direction(role)
        if direction is not None:
            pair, sign = ("positive", "negative"), 1 if direction == "higher" else -1
        elif better is not None and role == "forget":
            pair, sign = ("whole", "broken"), 1 if better else -1
        else:
            continue
        pools = {**sides, "whole": [*sides["positive"], *sides["negative"]]}
        one, other = ([sign * v for m in pools[side] if (v := m[key]) is not None] for side in pair)
        result = separation(one, other, resamples=2)
        if result is not None:
            found[key] = result
    return found


def fallen(found: dict[str, Separation], floors: dict[str, float]) -> list[str]:
    """The metrics below their floor, or gone."""
    return [
        f"{key}: AUC {found[key].auc:.3f}, at least {floor}" if key in found else f"{key}: no AUC any more"
        for key, floor in floors.items()
        if key not in found or found[key].auc < floor
    ]


if __name__ == "__main__":
    pack(Path(sys.argv[1]))
    floors = {key: round(max(0.0, one.auc - 0.06), 2) for key, one in sorted(measure().items()) if one.auc >= 0.7}
    FLOORS.write_text(json.dumps(floors, indent=1) + "\n", encoding="utf-8")
