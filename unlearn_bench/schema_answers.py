"""Rows of data, responses to them, and scored samples; `schema` hands them on. No torch here."""

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field, model_serializer, model_validator

from unlearn_bench.schema_base import Finite, Share, Strict
from unlearn_bench.schema_judges import Verdict

Role = Literal["forget", "retain", "neighbour", "world", "holdout", "fluency"]
NOT_ASKED = "not_asked"  # in place of an answer that no scorer reads and that was not generated
NLILabel = Literal["entailment", "neutral", "contradiction"]


class Row(Strict):
    """One question of a benchmark.

    Attributes:
        id: Unique within its dataset and split, stable between versions of the same data.
        cluster: What the row has in common with others (the person asked about); None where the data names nothing.
        paraphrased_answer, perturbed_answers: The same fact in other words; the same form with wrong facts.
        aliases: Further right answers.
        choices: The options of a multiple-choice question, as they stand after the prompt (letters, or whole answers).
        gold: Index of the right one among `choices`.
        kind: What sort of question it is among those of its split: an attack, a sub-task, a category.
        prefill: The beginning of the answer, which the prompt ends with.
        asked: What is asked in place of `question`, by which the answer is still judged.
        earlier: Turns before the question: ("system", "user" or "assistant", text).
    """

    id: str
    role: Role = Field(alias="split")
    question: str
    answer: str
    cluster: str | None = None
    paraphrased_question: str | None = None
    paraphrased_answer: str | None = None
    perturbed_answers: list[str] = []
    aliases: list[str] = []
    choices: list[str] = []
    gold: int | None = Field(default=None, ge=0)
    kind: str | None = None
    prefill: str | None = None
    asked: str | None = None
    earlier: list[tuple[Literal["system", "user", "assistant"], str]] = []

    @model_validator(mode="after")
    def _gold_is_a_choice(self) -> "Row":
        if self.gold is not None and self.gold >= len(self.choices):
            raise ValueError(f"gold is {self.gold}, and there are {len(self.choices)} choices")
        return self

    @model_serializer(mode="wrap")
    def _without_later_fields(self, write: Callable[["Row"], dict[str, object]]) -> dict[str, object]:
        """Fields that version 0.1 did not have are written only where they are set, so that its hashes of rows hold."""
        unset = {name for name in _LATER if getattr(self, name) in (None, [])}
        return {name: value for name, value in write(self).items() if name not in unset}


_LATER = ("aliases", "choices", "gold", "kind", "prefill", "asked", "earlier")


class _Evidence(Strict):
    entities_reference: list[str] | None = None
    entities_response: list[str] | None = None
    coverage: Finite | None = None
    nli_label: NLILabel | None = None
    nli_probability: Share | None = None
    agreement: Share | None = None
    perplexity: Finite | None = None


class Given(_Evidence):
    """Evidence that came with a response, for the `given` parts; fields as in `Sample`."""


class Gradient(Strict):
    """Norms of the gradient of a continuation's mean loss, averaged over the model's weight tensors.

    Attributes:
        tokens: How many tokens of the continuation, from the first on, the loss is the mean over.
        l1, l2, largest: The mean of the tensors' 1-norms, of their 2-norms, and of their largest absolute entries.
    """

    tokens: Annotated[int, Field(ge=1)]
    l1: Finite
    l2: Finite
    largest: Finite


class Likelihood(Strict):
    """What a checkpoint says of a continuation that it did not write; natural logarithms.

    Attributes:
        mean_logprob: Mean over the continuation's tokens of ln p(token | prompt, the tokens before it).
        tokens: How many they are; None where a log from elsewhere does not say.
        logprobs: Each token's, in order; None where only the mean was kept.
        hits: Whether each token is the most probable one.
        means, variances: Of ln p over the vocabulary, weighted by p, at each token.
        ending: How many of the last tokens only end the continuation (end of text, end of turn): they count in the
            mean, and not in what is memorised (extraction strength, exact memorization, Min-K).
        gradient: Of the loss with respect to the weights; None where it was not asked for or has none.
    """

    mean_logprob: Finite
    tokens: Annotated[int, Field(ge=1)] | None = None
    ending: Annotated[int, Field(ge=0)] = 0
    logprobs: list[Finite] | None = None
    hits: list[bool] | None = None
    means: list[Finite] | None = None
    variances: list[Finite] | None = None
    gradient: Gradient | None = None

    @model_serializer(mode="wrap")
    def _without_nothing(self, write: Callable[["Likelihood"], dict[str, object]]) -> dict[str, object]:
        """Most likelihoods are a mean and a count: what is not known is not written."""
        return {name: value for name, value in write(self).items() if value is not None}


class _Answer(Strict):
    id: str
    task: str
    role: Role = Field(alias="split")
    question: str
    reference: str | None
    response: str
    raw_response: str | None = None
    thinking: str | None = None
    cut: list[str] = []
    missing: str | None = None
    cluster: str | None = None
    kind: str | None = None
    aliases: list[str] = []
    choices: list[str] = []
    gold: int | None = None
    likelihoods: dict[str, Likelihood] | None = None
    logged: dict[str, Finite] | None = None
    no_likelihood: dict[str, str] | None = None

    @property
    def lost(self) -> bool:
        """Whether an answer was asked for and not given."""
        return self.missing not in (None, NOT_ASKED)


class Response(_Answer):
    """One answer of a model, ready to be scored.

    Attributes:
        id: Unique within its task.
        response: The text to be scored.
        raw_response: All that was generated, if that is more than `response`.
        thinking: What the model thought before it answered; not part of `response`, and scored apart.
        cut: What was taken off: "thinking", "next_turn" (another turn began), "rambling" (another text began).
        missing: Why there is no answer ("no_answer_from_server: timeout"); `response` is then empty. Not to be confused
            with an empty answer, which the model gave and which is scored.
        kind, aliases, choices, gold: As in `Row`.
        likelihoods: Name of a continuation ("answer", "paraphrased_answer", "perturbed_answers.0", "choices.0") to its
            likelihood after the question.
        no_likelihood: Name of a continuation to the reason why it has none ("empty_answer", "nan_logits"); and
            "gradient" to the reason why the reference answer has no gradient.
        logged: Per-answer numbers of a log from elsewhere that cannot be computed again from what it holds
            (extraction_strength without token log-probabilities), by metric.
    """

    given: Given | None = None


class Sample(_Evidence, _Answer):
    """One scored response: a line of samples.jsonl.

    Attributes:
        raw_response, thinking, cut, kind, aliases, choices, gold, likelihoods, no_likelihood, logged: As in `Response`.
        missing: Why there is no answer; every metric of the sample is then unscored for that reason.
        entities_reference, entities_response: What coverage was computed from, words of the question removed.
        coverage: Share of the reference's entities found in the response, in [0, 1]; above 1 only in `released`
            counting.
        nli_label, nli_probability: The label with the highest probability, and that probability.
        agreement: Probability that the response as a whole states the reference's knowledge.
        perplexity: Of the response given the question, under the reference language model; at least 1.
        mean_logprob: Mean ln p of the response's tokens given the question, under a language model that knows the
            language of the answers (evidence `wording`); where the profile has none, None.
        verdicts: Name of a judge (forget, retain, fluency, relevance) to its verdict.
        empty: The response has no visible character.
        degenerate: Why the response is not language ("single_token", "repetition", "no_words", …), or None.
        scores: Metric name to value, of every metric that could be computed for this sample.
        unscored: Metric name to the reason why it could not.
    """

    mean_logprob: Finite | None = None
    verdicts: dict[str, Verdict] | None = None
    empty: bool = False
    degenerate: str | None = None
    scores: dict[str, Finite] = {}
    unscored: dict[str, str] = {}
