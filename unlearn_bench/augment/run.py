"""Augment a data set or a file: read the pairs, make the writer, run the stages, write the files."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from unlearn_bench.augment import nano, summary
from unlearn_bench.augment.pipeline import Augmented, AugmentSettings, Progress, augment
from unlearn_bench.augment.rows import VARIANTS, SensitivePair, Writer
from unlearn_bench.augment.sources import read_generic, read_sources
from unlearn_bench.errors import UserError
from unlearn_bench.registry import did_you_mean

if TYPE_CHECKING:
    from unlearn_bench.augment.local_chat import LocalChat
    from unlearn_bench.llm import ChatClient

WRITERS = ("rules", "openai", "hf")
_OF_WRITER = {"openai": ("llm_model", "llm_base_url", "llm_cache", "llm_prices"), "hf": ("writer_model",)}


@dataclass(frozen=True)
class AugmentSpec:
    """What `unlearn-bench augment` was asked to do; field by field its options.

    Attributes:
        dataset: A data set's name, alone or with a split ("tofu:forget05"), or a file of pairs.
        overwrite: Replace a file that this verb did not write.
        limit: Only the first pairs, or below 1 this share of them.
        variants: Of each question, beside the question itself.
        strict_secrets: Every content word of a sensitive answer is a secret; None: where the rules write with their
            own bank.
        tries: Texts asked for until one is accepted; None for the writer's own number.
        generic: "builtin", "nano" or a file; None: nano for nano, else builtin.
        register: "auto" takes the sentences that the embedded models speak for nano, "builtin" never.
        verifier: "rules", or "both" to ask the writer's model, too; None: both for openai.
        llm_prices: Per million tokens sent and received, to count the cost.
    """

    dataset: str
    output: Path
    overwrite: bool = False
    split: str | None = None
    data_dir: str | None = None
    data_revision: str | None = None
    limit: float | None = None
    seed: int = 0
    variants: tuple[str, ...] = VARIANTS
    verify: bool = True
    strict_secrets: bool | None = None
    tries: int | None = None
    completion: bool = True
    completion_share: float = 0.25
    generic: str | None = None
    generic_ratio: float = 1.0
    with_original_answer: bool = False
    writer: str = "rules"
    register: str = "auto"
    verifier: str | None = None
    llm_model: str | None = None
    llm_base_url: str | None = None
    llm_api_key_env: str = "OPENAI_API_KEY"
    llm_json_mode: str = "json_object"
    llm_concurrency: int = 8
    llm_timeout: float = 120.0
    llm_retries: int = 6
    llm_temperature: float = 0.7
    llm_cache: str | None = None
    llm_prices: tuple[float, float] | None = None
    writer_model: str | None = None
    device: str | None = None
    batch_size: int = 8
    allow_pickle: bool = False
    trust_remote_code: bool = False

    @property
    def is_nano(self) -> bool:
        """Whether the pairs are the embedded benchmark's."""
        return self.dataset.partition(":")[0] == "nano"

    @property
    def speaks_nano(self) -> bool:
        """Whether vague answers are those that the embedded models were taught."""
        return self.is_nano and self.register == "auto"


class Augmented(NamedTuple):
    """What was made, and its summary as written."""

    outcome: Augmented
    summary: dict[str, object]


def run(spec: AugmentSpec, progress: Progress = lambda stage, done, total: None) -> Augmented:
    """Augment and write the rows, the failures and the summary.

    Args:
        spec: What to do.
        progress: Called with the stage's name, texts done and texts wanted.

    Raises:
        UserError: for anything the user can put right: data, writer, settings, output.
    """
    settings = _settings(spec)
    sources = read_sources(spec.dataset, split=spec.split, data_dir=spec.data_dir, revision=spec.data_revision)
    if spec.limit is not None:
        sources = sources[: spec.limit if isinstance(spec.limit, int) else max(1, round(spec.limit * len(sources)))]
    if spec.is_nano:
        sources = nano.with_phrasing(sources)
    _check_output(spec)
    writer = _writer(spec, sources, progress)
    outcome = augment(sources, writer, _generic(spec), settings, progress)
    dataset = spec.dataset if not Path(spec.dataset).is_file() else Path(spec.dataset).name
    return Augmented(outcome, summary.write(spec.output, outcome, sources, writer, settings, dataset=dataset))


def _settings(spec: AugmentSpec) -> AugmentSettings:
    _check_choices(spec)
    return AugmentSettings(
        variants=tuple(name for name in VARIANTS if name in spec.variants),
        verify=spec.verify,
        strict=spec.writer == "rules" and not spec.speaks_nano if spec.strict_secrets is None else spec.strict_secrets,
        judge=(spec.verifier or ("both" if spec.writer == "openai" else "rules")) == "both",
        completion=spec.completion,
        completion_share=spec.completion_share,
        generic_ratio=spec.generic_ratio,
        tries=spec.tries,
        seed=spec.seed,
        keep_original_answer=spec.with_original_answer,
    )


def _check_choices(spec: AugmentSpec) -> None:
    """An unknown name, or an option of another writer than the chosen one: most likely that writer was meant."""
    if spec.writer not in WRITERS:
        raise did_you_mean("writer", spec.writer, WRITERS)
    for name in spec.variants:
        if name not in VARIANTS:
            raise did_you_mean("variant", name, VARIANTS)
    if spec.tries is not None and spec.tries < 1:
        raise UserError(f"--tries must be at least 1, got {spec.tries}")
    for writer, names in _OF_WRITER.items():
        for name in names:
            if getattr(spec, name) is not None and spec.writer != writer:
                raise UserError(f"{_flag(name)} is for --writer {writer}, and the writer is {spec.writer}")
    if spec.verifier == "both" and spec.writer == "rules":
        raise UserError("--verifier both wants a writer with a model", hint="--writer openai or --writer hf")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _check_output(spec: AugmentSpec) -> None:
    """Before anything is asked for or paid: the output can be written, and is not what it is made from."""
    if spec.output.is_dir():
        raise UserError(f"--output {spec.output} is a folder", hint="name a file: --output DIR/relearn.jsonl")
    if spec.output.exists() and Path(spec.dataset).is_file() and spec.output.samefile(spec.dataset):
        raise UserError(f"--output {spec.output} would replace the dataset itself")
    if spec.output.exists() and not spec.overwrite and not summary.is_own(spec.output):
        raise UserError(
            f"--output {spec.output}: what is there is not as `augment` wrote it",
            hint="name another file, or pass --overwrite",
        )


def _writer(spec: AugmentSpec, sources: list[SensitivePair], progress: Progress) -> Writer:
    if spec.writer == "rules":
        from unlearn_bench.augment.rules import RulesWriter

        return RulesWriter(sources, seed=spec.seed, register=nano.register(sources) if spec.speaks_nano else {})
    from unlearn_bench.augment.chat import ChatWriter

    def requests(done: int, total: int) -> None:
        progress("requests", done, total)

    make = _endpoint if spec.writer == "openai" else _local
    return ChatWriter(make(spec, requests), name=spec.writer, seed=spec.seed)


def _endpoint(spec: AugmentSpec, progress: Callable[[int, int], None]) -> "ChatClient":
    from unlearn_bench.llm import DEFAULT_BASE_URL, Backoff, ChatClient

    return ChatClient(
        model=_needed(spec, "llm_model"),
        base_url=spec.llm_base_url or DEFAULT_BASE_URL,
        api_key_env=spec.llm_api_key_env,
        parameters={"temperature": spec.llm_temperature},
        json_mode=spec.llm_json_mode,
        concurrency=spec.llm_concurrency,
        timeout=spec.llm_timeout,
        cache_dir=Path(spec.llm_cache or spec.output.with_name(f"{spec.output.name}.cache")),
        prices=spec.llm_prices,
        backoff=Backoff(retries=spec.llm_retries),
        progress=progress,
    )


def _local(spec: AugmentSpec, progress: Callable[[int, int], None]) -> "LocalChat":
    from unlearn_bench.augment.local_chat import LocalChat
    from unlearn_bench.models.devices import choose_device
    from unlearn_bench.models.subject import load_subject

    name = _needed(spec, "writer_model")
    trusted = {"allow_pickle": spec.allow_pickle, "trust_remote_code": spec.trust_remote_code}
    model, tokenizer = load_subject(name, device=choose_device(spec.device), **trusted)
    return LocalChat(model, tokenizer, name=Path(name).name, batch_size=spec.batch_size, progress=progress)


def _needed(spec: AugmentSpec, name: str) -> str:
    value = getattr(spec, name)
    if value is None:
        raise UserError(f"--writer {spec.writer} wants {_flag(name)}", hint=f"{_flag(name)} NAME, or --writer rules")
    return value


def _generic(spec: AugmentSpec) -> list[tuple[str, str]]:
    """The generic pairs; for nano what its models were taught in general, in the trained phrasings only."""
    if spec.generic_ratio == 0:
        return []
    name = spec.generic or ("nano" if spec.is_nano else "builtin")
    if name == "builtin":
        return read_generic()
    return nano.generic_pairs() if name == "nano" else read_generic(Path(name).expanduser())
