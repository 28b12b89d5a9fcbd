"""Which evidence scores: parts for settings, the models that must be there before a run, and what is recorded of them.

The table of profiles is in `settings`, and how a part is made in `parts`: when it is first used, so that a scorer that
needs no model loads none. `require` finds the models of the scorers to be run at once, before hours of generation.

Where smollm2-135m is named as the perplexity model (`--ppl-model`), it judges the wording of answers too, as one more
factor of fluency, whose scale is that of this model and of its chat prompt. Where it only stands in for nano-base,
fluency stays what it is without a model: scoring KFR loads none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from unlearn_bench.errors import UserError
from unlearn_bench.evidence.parts import make_parts
from unlearn_bench.evidence.pipeline import default_options, resolve
from unlearn_bench.evidence.settings import AGREEMENT as AGREEMENT
from unlearn_bench.evidence.settings import EMBEDDED_LM, WORDING_PROMPTS
from unlearn_bench.evidence.settings import NANO as NANO
from unlearn_bench.evidence.settings import PROFILES as PROFILES
from unlearn_bench.evidence.settings import SETTINGS as SETTINGS
from unlearn_bench.evidence.settings import Settings as Settings
from unlearn_bench.evidence.versions import NEEDED_PARTS, fingerprints, recipes
from unlearn_bench.hashing import sha256_json
from unlearn_bench.models.packaged import SMOLLM2, is_installed
from unlearn_bench.registry import did_you_mean
from unlearn_bench.schema import Role, ScorerInfo
from unlearn_bench.scorers import SCORERS
from unlearn_bench.scorers.base import Parts, Scorer
from unlearn_bench.summaries.aggregate import members
from unlearn_bench.text import tokenize


def offline_judge(dataset: str | None) -> str:
    """The perplexity model of the offline profile: smollm2-135m where its package is installed.

    nano-base judges the text of nano and of smol, a part of it: it was trained on that and so reads it better than any
    other model does. And it stands in where the package is missing: there it withholds the perplexity of text that it
    cannot read. Without a dataset it is always nano-base, so that a board's numbers do not depend on what a machine has
    installed.
    """
    return SMOLLM2 if dataset not in (None, NANO, "smol") and is_installed(SMOLLM2) else EMBEDDED_LM


def parts_from(settings: Mapping[str, object], dataset: str | None = None) -> Parts:
    """Parts for settings that are named as the fields of `Settings`; equal settings share their parts and models.

    Args:
        settings: What was chosen; the profile chooses the rest.
        dataset: What was asked, where it is known: see `offline_judge`.

    Raises:
        UserError: for an unknown setting or a value that cannot be right. Models are looked for later: see `require`.
    """
    for name in settings:
        if name not in SETTINGS:
            raise did_you_mean("scoring setting", name, SETTINGS)
    wanted = _wanted(settings)
    named = wanted.ppl_model
    if named is None and wanted.choice("ppl_model") == EMBEDDED_LM:
        wanted = replace(wanted, ppl_model=offline_judge(dataset))
    return make_parts(wanted, judges_wording=named == SMOLLM2 and wanted.ppl_prompt in WORDING_PROMPTS)


def _wanted(settings: Mapping[str, object]) -> Settings:
    clean = {k: ",".join(map(str, v)) if isinstance(v, (list, tuple)) else v for k, v in settings.items()}
    return Settings(**{k: str(v) if isinstance(v, Path) else v for k, v in clean.items()})


def judges_for(settings: Mapping[str, object], role: Role, metrics: Sequence[str] = ()) -> tuple[str, ...]:
    """The scorers of the judges that are asked on answers of a role, beside the metrics that were named.

    Args:
        settings: As `parts_from` takes them.
        role: Of the answers.
        metrics: What was named; a judge among them means that only the named ones are asked.
    """
    chosen = tuple(f"judge_{kind}" for kind in _wanted(settings).of_judges().chosen())
    if "judges" not in settings and any(name.startswith("judge_") for name in resolve(metrics)):
        return ()
    return tuple(name for name in chosen if not (roles := _scorer(name).roles) or role in roles)


def build_parts(profile: str = "offline", **settings: object) -> Parts:
    """Parts of a profile, some of them set by themselves: `build_parts("standard", nli="rules", ppl_model="gpt2")`."""
    return parts_from({"profile": profile, **settings})


def require(parts: Parts, scorers: Sequence[str]) -> None:
    """Find now what the scorers will need: models are located and checked, their weights not yet loaded.

    Raises:
        UserError: if a part is unavailable; the hint names the option that does without it.
    """
    for part in needed(parts, scorers).values():
        _ = getattr(part, "part", None)


def needed(parts: Parts, scorers: Sequence[str]) -> dict[str, Any]:
    """The parts that the scorers ask for, by their field in `Parts`."""
    needs = {need for name in resolve(scorers) for need in _scorer(name).needs}
    wanted = [part for need, names in NEEDED_PARTS.items() if need in needs for part in names]
    return {name: part for name in wanted if (part := getattr(parts, name)) is not None}


def scorer_info(parts: Parts, scorers: Sequence[str], options: Mapping[str, object] | None = None) -> ScorerInfo:
    """Who scores: names for the reader, and for each metric one fingerprint of everything that can change it.

    That is: the versions of the scorers and rules that make it, the fingerprints of the parts that it asks for, and the
    options that it reads (defaults included). The profile's name is not part of it, only what it chose.
    """
    made_of = recipes(scorers, parts, options or {})
    metrics = fingerprints(made_of)
    words = tokenize.tokenizer().source if any("words" in recipe["parts"] for recipe in made_of.values()) else None
    return ScorerInfo(
        profile=parts.profile,
        options=_effective(resolve(scorers), options or {}),
        parts={name: part.name for name, part in needed(parts, scorers).items()} | ({"words": words} if words else {}),
        versions={name: version for recipe in made_of.values() for name, version in recipe["versions"].items()},
        metrics=metrics,
        fingerprint=sha256_json(metrics),
    )


def summary_info(parts: Parts, options: Mapping[str, object], oracle: tuple[str, str] | None) -> ScorerInfo:
    """Who made the summaries: versions and options of each, of the scorers below it, and the oracle.

    Args:
        parts: The parts of the scoring profile.
        options: Options of scorers and summaries that differ from the defaults.
        oracle: The name and the hash of the samples of what some numbers are held against; None if there is none.
    """
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
            **({"oracle": oracle[1]} if summary.oracle and oracle is not None else {}),
        }
        metrics |= {metric.name: sha256_json(recipe) for metric in summary.metrics}
    return ScorerInfo(
        profile=parts.profile,
        parts={} if oracle is None else {"oracle": f"{oracle[0]} samples:{oracle[1][:16]}"},
        options={key: options.get(key, default) for key, default in defaults.items()},
        versions=versions,
        metrics=metrics,
        fingerprint=sha256_json(metrics),
    )


def _effective(scorers: Sequence[str], options: Mapping[str, object]) -> dict[str, object]:
    """The options of these scorers, and of the others those that were changed: the pipeline reads some for all."""
    own = {key: default for name in scorers for key, default in _scorer(name).options.items()}
    every = default_options()
    changed = {key: value for key, value in options.items() if key not in every or every[key] != value}
    return {**own, **changed}


def _scorer(name: str) -> Scorer:
    scorer = SCORERS.get(name)
    if not isinstance(scorer, Scorer):
        raise UserError(f"{name!r} should be a Scorer, but is a {type(scorer).__name__}")
    return scorer
