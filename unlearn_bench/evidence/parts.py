"""From settings to parts: extractors, models and judges, each made when it is first used.

Nothing takes the place of a part that cannot be downloaded: the run stops and says which option does without it.
"""

from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from unlearn_bench import nano
from unlearn_bench.errors import UserError
from unlearn_bench.evidence.gather import GIVEN, GivenPart
from unlearn_bench.evidence.settings import AGREEMENT, DEBERTA, EMBEDDED_LM, NONE, Settings
from unlearn_bench.judges.asked import Kind
from unlearn_bench.judges.settings import make_judge
from unlearn_bench.registry import did_you_mean
from unlearn_bench.scorers.base import Parts, Unscored


@lru_cache(maxsize=8)
def make_parts(settings: Settings, *, judges_wording: bool) -> Parts:
    """The parts that settings choose; equal settings share them.

    Args:
        settings: What was chosen.
        judges_wording: Whether the perplexity model is also a factor of fluency.

    Raises:
        UserError: for a judge that is wanted and not named. Models are looked for when they are first asked.
    """
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
