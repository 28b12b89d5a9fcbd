"""What a scorer is, and what it may ask for.

A scorer is a pure function from one sample's evidence to numbers. The evidence (entities, inference, perplexity) is
gathered once for all samples by `evidence/pipeline.py`, in big batches, with the *parts* that a scoring profile chose;
a scorer only says which evidence it `needs`. So every formula is testable without a model, and one pass serves every
scorer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol, get_args

import numpy as np

from unlearn_bench.errors import UserError
from unlearn_bench.hashing import sha256_json
from unlearn_bench.schema import Likelihood, NLILabel, Role, Sample, Verdict

Need = Literal[
    "coverage",
    "nli",
    "agreement",
    "perplexity",
    "wording",
    "judge_forget",
    "judge_retain",
    "judge_fluency",
    "judge_relevance",
]
Probe = Literal["answer", "likelihood", "choice", "gradient"]
PROBES: tuple[Probe, ...] = get_args(Probe)
AGREED = 0.5  # probability from which an answer states the knowledge
# Better directions, by role, of numbers that rise with what is said of the reference answer, and of those that fall.
KNOWLEDGE_SHOWN: Mapping[Role, bool] = {"forget": False, "retain": True, "neighbour": True, "world": True}
KNOWLEDGE_HIDDEN: Mapping[Role, bool] = {role: not higher for role, higher in KNOWLEDGE_SHOWN.items()}


class Unscored(NamedTuple):
    """In place of a number: this sample cannot be scored, and why ("reference_has_no_entities")."""

    reason: str


@dataclass(frozen=True)
class Metric:
    """One number that a scorer produces.

    Attributes:
        kind: "proportion": values are 0 or 1 and the mean is a share; "mean": the mean of real values; "corpus": the
            aggregate is not a mean, `Scorer.combine` computes it from the means of `components`.
        higher_is_better: Whether higher is better: True or False on every role, or a role to whether it is there
            (`KNOWLEDGE_SHOWN`); None, and roles that are not named, for a number that is only descriptive.
        bounds: Smallest and largest possible value of the aggregate.
        components: For a corpus metric that is a function of set means: the per-sample scores whose means
            `Scorer.combine` takes, in this order.
    """

    name: str
    kind: Literal["proportion", "mean", "corpus"]
    higher_is_better: bool | Mapping[Role, bool] | None = field(hash=False)
    bounds: tuple[float, float] = (0.0, 1.0)
    components: tuple[str, ...] = ()

    def direction(self, role: Role | None = None) -> bool | None:
        """Whether higher is better on rows of that role, or (None) on rows of any; None where it is neither.

        >>> rouge = Metric("rougeL_recall", "mean", KNOWLEDGE_SHOWN)
        >>> rouge.direction("forget"), rouge.direction("retain"), rouge.direction()
        (False, True, None)
        """
        if isinstance(self.higher_is_better, Mapping):
            return None if role is None else self.higher_is_better.get(role)
        return self.higher_is_better


@dataclass(frozen=True)
class Scorer:
    """A member of `unlearn_bench.scorers`.

    Attributes:
        score: Evidence of one sample and the options to a value, or `Unscored`, for each metric.
        probes: Whose observations it reads: "answer" (what the model writes), "likelihood" (`Sample.likelihoods` of the
            reference answer, of its paraphrase and of the perturbed answers), "choice" (those of the options),
            "gradient" (of the reference answer's loss, beside its likelihood). A question set is asked by the probes of
            its scorers, and by no other.
        combine: For corpus metrics: (metric name, means of shape (..., components)) to values (...).
        options: Names of the options it reads, with their defaults ({"kfr_rule": "auto"}).
        later_options: Those of `options` that came when results had been published: they enter the fingerprint only
            where they are not the default.
        roles: Where the number means something; empty for everywhere.
        version: Raised with every change that moves a number of this scorer; part of the metrics' fingerprints.
        made_of: For a scorer with several rules: (options, parts) to the needs that its numbers are then made of, and
            to the options as settled ("auto" becomes the rule's name). None: they are made of all `needs`.
        uses: Names of scorers and of shared rules ("words", "degenerate") whose change moves this scorer's numbers too.
    """

    metrics: tuple[Metric, ...]
    score: Callable[[Sample, Mapping[str, object]], dict[str, float | Unscored]]
    needs: frozenset[Need] = frozenset()
    probes: frozenset[Probe] = frozenset({"answer"})
    combine: Callable[[str, np.ndarray], np.ndarray] | None = None
    options: Mapping[str, object] = field(default_factory=dict)
    later_options: frozenset[str] = frozenset()
    roles: frozenset[Role] = frozenset()
    version: int = 1
    uses: tuple[str, ...] = ()
    made_of: Callable[[Mapping[str, object], "Parts"], tuple[frozenset[Need], dict[str, object]]] | None = None

    def __post_init__(self) -> None:
        for metric in self.metrics:
            if metric.kind == "corpus" and (self.combine is None or not metric.components):
                raise ValueError(f"the corpus metric {metric.name} needs components, and its scorer `combine`")


def likelihood_of(sample: Sample, continuation: str) -> Likelihood | Unscored:
    """The likelihood of one continuation of a sample ("answer", "perturbed_answers.0"), or why it has none."""
    found = (sample.likelihoods or {}).get(continuation)
    return found or Unscored((sample.no_likelihood or {}).get(continuation, "no_likelihood"))


def judged_by_agreement(rule: str, sample: Sample) -> bool:
    """Whether a rule of KFR or KRR looks at the sample's agreement: "auto" does where it was gathered."""
    gathered = sample.agreement is not None or "known_share" in sample.unscored
    return rule == "agreement" or (rule == "auto" and gathered)


def evidence_of(
    option: str, by_coverage: str, options: Mapping[str, object], parts: "Parts"
) -> tuple[frozenset[Need], dict[str, object]]:
    """What a score with rules is made of (`Scorer.made_of`).

    Args:
        option: Name of the option that holds the rule ("kfr_rule").
        by_coverage: The rule that "auto" means where the profile has no agreement.
        options: All options of the scorer.
        parts: The profile's parts.
    """
    rule = options[option]
    if rule == "auto":
        rule = by_coverage if parts.agreement is None else "agreement"
    needs: frozenset[Need] = frozenset({"agreement"}) if rule == "agreement" else frozenset({"coverage", "nli"})
    return needs, {option: rule}


class Inference(NamedTuple):
    """An NLI verdict: the most probable label and its probability."""

    label: NLILabel
    probability: float


class Part(Protocol):
    """A replaceable ingredient. `name` and `fingerprint` are recorded with every result."""

    name: str

    @property
    def fingerprint(self) -> str:
        """Hash of everything that can change the part's output: version, settings, model weights, prompt."""


def part_fingerprint(name: str, version: int, **settings: object) -> str:
    """Fingerprint of a way of getting evidence: its name, its version and its settings.

    >>> part_fingerprint("entities/rules", 1) == part_fingerprint("entities/rules", 2)
    False
    """
    return sha256_json({"part": name, "version": version, **settings})


class EntityExtractor(Part, Protocol):
    """Texts to the entities of each (a list per text, in order of appearance, without duplicates)."""

    def __call__(self, texts: Sequence[str]) -> list[list[str] | Unscored]: ...


class Similarity(Part, Protocol):
    """For each pair of entity lists (R, G) an array (len(R), len(G)) of similarities in [-1, 1].

    `threshold`: from which similarity on two entities are the same.
    """

    threshold: float

    def __call__(self, pairs: Sequence[tuple[list[str], list[str]]]) -> list[np.ndarray]: ...


class NLI(Part, Protocol):
    """For each (premise, hypothesis) a verdict."""

    def __call__(self, pairs: Sequence[tuple[str, str]]) -> list[Inference | Unscored]: ...


class Agreement(Part, Protocol):
    """For each (question, reference, response) the probability that the response states the reference, in [0, 1]."""

    def __call__(self, items: Sequence[tuple[str, str, str]]) -> list[float | Unscored]: ...


class ReferenceLM(Part, Protocol):
    """For each (question, response) the response's perplexity exp(mean token NLL), at least 1."""

    def __call__(self, pairs: Sequence[tuple[str, str]]) -> list[float | Unscored]: ...


class Judge(Part, Protocol):
    """For each (question, reference, response) a language model's verdict."""

    def __call__(self, items: Sequence[tuple[str, str, str]]) -> list[Verdict | Unscored]: ...


@dataclass(frozen=True)
class Parts:
    """The ingredients of a scoring profile; None where a profile (or the data) has none.

    Attributes:
        reference_lm: Judges the perplexity of the answers.
        wording: A language model that judges how an answer is worded, as one more factor of fluency.
    """

    profile: str
    entities: EntityExtractor | None = None
    similarity: Similarity | None = None
    nli: NLI | None = None
    reference_lm: ReferenceLM | None = None
    agreement: Agreement | None = None
    wording: ReferenceLM | None = None
    judge_forget: Judge | None = None
    judge_retain: Judge | None = None
    judge_fluency: Judge | None = None
    judge_relevance: Judge | None = None


def number(options: Mapping[str, object], name: str) -> float:
    """A scorer's option that is a number.

    Raises:
        UserError: if it is none.
    """
    value = options[name]
    try:
        return float(value)  # type: ignore[arg-type]  # what is no number is refused here
    except (TypeError, ValueError):
        raise UserError(f"option {name}: expected a number, got {value!r}") from None
