"""Which ingredients score: the only place where a profile's name becomes extractors and models.

| profile    | entities | similarity        | NLI                   | agreement | perplexity              |
|------------|----------|-------------------|-----------------------|-----------|-------------------------|
| `offline`  | rules    | lexical           | rules                 | rules     | see `offline_judge`     |
| `standard` | rules    | all-MiniLM-L12-v2 | tasksource deberta-v3 | none      | `ppl_model` must be set |
| `paper`    | llm      | all-MiniLM-L12-v2 | tasksource deberta-v3 | none      | `ppl_model` must be set |

Where smollm2-135m is named as the perplexity model (`--ppl-model`), it judges the wording of answers too, as one more
factor of fluency, whose scale is that of this model and of its chat prompt. Where it only stands in for nano-base,
fluency stays what it is without a model: scoring KFR loads none.

Agreement stands in place of coverage and inference in KFR and KRR; whoever chooses entities, similarity or NLI gets
scores made of these, unless they choose agreement too. Every part can be set by itself; `given` takes what came with
the responses. Nothing takes the place of a part that cannot be downloaded: the run stops and says which option does
without it. Parts are made when first used, so a scorer that needs no model loads none; `require` finds the models of
the scorers to be run at once, before hours of generation.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from unlearn_bench import nano
from unlearn_bench.errors import UserError
from unlearn_bench.evidence.gather import GIVEN, GivenPart
from unlearn_bench.evidence.pipeline import default_options, resolve
from unlearn_bench.evidence.versions import NEEDED_PARTS, fingerprints, recipes
from unlearn_bench.hashing import sha256_json
from unlearn_bench.judges.asked import Kind
from unlearn_bench.judges.settings import JudgeSettings, make_judge
from unlearn_bench.models.packaged import MINILM_L6, SMOLLM2, is_installed
from unlearn_bench.registry import did_you_mean
from unlearn_bench.schema import Role, ScorerInfo
from unlearn_bench.scorers import SCORERS
from unlearn_bench.scorers.base import Parts, Scorer, Unscored
from unlearn_bench.text import tokenize

NANO = "nano"
EMBEDDED_LM = "nano-base"
WORDING_PROMPTS = ("auto", "chat")  # the scale of fluency's factor is that of the chat prompt
NONE = "none"  # a profile without agreement scores by the rules of coverage
AGREEMENT = ("rules", "local", "nli", "llm", "given", "none")
MINILM = "sentence-transformers/all-MiniLM-L12-v2"
DEBERTA = "tasksource/deberta-v3-base-tasksource-nli"
PROFILES: dict[str, dict[str, str | None]] = {
    "offline": {
        "entities": "rules",
        "embedder": "lexical",
        "nli": "rules",
        "agreement": "rules",
        "ppl_model": EMBEDDED_LM,
    },
    "standard": {"entities": "rules", "embedder": MINILM, "nli": DEBERTA, "agreement": NONE, "ppl_model": None},
    "paper": {"entities": "llm", "embedder": MINILM, "nli": DEBERTA, "agreement": NONE, "ppl_model": None},
}


@dataclass(frozen=True)
class Settings(JudgeSettings):
    """What chooses the parts, the judges among them; None leaves the choice to the profile.

    Attributes:
        profile: One of `PROFILES`.
        entities: "rules", "llm" or "given".
        embedder: "lexical", "given", or a sentence-transformers model (packaged name, folder or hub name).
        similarity_threshold: From which similarity on two entities are the same; None for the part's own (paper: 0.8).
        nli: "rules", "given", or a sequence-classification model (folder or hub name).
        agreement: "rules"; "local", with the `agreement_embedder`; "nli", with the model of `nli`; "given"; or "none":
            KFR and KRR then score by coverage (`kfr_rule`, `krr_rule` "auto").
        agreement_embedder: A sentence-transformers model (packaged name, folder or hub name), for "local".
        nli_labels: Names of that model's outputs in their order, comma separated, if its configuration names none.
        ppl_model: "given", an embedded or packaged name, or a causal language model (folder, GGUF file or hub name).
        ppl_prompt: "auto", "chat" or "plain"; see `models.reference_lm`.
        embedder_revision, nli_revision, ppl_revision: Commits at the hub.
        scorer_dtype: Type of the secondary models' weights; float32 gives the same number on every machine.
        llm_model, llm_base_url, llm_api_key_env: The chat model for `entities="llm"`; the key is in that variable.
        llm_json_mode: How JSON is asked for: "json_schema", "json_object" or "none".
        llm_concurrency: Requests at the same time.
        llm_cache: Folder that keeps its answers.
    """

    profile: str = "offline"
    entities: str | None = None
    embedder: str | None = None
    similarity_threshold: float | None = None
    nli: str | None = None
    agreement: str | None = None
    agreement_embedder: str = MINILM_L6
    nli_labels: str | None = None
    ppl_model: str | None = None
    ppl_prompt: str = "auto"
    embedder_revision: str | None = None
    nli_revision: str | None = None
    ppl_revision: str | None = None
    scorer_dtype: str = "float32"
    llm_model: str | None = None
    llm_base_url: str | None = None
    llm_api_key_env: str = "OPENAI_API_KEY"
    llm_json_mode: str = "json_object"
    llm_concurrency: int = 8
    llm_cache: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.profile not in PROFILES:
            raise did_you_mean("profile", self.profile, PROFILES)
        if self.scorer_dtype not in (known := ("float32", "bfloat16", "float16")):
            raise did_you_mean("scorer dtype", self.scorer_dtype, known)

    def _coverage_parts(self) -> tuple[object, ...]:
        return self.entities, self.embedder, self.similarity_threshold, self.nli

    def choice(self, part: str) -> str | None:
        """What was chosen for a part: by itself, else by the profile."""
        own = getattr(self, part)
        if own is None and part == "agreement" and any(value is not None for value in self._coverage_parts()):
            return NONE
        return PROFILES[self.profile][part] if own is None else own

    def of_judges(self) -> JudgeSettings:
        """Those that choose the judges, so that other choices make no second judge."""
        return JudgeSettings(**{f.name: getattr(self, f.name) for f in fields(JudgeSettings)})


SETTINGS: tuple[str, ...] = tuple(f.name for f in fields(Settings))


def offline_judge(dataset: str | None) -> str:
    """The perplexity model of the offline profile: smollm2-135m where its package is installed.

    nano-base judges the text of nano, which it was trained on and so reads better than any other model does; and it
    stands in where the package is missing: there it withholds the perplexity of text that it cannot read. Without a
    dataset it is always nano-base, so that a board's numbers do not depend on what a machine has installed.
    """
    return SMOLLM2 if dataset not in (None, NANO) and is_installed(SMOLLM2) else EMBEDDED_LM


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
    return _parts(wanted, judges_wording=named == SMOLLM2 and wanted.ppl_prompt in WORDING_PROMPTS)


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


@lru_cache(maxsize=8)
def _parts(settings: Settings, *, judges_wording: bool) -> Parts:
    reference_lm = _part(settings, "ppl_model", settings.ppl_revision, _reference_lm)
    return Parts(
        profile=settings.profile,
        entities=_part(settings, "entities", None, _entities),
        similarity=_part(settings, "embedder", settings.embedder_revision, _similarity),
        nli=_part(settings, "nli", settings.nli_revision, _nli),
        reference_lm=reference_lm,
        agreement=_agreement_part(settings),
        wording=reference_lm if judges_wording else None,
        **{f"judge_{kind}": _judge(settings, kind) for kind in settings.of_judges().chosen()},
    )


def _judge(settings: Settings, kind: Kind) -> Any:
    if not settings.of_judges().wanted:
        raise UserError("--agreement llm: which language model?", hint="--judge URL --judge-model NAME")
    return LazyPart(f"llm:{settings.of_judges().model()}", lambda: make_judge(kind, settings.of_judges()))


def _part(settings: Settings, choice: str, revision: str | None, make: Callable[[Settings], Any]) -> Any:
    chosen = settings.choice(choice)
    if chosen == GIVEN:
        return GivenPart()
    label = f"llm:{settings.llm_model}" if chosen == "llm" else _label(chosen, revision)
    return LazyPart(label, lambda: make(settings))


def _label(chosen: str | None, revision: str | None = None) -> str:
    if chosen is not None and Path(chosen).expanduser().exists():  # a result must not hold paths of a machine
        return Path(chosen).expanduser().resolve().name
    return str(chosen) + (f"@{revision}" if revision else "")


def _agreement_part(settings: Settings) -> Any:
    way = settings.choice("agreement")
    if way == NONE:
        return None
    if way == GIVEN:
        return GivenPart()
    if way == "llm":
        judge = _judge(settings, "forget")
        return LazyPart(judge.name, lambda: _agreement(settings))
    models = {
        "local": _label(settings.agreement_embedder),
        "nli": _label(settings.choice("nli"), settings.nli_revision),
    }
    return LazyPart(f"{way}:{models[way]}" if way in models else str(way), lambda: _agreement(settings))


class LazyPart:
    """A part that is made when it is first asked for anything but its name.

    Args:
        name: What was chosen, for the record.
        make: Makes the part.
    """

    def __init__(self, name: str, make: Callable[[], Any]) -> None:
        self.name = name
        self._make = make

    @cached_property
    def part(self) -> Any:
        """The part itself."""
        return self._make()

    @property
    def fingerprint(self) -> str:
        """The part's fingerprint."""
        return self.part.fingerprint

    @property
    def threshold(self) -> float:
        """A similarity's threshold."""
        return self.part.threshold

    @property
    def reads_up_to(self) -> float | None:
        """A perplexity model's limit."""
        return getattr(self.part, "reads_up_to", None)

    def __call__(self, items: Sequence[Any]) -> list[Any]:
        """Ask the part."""
        return self.part(items)


class ModelPerplexity:
    """Perplexity by `models.reference_lm.ReferenceLM`, its reasons turned into `Unscored`."""

    def __init__(self, lm: Any) -> None:
        self._lm = lm
        self.name: str = lm.name

    @property
    def fingerprint(self) -> str:
        """Hash of the model and how it is asked."""
        return self._lm.fingerprint

    @property
    def reads_up_to(self) -> float | None:
        """Perplexity of a reference answer above which the model cannot read a text; None: no limit."""
        return self._lm.reads_up_to

    def __call__(self, pairs: Sequence[tuple[str, str]]) -> list[float | Unscored]:
        """Perplexity of each response given its question."""
        return [Unscored(v) if isinstance(v, str) else v for v in self._lm.perplexity(pairs)]


def _entities(settings: Settings) -> Any:
    from unlearn_bench.evidence.entities import LLMExtractor, RulesExtractor

    chosen = str(settings.choice("entities"))
    if chosen == "rules":
        return RulesExtractor()
    if chosen == "llm":
        return LLMExtractor(_chat_client(settings))
    raise did_you_mean("way to find entities", chosen, ("rules", "llm", GIVEN))


def _chat_client(settings: Settings) -> Any:
    from unlearn_bench.llm import DEFAULT_BASE_URL, ChatClient

    if settings.llm_model is None:
        raise UserError(
            f"profile {settings.profile!r} finds entities with a language model, and none is named",
            hint="--llm-model NAME [--llm-base-url URL], or do without: --entities rules",
        )
    return ChatClient(
        settings.llm_model,
        base_url=settings.llm_base_url or DEFAULT_BASE_URL,
        api_key_env=settings.llm_api_key_env,
        json_mode=settings.llm_json_mode,
        concurrency=settings.llm_concurrency,
        cache_dir=Path(settings.llm_cache) if settings.llm_cache else None,
    )


def _similarity(settings: Settings) -> Any:
    from unlearn_bench.evidence.similarity import LexicalSimilarity, SentenceTransformerSimilarity

    threshold = {} if settings.similarity_threshold is None else {"threshold": float(settings.similarity_threshold)}
    chosen = str(settings.choice("embedder"))
    if chosen == "lexical":
        return LexicalSimilarity(**threshold)
    embedder = _embedder(settings, chosen, revision=settings.embedder_revision)
    return SentenceTransformerSimilarity(embedder, **threshold)


def _nli(settings: Settings) -> Any:
    from unlearn_bench.evidence.inference import ModelNLI, RulesNLI

    return RulesNLI() if settings.choice("nli") == "rules" else ModelNLI(_classifier(settings))


@lru_cache(maxsize=1)  # one model for inference and agreement
def _classifier(settings: Settings) -> Any:
    from unlearn_bench.models.nli import NLIClassifier

    return NLIClassifier(
        str(settings.choice("nli")),
        revision=settings.nli_revision,
        labels=[label.strip() for label in settings.nli_labels.split(",")] if settings.nli_labels else None,
        batch_size=settings.scorer_batch_size,
        dtype=settings.scorer_dtype,
        **_loading(settings),
    )


def _agreement(settings: Settings) -> Any:
    from unlearn_bench.evidence.agreement import RulesAgreement
    from unlearn_bench.evidence.agreement_models import LocalAgreement, NLIAgreement

    chosen = str(settings.choice("agreement"))
    if chosen == "rules":
        return RulesAgreement()
    if chosen == "llm":
        from unlearn_bench.evidence.agreement_llm import LLMAgreement

        return LLMAgreement(make_judge("forget", settings.of_judges()))
    if chosen == "local":
        return LocalAgreement(_embedder(settings, settings.agreement_embedder, without="--agreement rules"))
    if chosen == "nli":
        model = settings.choice("nli")
        if model in ("rules", GIVEN):
            raise UserError(
                f"agreement by entailment needs an NLI model, but --nli is {model}",
                hint=f"--nli PATH_OR_ID (for example {DEBERTA}), or do without: --agreement rules",
            )
        return NLIAgreement(_classifier(settings))
    raise did_you_mean("way to judge agreement", chosen, AGREEMENT)


def _embedder(settings: Settings, name: str, **options: Any) -> Any:
    from unlearn_bench.models.embedder import Embedder

    batch_size = max(128, settings.scorer_batch_size)  # entities are short
    return Embedder(name, batch_size=batch_size, **options, **_loading(settings))


def _reference_lm(settings: Settings) -> Any:
    chosen = settings.choice("ppl_model")
    if chosen is None:
        raise UserError(
            f"profile {settings.profile!r} takes perplexity under a model that you name, and none is named",
            hint="--ppl-model PATH_OR_ID (the paper: the judged model's base model), or do without: --profile offline, "
            "or leave out the metrics that need it (ls, perplexity)",
        )
    from unlearn_bench.models.reference_lm import ReferenceLM

    embedded = nano.checkpoint_path(chosen)
    if embedded is None and chosen == EMBEDDED_LM:
        raise UserError(
            f"the embedded perplexity model {EMBEDDED_LM} is not in this installation",
            hint="--ppl-model PATH_OR_ID, or build it: unlearn-bench nano build",
        )
    lm = ReferenceLM(
        str(embedded or chosen),
        revision=settings.ppl_revision,
        prompt=settings.ppl_prompt,
        batch_size=settings.scorer_batch_size,
        dtype=settings.scorer_dtype,
        **_loading(settings),
    )
    return ModelPerplexity(lm)


def _loading(settings: Settings) -> dict[str, Any]:
    return {
        "device": settings.scorer_device,
        "allow_pickle": settings.allow_pickle,
        "trust_remote_code": settings.trust_remote_code,
    }


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
