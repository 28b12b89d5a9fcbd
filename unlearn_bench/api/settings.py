"""The options of `run` and `score` as keyword arguments: the same names, with _ for -."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypedDict


class ScoringSettings(TypedDict, total=False):
    """How answers are scored; each is an option of `run` and `score`, and described in their --help."""

    profile: Literal["offline", "standard", "paper"]
    entities: str
    embedder: str
    similarity_threshold: float
    nli: str
    nli_labels: str
    ppl_model: str
    ppl_prompt: Literal["auto", "chat", "plain", "released"]
    agreement: Literal["rules", "local", "nli", "llm", "given", "none"]
    agreement_embedder: str
    embedder_revision: str
    nli_revision: str
    ppl_revision: str
    scorer_device: str
    scorer_dtype: Literal["float32", "bfloat16", "float16"]
    scorer_batch_size: int
    llm_model: str
    llm_base_url: str
    llm_api_key_env: str
    llm_json_mode: Literal["json_schema", "json_object", "none"]
    llm_concurrency: int
    llm_cache: str
    judge: str
    judge_model: str
    judges: str
    judge_key_env: str
    judge_temperature: float
    judge_json_mode: Literal["json_schema", "json_object", "none"]
    judge_concurrency: int
    judge_prices: tuple[float, float]
    judge_cache: str
    verdicts: str
    weak_judge: bool
    allow_pickle: bool
    trust_remote_code: bool
    kfr_rule: Literal["auto", "agreement", "table", "paper", "released"]
    kfr_threshold: float
    kfr_short_threshold: float
    kfr_short_size: int
    kfr_fluent_threshold: float
    krr_rule: Literal["auto", "agreement", "paper", "released"]
    krr_threshold: float
    matching: Literal["one_to_one", "released"]
    question_words: Literal["symmetric", "released", "keep"]
    empty_reference: Literal["unscored", "forgotten"]
    empty_perplexity: Literal["worst", "drop"] | float
    rouge_stemmer: bool
    parity: Literal["none", "open-unlearning"]
    min_k_share: float
    gradnorm_p: str | float
    privleak_oracle: str | float
    lume_mmlu: float


class RunSettings(ScoringSettings, total=False):
    """How a checkpoint is loaded and asked; each is an option of `run`, and described in its --help.

    Beside them, `model_args` and `generation` are mappings, and `chunks` is a folder that keeps the answers, so that an
    evaluation that was interrupted goes on where it was.
    """

    adapter: str
    revision: str
    backend: Literal["hf", "vllm", "api"]
    model_args: Mapping[str, object]
    dtype: Literal["auto", "float32", "bfloat16", "float16"]
    device: str
    allow_partial: bool
    include_path: str
    metrics: tuple[str, ...]
    data_dir: str
    data_revision: str
    forget_split: Literal["forget01", "forget05", "forget10"]
    limit: float
    prompt: str
    thinking: Literal["model", "on", "off"]
    template_date: str
    first_answer: bool
    answer_end: Literal["turn", "open-unlearning", "none"]
    generation: Mapping[str, object]
    batch_size: int | Literal["auto"]
    seed: int
    fewshot_seed: int
    chunks: Path
    diagnose: tuple[str, ...]
    original: str
    oracle: str
    inside: Path
    plots: bool
