"""The documents that travel: rows of data, responses, scored samples, and the result of a run.

pydantic models, versioned and strict: unknown fields, NaN and infinity are refused. `json_schema()` of `Result` is
published as `leaderboards/result.schema.json`. No torch here.
"""

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field, model_serializer, model_validator

from unlearn_bench.schema_base import Finite as Finite
from unlearn_bench.schema_base import Sha256 as Sha256
from unlearn_bench.schema_base import Share as Share
from unlearn_bench.schema_base import Strict as Strict
from unlearn_bench.schema_judges import JudgeAgreement as JudgeAgreement
from unlearn_bench.schema_judges import JudgeInfo as JudgeInfo
from unlearn_bench.schema_judges import Verdict as Verdict
from unlearn_bench.schema_metric import CANNOT_READ as CANNOT_READ
from unlearn_bench.schema_metric import CorrectedValue as CorrectedValue
from unlearn_bench.schema_metric import MetricValue as MetricValue
from unlearn_bench.schema_metric import NeverKnew as NeverKnew
from unlearn_bench.schema_metric import Place as Place

SCHEMA_VERSION: Literal["1.0"] = "1.0"

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


class Given(Strict):
    """Evidence that came with a response, for the `given` parts; fields as in `Sample`."""

    entities_reference: list[str] | None = None
    entities_response: list[str] | None = None
    coverage: Finite | None = None
    nli_label: NLILabel | None = None
    nli_probability: Share | None = None
    agreement: Share | None = None
    perplexity: Finite | None = None


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
    """

    mean_logprob: Finite
    tokens: Annotated[int, Field(ge=1)] | None = None
    ending: Annotated[int, Field(ge=0)] = 0
    logprobs: list[Finite] | None = None
    hits: list[bool] | None = None
    means: list[Finite] | None = None
    variances: list[Finite] | None = None

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
        no_likelihood: Name of a continuation to the reason why it has none ("empty_answer", "nan_logits").
        logged: Per-answer numbers of a log from elsewhere that cannot be computed again from what it holds
            (extraction_strength without token log-probabilities), by metric.
    """

    given: Given | None = None


class Sample(_Answer):
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

    entities_reference: list[str] | None = None
    entities_response: list[str] | None = None
    coverage: Finite | None = None
    nli_label: NLILabel | None = None
    nli_probability: Share | None = None
    agreement: Share | None = None
    perplexity: Finite | None = None
    mean_logprob: Finite | None = None
    verdicts: dict[str, Verdict] | None = None
    empty: bool = False
    degenerate: str | None = None
    scores: dict[str, Finite] = {}
    unscored: dict[str, str] = {}


class DatasetInfo(Strict):
    """Which rows were asked; `sha256` is over the rows themselves, so it is the same from the hub and from a folder."""

    name: str
    split: str
    revision: str | None
    sha256: Sha256
    source: str


class PromptInfo(Strict):
    """How a row became a prompt.

    Attributes:
        template_sha256: Hash of the template (chat template included) and of what else shapes a prompt.
        thinking: "on" or "off" where --thinking set the template's switch; None: the template's own default.
        date: The date that the template writes, YYYY-MM-DD; None where it writes none.
    """

    template_sha256: Sha256
    chat_template: bool
    style: str
    thinking: str | None = None
    date: str | None = None


class ScorerInfo(Strict):
    """Who scored: a metric of two results is comparable only where its own fingerprint is equal.

    Attributes:
        options: The scorers' options (kfr_rule, …), so that scores can be recomputed; empty means the defaults.
        versions: Version of each scorer, shared rule and kind of evidence that made the numbers.
        metrics: Metric name to the fingerprint of the versions and settings that it depends on; empty in results of
            version 0.1, which are comparable only where `fingerprint` is equal.
        fingerprint: Hash over `metrics`.
    """

    profile: str
    parts: dict[str, str]
    options: dict[str, str | int | float | bool | None] = {}
    versions: dict[str, int] = {}
    metrics: dict[str, Sha256] = {}
    fingerprint: Sha256


class ClusterInfo(Strict):
    """What intervals were computed over."""

    key: str
    n: int


class TaskResult(Strict):
    """Everything known about one task of a run.

    Attributes:
        samples_of: Names of the question sets (`Sample.task`) whose samples the numbers were computed from, each
            question once where there are several; empty means the task's own name. See `results.samples_of`.
        cut: From how many answers something was taken off, by kind (`Response.cut`).
    """

    version: str
    role: Role = Field(alias="split")
    samples_of: list[str] = []
    dataset: DatasetInfo
    prompt: PromptInfo | None
    generation: dict[str, str | int | float | bool | list[str] | None]
    scorer: ScorerInfo
    n: int
    clusters: ClusterInfo | None
    empty: int
    degenerate: int
    cut: dict[str, int] = {}
    metrics: dict[str, MetricValue]


class ModelInfo(Strict):
    """The judged model.

    Attributes:
        weights_sha256: Over the weight files that were loaded, sorted; None where they cannot be seen (an API).
        adapter_dead: The adapter's update is zero everywhere, so that the base model was scored.
        quantization: Type of the GGUF file that the weights were dequantised from (Q4_1, Q4_K_M, F16, …).
        partial: Which tensors were missing, unexpected or of another shape, where `--allow-partial` let the run go on.
    """

    name: str
    source: str
    revision: str | None = None
    weights_sha256: Sha256 | None = None
    config_sha256: Sha256 | None = None
    tokenizer_sha256: Sha256 | None = None
    chat_template_sha256: Sha256 | None = None
    adapter: str | None = None
    adapter_sha256: Sha256 | None = None
    adapter_dead: bool | None = None
    dtype: str | None = None
    parameters: int | None = None
    quantization: str | None = None
    partial: str | None = None


class HarnessInfo(Strict):
    """The code and the environment that produced a result."""

    version: str
    commit: str | None
    dirty: bool | None
    code_sha256: Sha256
    lm_eval: str
    transformers: str
    torch: str
    python: str
    platform: str


class DiagnosticsInfo(Strict):
    """What `run --diagnose` saw inside the model: diagnostic to name to number; what was not computed, and why."""

    rows: int
    original: str | None = Field(default=None, alias="reference")
    oracle: str | None = Field(default=None, alias="retain_model")
    tables: dict[str, dict[str, MetricValue]]
    unavailable: dict[str, str] = {}


class BeforeAfter(Strict):
    """A metric of one checkpoint without and with a stress.

    Attributes:
        recovery: (before - after) / (before - the original's before): 0 = the stress changes nothing, 1 = all that the
            original knows is back; None where it is undefined.
    """

    before: Finite
    after: Finite
    recovery: Finite | None = None


class StressRow(Strict):
    """One stress, task and metric.

    Attributes:
        stress: "quantization/nf4": the stress and its variant, with "@4" or "/worst" for one reading of several.
        changes: What the stress changes.
        n: Questions that every checkpoint has a score for, with and without the stress; every number of the row is
            over them.
        unscored: The task's other questions.
        excess: The model's recovery above that of the oracle (scale "recovery"); without an original, the knowledge
            that it gains above what the oracle gains (scale "gain").
        ci95: 95 % interval of the excess: paired, over clusters where the rows have them.
        verdict: "holds", "leaks", "cannot tell", or "no control" (without an oracle); None on rows of other roles.
        needed: About how many questions would decide, where the verdict is "cannot tell" for want of them.
        reasons: Field to the reason why it is None, or why the verdict is what it is.
        worst: Id of the question that shows the most more of what it should not.
    """

    stress: str
    changes: Literal["checkpoint", "question", "sampling"]
    task: str
    role: Role
    metric: str
    higher_is_better: bool
    n: int = Field(ge=0)
    unscored: int = Field(ge=0, default=0)
    model: BeforeAfter
    oracle: BeforeAfter | None = None
    original: BeforeAfter | None = None
    excess: Finite | None = None
    ci95: tuple[Finite, Finite] | None = None
    scale: Literal["recovery", "gain"] | None = None
    verdict: Literal["holds", "leaks", "cannot tell", "no control"] | None = None
    needed: int | None = None
    reasons: dict[str, str] = {}
    worst: str | None = None


class StressInfo(Strict):
    """Checkpoints under pressure: does what was forgotten come back?

    Attributes:
        versions, settings: Of each stress.
        models: "model", "oracle" and "original" to who they are.
        margin: Largest excess that counts as none.
        skipped: Stress to the reason why it was not done.
        facts: Stress to what else was measured of the model ("code_flips", "changed_answers", "leak_bound").
        timing: Stress to the seconds that each checkpoint took; "unstressed" is without one.
    """

    versions: dict[str, int]
    settings: dict[str, dict[str, str | int | float | bool | list[str] | None]] = {}
    models: dict[str, ModelInfo]
    margin: Finite
    rows: list[StressRow]
    skipped: dict[str, str] = {}
    facts: dict[str, dict[str, Finite]] = {}
    timing: dict[str, dict[str, Finite]] = {}
    notes: list[str] = []


class Result(Strict):
    """A scored checkpoint: result.json.

    Attributes:
        fingerprint: Hash of everything that may move a number: model, data, prompts, generation, scorers' versions.
        run: The settings of the run (backend, batch size, limit, seed, …), as given.
        stress: What `run --stress` found.
        other: Metrics of stock lm-eval tasks of the same run, as lm-eval reports them.
        other_better: Task to metric to whether higher is better, as the stock task declares it (`higher_is_better`); a
            metric without a declaration is not there.
        other_n: Stock task to the number of questions that were asked.
        other_settings: Stock task to how it was asked: its version, num_fewshot, fewshot_seed, chat_template.
        judges: Name of a judge (forget, retain, fluency, relevance) to what is known of it, where one was asked.
        judge_agreement: How far judges and the scores made without them agree.
        verdicts_sha256: Hash of the file of the judges' replies.
        notes: What the reader should know (a dead adapter, a missing chat template).
        timing: Stage to seconds.
    """

    schema_version: Literal["1.0"] = SCHEMA_VERSION
    model: ModelInfo
    harness: HarnessInfo
    run: dict[str, str | int | float | bool | list[str] | None]
    tasks: dict[str, TaskResult]
    diagnostics: DiagnosticsInfo | None = None
    other: dict[str, dict[str, Finite]] = {}
    other_better: dict[str, dict[str, bool]] = {}
    other_n: dict[str, int] = {}
    other_settings: dict[str, dict[str, str | int | float | bool | None]] = {}
    stress: StressInfo | None = None
    judges: dict[str, JudgeInfo] = {}
    judge_agreement: list[JudgeAgreement] = []
    verdicts_sha256: Sha256 | None = None
    notes: list[str] = []
    samples_sha256: Sha256 | None = None
    fingerprint: Sha256
    timing: dict[str, Finite] = {}


def json_schema() -> dict[str, object]:
    """The JSON Schema of result.json, as published."""
    return Result.model_json_schema(by_alias=False)
