"""The documents that travel: rows of data, responses, scored samples, and the result of a run.

pydantic models, versioned and strict: unknown fields, NaN and infinity are refused. `json_schema()` of `Result` is
published as `leaderboards/result.schema.json`. No torch here.
"""

from typing import Literal

from pydantic import Field

from unlearn_bench.schema_answers import NOT_ASKED as NOT_ASKED
from unlearn_bench.schema_answers import Given as Given
from unlearn_bench.schema_answers import Gradient as Gradient
from unlearn_bench.schema_answers import Likelihood as Likelihood
from unlearn_bench.schema_answers import NLILabel as NLILabel
from unlearn_bench.schema_answers import Response as Response
from unlearn_bench.schema_answers import Role as Role
from unlearn_bench.schema_answers import Row as Row
from unlearn_bench.schema_answers import Sample as Sample
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
