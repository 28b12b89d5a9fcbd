"""What a run is asked to do: typed settings, one object for each thing that they shape (data, prompts, scoring).

A task file may hold settings too, in its `metadata`; those of the command line are laid over them.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearn_bench import tokens
from unlearn_bench.evidence import profiles
from unlearn_bench.evidence.pipeline import default_options
from unlearn_bench.judges.sources import judge_name
from unlearn_bench.scorers.base import Parts

if TYPE_CHECKING:
    from typing_extensions import Self  # typing has it from Python 3.11 on

DEFAULT = "default"  # among names of metrics: those that are computed unasked
FEWSHOT_SEED = 1234  # lm-eval's default
STRESSED = ("kfr", "krr", "rougeL_recall")  # metrics that are told under stress
MARGIN = 0.1  # largest excess recovery that counts as none
MACHINE = frozenset({"batch_size", "device"})  # of `run_settings` those that change no number
# Settings that move no number, or name what a result must not hold.
_UNTOLD = frozenset({"llm_base_url", "llm_api_key_env", "llm_cache", "llm_concurrency", "scorer_device"}) | {
    *("judge_key_env", "judge_cache", "judge_concurrency", "judge_prices", "verdicts"),
}


@dataclass(frozen=True)
class DataSettings:
    """Where rows come from.

    Attributes:
        data_dir: A folder of the datasets, in place of the hub.
        data_revision: Commit of the hub's datasets.
        forget_split: Which of TOFU's forget sets is asked.
    """

    data_dir: str | None = None
    data_revision: str | None = None
    forget_split: str | None = None

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> "Self":
        """The settings among a task's `metadata`."""
        return cls(**_known(cls, metadata))

    def over(self, other: "DataSettings") -> "DataSettings":
        """These settings where they are given, else the other ones."""
        return DataSettings(**{**asdict(other), **_known(DataSettings, asdict(self))})


@dataclass(frozen=True)
class PromptSettings:
    """How a row becomes a prompt, and a generation an answer.

    Attributes:
        prompt: One of `tokens.CHOICES`.
        thinking: "on" and "off" set the switch of a chat template; "model" leaves it as the template has it.
        template_date: What chat templates that write a date write, as YYYY-MM-DD.
        first_answer: Whether the answer is cut out of what is generated.
        answer_end: What ends a given answer whose likelihood is asked, one of `tokens.ENDS`.
    """

    prompt: str = "auto"
    thinking: str = "model"
    template_date: str = tokens.DATE
    first_answer: bool = True
    answer_end: str = "turn"

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> "Self":
        """The settings among a task's `metadata`."""
        return cls(**cls.fixed_by(metadata))

    @classmethod
    def fixed_by(cls, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """Of a task's `metadata` what this class knows."""
        return _known(cls, metadata)


@dataclass(frozen=True)
class Scoring:
    """How answers are scored.

    Attributes:
        parts: What chooses the parts, named as the fields of `evidence.settings.Settings`.
        options: Options of scorers (kfr_rule, …) that differ from the defaults.
    """

    parts: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def split(cls, settings: Mapping[str, Any]) -> "Self":
        """Split parts from options: what is not a setting of a part is an option."""
        parts = {key: value for key, value in settings.items() if key in profiles.SETTINGS}
        return cls(parts, {key: value for key, value in settings.items() if key not in parts})

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> "Self":
        """The settings among a task's `metadata`, which holds other things too."""
        known = {*profiles.SETTINGS, *default_options()}
        return cls.split({key: value for key, value in metadata.items() if key in known})

    def over(self, other: "Scoring") -> "Scoring":
        """These settings where they are given, else the other ones."""
        return Scoring({**other.parts, **self.parts}, {**other.options, **self.options})

    def made_for(self, dataset: str | None) -> Parts:
        """The parts, for answers to a dataset's questions."""
        return profiles.parts_from(self.parts, dataset)

    def told(self) -> list[str]:
        """The settings as a result records them: those that may move a number, without paths of this machine."""
        given = {**self.parts, **self.options}
        if "judge" in given:
            given["judge"] = judge_name(str(given["judge"]))
        return [f"{key}={_plain(value)}" for key, value in sorted(given.items()) if key not in _UNTOLD]


@dataclass(frozen=True)
class DiagnosisSettings:
    """What is measured inside the judged model, over the questions of the run's forget tasks.

    Attributes:
        diagnose: Names of diagnostics; empty: nothing is measured.
        original, oracle: The checkpoint before unlearning, and one that never saw the forget set. A run places its
            numbers between them also without diagnostics; then each may be a result as well.
        inside: Folder for document, arrays and (`plots`) pictures; None keeps only the numbers.
    """

    diagnose: tuple[str, ...] = ()
    original: Any = None  # a name, or `harness.oracle.Oracle`
    oracle: Any = None
    inside: Path | None = None
    plots: bool = True


@dataclass(frozen=True)
class RunSpec:
    """What `unlearn-bench run` was asked to do; field by field its options.

    Attributes:
        tasks: Names of our tasks and groups, or of stock lm-eval tasks, or patterns (`nano_*`).
        include_path: A folder of further task files, as lm-eval's option of that name.
        metrics: Only these metrics of the tasks, `DEFAULT` standing for those that are computed unasked; empty: those.
        model_args: Passed on to `from_pretrained` (hf), to lm-eval's model class (vllm) or to the client (api).
        tokenizer: Folder of a tokenizer in place of the checkpoint's own.
        batch_size: Most rows in one model call, or "auto" for the most that fit.
        limit: Only the first questions of each task, or below 1 this share of them.
        seed: Of sampled answers.
        fewshot_seed: Of the examples in the prompts of stock tasks.
        generation: Settings that override the tasks' own.
        chunks: Folder of the answer store; None keeps nothing.
        diagnosis: Diagnostics to log into the result.
    """

    model: str = "nano-full"
    tasks: tuple[str, ...] = ("nano",)
    include_path: str | None = None
    metrics: tuple[str, ...] = ()
    adapter: str | None = None
    revision: str | None = None
    backend: str = "hf"
    model_args: Mapping[str, object] = field(default_factory=dict, repr=False)
    tokenizer: str | None = None
    batch_size: int | str = 32
    dtype: str = "auto"
    device: str | None = None
    limit: float | None = None
    seed: int = 0
    fewshot_seed: int = FEWSHOT_SEED
    data: DataSettings = field(default_factory=DataSettings)
    prompts: PromptSettings = field(default_factory=PromptSettings)
    scoring: Scoring = field(default_factory=Scoring)
    generation: Mapping[str, object] = field(default_factory=dict)
    allow_pickle: bool = False
    trust_remote_code: bool = False
    allow_partial: bool = False
    chunks: Path | None = None
    diagnosis: DiagnosisSettings = field(default_factory=DiagnosisSettings)

    @classmethod
    def of(cls, options: Mapping[str, Any], scoring: Scoring) -> "Self":
        """From options by their names, as the command line and the Python API have them; see `option_names`.

        What ends an answer follows the counting where it is not said: `parity` open-unlearning ends it as there.
        """
        if options.get("answer_end") is None:
            parity = scoring.options.get("parity") == tokens.OPEN_UNLEARNING
            options = {**options, "answer_end": tokens.OPEN_UNLEARNING if parity else "turn"}
        nested = {name: kind(**_among(kind, options)) for name, kind in _NESTED.items()}
        return cls(**_among(cls, options), **nested, scoring=scoring)


@dataclass(frozen=True)
class StressSpec:
    """What `unlearn-bench stress` was asked to do.

    Attributes:
        run: The judged checkpoint, the tasks, and how they are asked and scored.
        panel: Names of panels, stresses and variants.
        oracle, original: The checkpoints that the judged one is compared with.
        metrics: Which are told; each on the roles where it means something.
        margin: Largest excess that counts as none.
        folder: Where finished exams and generated answers are kept; None keeps nothing.
        controls: Where those of the oracle and of the original are kept, for panels of several checkpoints; None:
            with the rest.
        jobs: Processes that share the exams; None: as many as are worth it (`stress_room.jobs_of`).
    """

    run: RunSpec
    panel: tuple[str, ...] = ("quick",)
    oracle: str | None = None
    original: str | None = None
    metrics: tuple[str, ...] = STRESSED
    margin: float = MARGIN
    folder: Path | None = None
    controls: Path | None = None
    jobs: int | None = 1

    def checkpoints(self) -> dict[str, RunSpec]:
        """Who is asked, the judged one first."""
        others = {"oracle": self.oracle, "original": self.original}
        plain = replace(self.run, adapter=None, revision=None, tokenizer=None, model_args={})
        return {"model": self.run} | {who: replace(plain, model=name) for who, name in others.items() if name}


_NESTED = {"data": DataSettings, "prompts": PromptSettings, "diagnosis": DiagnosisSettings}


def option_names() -> set[str]:
    """The names of all settings of a run but those of the scoring."""
    nested = {f.name for kind in _NESTED.values() for f in fields(kind)}
    return {f.name for f in fields(RunSpec)} - {*_NESTED, "scoring"} | nested


def _among(settings: type, options: Mapping[str, Any]) -> dict[str, Any]:
    return {f.name: options[f.name] for f in fields(settings) if f.name in options}


def run_settings(spec: RunSpec) -> dict[str, Any]:
    """The settings as given, without paths of this machine and without what may be a secret."""
    return {
        **{
            which: Path(str(getattr(named, "name", named))).name
            for which in ("original", "oracle")
            if (named := getattr(spec.diagnosis, which)) is not None
        },
        "tasks": list(spec.tasks),
        "backend": spec.backend,
        "batch_size": spec.batch_size,
        "dtype": spec.dtype,
        "device": spec.device,
        "limit": spec.limit,
        "seed": spec.seed,
        **{key: value for key, value in asdict(spec.prompts).items() if (key, value) != ("answer_end", "turn")},
        "forget_split": spec.data.forget_split,
        "model_args": sorted(str(key) for key in spec.model_args),
        "generation": [f"{key}={value}" for key, value in sorted(spec.generation.items())],
        "scoring": spec.scoring.told(),
        **({"metrics": list(spec.metrics)} if spec.metrics else {}),
        **({"fewshot_seed": spec.fewshot_seed} if spec.fewshot_seed != FEWSHOT_SEED else {}),
        **({"tokenizer": Path(spec.tokenizer).name} if spec.tokenizer else {}),
    }


def _known(settings: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Of some values those that are fields of a class and not None."""
    return {f.name: given[f.name] for f in fields(settings) if given.get(f.name) is not None}


def _plain(value: object) -> object:
    """A path of this machine by its last part."""
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value
