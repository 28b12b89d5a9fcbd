"""What a number depends on: integer versions and settings, never the bytes of the code.

Every scorer, every way of getting evidence (a part) and every rule that scorers share has a `version`. Raise it in the
change that moves a number; `tests/unit/evidence/test_versions.py` fails where numbers moved and no version did. A
metric's fingerprint is made of the versions and settings that it depends on, only: a comment, or one
more scorer in the same task, changes none.
"""

from collections.abc import Iterable, Mapping

from unlearn_bench.evidence import gather
from unlearn_bench.evidence.pipeline import THINKING, resolve
from unlearn_bench.hashing import sha256_json
from unlearn_bench.scorers import SCORERS
from unlearn_bench.scorers.base import Need, Parts, Probe, Scorer
from unlearn_bench.scorers.kfr import COVERAGE_OPTIONS
from unlearn_bench.scorers.likelihood import PARITY_VERSION, is_parity
from unlearn_bench.text import answer, degenerate, tokenize

# Which parts a kind of evidence is made with: fields of `Parts`.
NEEDED_PARTS: dict[Need, tuple[str, ...]] = {
    "coverage": ("entities", "similarity"),
    "nli": ("nli",),
    "agreement": ("agreement",),
    "perplexity": ("reference_lm",),
    "wording": ("wording",),
    **{need: (need,) for need in gather.JUDGES},
}
SHARED_RULES: dict[str, int] = {"answer": answer.VERSION, "words": tokenize.VERSION, "degenerate": degenerate.VERSION}
PROBES: dict[Probe, int] = {"likelihood": 1, "choice": 1}
"""Of the observations. Those of answers are not versioned; gradients have one reader, whose version stands for both."""
# What the pipeline describes in addition to the scores: the evidence, shared rule and options that each is made of.
_DESCRIPTIVE: dict[str, tuple[tuple[Need, ...], tuple[str, ...], Mapping[str, object]]] = {
    "coverage": (("coverage",), (), COVERAGE_OPTIONS),
    "nli_contradiction": (("nli",), (), {}),
    "known_share": (("agreement",), (), {}),
    "empty": ((), ("degenerate",), {}),
    "degenerate": ((), ("degenerate",), {}),
}


def recipes(
    scorers: Iterable[str], parts: Parts, options: Mapping[str, object]
) -> dict[str, dict[str, dict[str, object]]]:
    """What each metric of some scorers depends on, the descriptive ones included.

    Args:
        scorers: Names of scorers (or of metrics).
        parts: The parts of the scoring profile.
        options: Scorer options that differ from the defaults.

    Returns:
        Metric name to "versions" (scorers, shared rules, evidence), "parts" (their fingerprints) and "options".
    """
    members = [SCORERS.get(name) for name in resolve(scorers)]
    metrics = dict.fromkeys(metric.name for member in members for metric in member.metrics)
    found = {metric: _of_metric(metric, parts, options) for metric in metrics}
    gathered = {need for member in members for need in member.needs}
    answers = any("answer" in member.probes for member in members)
    for name, (needs, rules, defaults) in _DESCRIPTIVE.items():
        if answers and gathered.issuperset(needs) and not ("agreement" in needs and parts.agreement is None):
            found[name] = _recipe({}, ("answer", *rules), needs, defaults, parts, options)
    return found | {name: found[metric] for metric, name in THINKING.items() if metric in found}


def fingerprints(made_of: Mapping[str, Mapping[str, object]]) -> dict[str, str]:
    """Metric name to the hash of what it depends on; see `recipes`."""
    return {metric: sha256_json(recipe) for metric, recipe in made_of.items()}


def _of_metric(metric: str, parts: Parts, options: Mapping[str, object]) -> dict[str, dict[str, object]]:
    (maker,) = resolve([metric])
    scorer: Scorer = SCORERS.get(maker)
    used, rules = _closure(maker)
    needs, settled = (scorer.needs, {}) if scorer.made_of is None else scorer.made_of(options, parts)
    used |= {f"probe:{probe}": PROBES[probe] for probe in sorted(scorer.probes & PROBES.keys())}
    rules |= {"answer"} & scorer.probes
    chosen = {**options, **settled}
    used |= {"parity": PARITY_VERSION} if "parity" in scorer.options and is_parity(chosen) else {}
    defaults = {
        name: default
        for name, default in scorer.options.items()
        if name not in scorer.later_options or chosen.get(name, default) != default
    }
    return _recipe(used, rules, sorted(needs), defaults, parts, chosen)


def _recipe(
    observed: Mapping[str, int],
    rules: Iterable[str],
    needs: Iterable[Need],
    defaults: Mapping[str, object],
    parts: Parts,
    options: Mapping[str, object],
) -> dict[str, dict[str, object]]:
    evidence = {f"evidence:{need}": gather.VERSIONS[need] for need in needs}
    shared = {f"rule:{rule}": SHARED_RULES[rule] for rule in rules}
    used = {name: getattr(parts, name) for need in needs for name in NEEDED_PARTS[need]}
    made_with = {name: part.fingerprint for name, part in used.items() if part is not None}
    if "words" in rules:
        made_with["words"] = tokenize.tokenizer().name
    return {
        "versions": {**observed, **shared, **evidence},
        "parts": made_with,
        "options": {name: options.get(name, default) for name, default in defaults.items()},
    }


def _closure(name: str) -> tuple[dict[str, int], set[str]]:
    """The versions of a scorer and of all that it uses, and the shared rules among them."""
    scorers: dict[str, int] = {}
    rules: set[str] = set()
    waiting = [name]
    while waiting:
        name = waiting.pop()
        if name in SHARED_RULES:
            rules.add(name)
        elif name not in scorers:
            scorer: Scorer = SCORERS.get(name)
            scorers[name] = scorer.version
            waiting += scorer.uses
    return scorers, rules
