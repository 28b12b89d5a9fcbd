"""From options to judges: who is asked, whose kept replies count, what is refused."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from unlearn_bench.errors import UserError
from unlearn_bench.judges import asked
from unlearn_bench.judges.asked import KINDS, Kind
from unlearn_bench.judges.judge import Judge
from unlearn_bench.judges.sources import Asks, Endpoint, Local, Source, host_of
from unlearn_bench.judges.verdicts import Identity, Kept, KeptFile
from unlearn_bench.llm import ChatClient, base_address
from unlearn_bench.registry import did_you_mean

JSON_MODES = ("json_schema", "json_object", "none")


@dataclass(frozen=True)
class JudgeSettings:
    """What chooses the judges; named as the options.

    Attributes:
        judge: Address of an OpenAI-compatible endpoint, or a checkpoint (embedded or packaged name, folder, GGUF file,
            hub id); None where only kept replies count.
        judge_model: The model's name at the endpoint.
        judge_key_env: Variable that holds the endpoint's key.
        judge_temperature: 0 for greedy.
        judge_json_mode: How JSON is asked for; one of `JSON_MODES`.
        judge_concurrency: Requests at the same time.
        judge_prices: "IN,OUT", per million tokens.
        judge_cache: File that keeps the replies.
        judges: Names of judges between commas; None for all.
        verdicts: A file of kept replies; nobody is asked then.
        weak_judge: Whether a judge that fails its planted cases counts.
        scorer_device: Where a judge (or another secondary model) of this machine runs; None for the first CUDA device,
            else the CPU.
        scorer_batch_size: Most texts in a batch.
        allow_pickle, trust_remote_code: Whether weights in pickle files, and code that comes with a model, are used.
    """

    judge: str | None = None
    judge_model: str | None = None
    judge_key_env: str = "OPENAI_API_KEY"
    judge_temperature: float = 0.0
    judge_json_mode: str = "json_object"
    judge_concurrency: int = 8
    judge_prices: str | None = None
    judge_cache: str | None = None
    judges: str | None = None
    verdicts: str | None = None
    weak_judge: bool = False
    scorer_device: str | None = None
    scorer_batch_size: int = 32
    allow_pickle: bool = False
    trust_remote_code: bool = False

    def __post_init__(self) -> None:
        if self.scorer_batch_size < 1:
            raise UserError(f"--scorer-batch-size should be at least 1, but is {self.scorer_batch_size}")
        if self.judge_json_mode not in JSON_MODES:
            raise did_you_mean("JSON mode", self.judge_json_mode, JSON_MODES)
        if self.judge is None and self.judge_model is not None and self.verdicts is None:
            raise UserError("--judge-model names a model of an endpoint, and none is named", hint="--judge URL")
        if self.is_endpoint and self.judge_model is None:
            raise UserError("--judge: which model of the endpoint?", hint="--judge-model NAME")
        if self.judge is not None and not self.is_endpoint and self.judge_model is not None:
            raise UserError(
                f"--judge {self.judge} is a checkpoint, and --judge-model is for an endpoint",
                hint="an endpoint's address begins with http:// or https://",
            )

    @property
    def is_endpoint(self) -> bool:
        """Whether an address is named."""
        return self.judge is not None and self.judge.startswith(("http://", "https://"))

    @property
    def wanted(self) -> bool:
        """Whether there are judges at all."""
        return self.judge is not None or self.verdicts is not None

    def chosen(self) -> tuple[Kind, ...]:
        """The judges that are asked.

        Raises:
            UserError: for an unknown name.
        """
        if not self.wanted:
            return ()
        if self.judges is None:
            return KINDS if self.verdicts is None else _source(self).kinds()
        names = [name.strip() for name in self.judges.split(",") if name.strip()]
        if not names:
            raise UserError("--judges names no judge", hint=f"known: {', '.join(KINDS)}; without it all are asked")
        for name in names:
            if name not in KINDS:
                raise did_you_mean("judge", name, KINDS)
        return tuple(kind for kind in KINDS if kind in names)

    def model(self) -> str:
        """What the judge is called: the endpoint's model, the checkpoint, or whose replies were kept."""
        if self.verdicts is not None:
            return _source(self).identity.model
        return self.judge_model or Path(str(self.judge)).name

    def prices(self) -> tuple[float, float] | None:
        """Per million tokens, sent and received."""
        if self.judge_prices is None:
            return None
        sent, received = self.judge_prices.split(",")
        return float(sent), float(received)


@lru_cache(maxsize=32)
def make_judge(kind: Kind, settings: JudgeSettings) -> Judge:
    """A judge, measured: its planted cases are asked now, where no kept reply answers them.

    Raises:
        UserError: if it is too weak, cannot be asked, or its file cannot be read.
    """
    judge = Judge(kind, _source(settings), weak=settings.weak_judge, prices=settings.prices())
    _ = judge.controls
    return judge


@lru_cache(maxsize=8)
def _source(settings: JudgeSettings) -> Source:
    """Who replies, shared by the judges."""
    if settings.verdicts is not None:
        kept = KeptFile(Path(settings.verdicts).expanduser())
        return Source(kept, of=_only(kept, None if settings.judge is None else _identity(settings)))
    kept_in = Kept(Path(settings.judge_cache).expanduser() if settings.judge_cache else None)
    return Source(kept_in, asks=_asks(settings))


def _asks(settings: JudgeSettings) -> Asks:
    if not settings.is_endpoint:
        return _local(settings)
    client = ChatClient(
        str(settings.judge_model),
        base_url=str(settings.judge),
        api_key_env=settings.judge_key_env,
        parameters={"temperature": settings.judge_temperature},
        json_mode=settings.judge_json_mode,  # type: ignore[arg-type]
        concurrency=settings.judge_concurrency,
    )
    return Endpoint(client, _identity(settings))


def _local(settings: JudgeSettings) -> Local:
    return Local(
        str(settings.judge),
        device=settings.scorer_device,
        batch_size=settings.scorer_batch_size,
        allow_pickle=settings.allow_pickle,
        trust_remote_code=settings.trust_remote_code,
    )


def _identity(settings: JudgeSettings) -> Identity:
    """Whose replies are wanted, without asking."""
    if not settings.is_endpoint:
        return _local(settings).identity
    return Identity(
        model=str(settings.judge_model)[:200],
        endpoint=host_of(base_address(str(settings.judge))),
        temperature=settings.judge_temperature,
        json_mode=settings.judge_json_mode,
        prompts=asked.version(),
    )


def _only(kept: "KeptFile", wanted: Identity | None) -> Identity:
    """The judge of a file whose replies count.

    Raises:
        UserError: if the file has none of the one that is named, or several and none is named.
    """
    found = kept.identities()
    if wanted is not None:
        if wanted not in found:
            raise UserError(
                f"verdicts {kept.name} holds no reply of {_shown(wanted)}",
                hint=f"it holds those of {'; '.join(map(_shown, found[:3])) or 'nobody'}",
            )
        return wanted
    current = [one for one in found if one.prompts == asked.version()]
    if len(current) == 1:
        return current[0]
    if not current:
        raise UserError(
            f"verdicts {kept.name} holds no reply to the prompts of this version ({asked.version()})",
            hint="score with the version of unlearn-bench that wrote it, or ask again with --judge",
        )
    raise UserError(
        f"verdicts {kept.name} holds replies of {len(current)} judges: {'; '.join(map(_shown, current[:3]))}",
        hint="name one of them with --judge and --judge-model",
    )


def _shown(judge: Identity) -> str:
    return f"{judge.model} ({judge.endpoint}, temperature {judge.temperature:g}, {judge.json_mode})"
