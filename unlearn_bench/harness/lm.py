"""The judged model between a run and its backend: every generation of a run goes through here."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from lm_eval.api.model import LM

from unlearn_bench.harness import gradient
from unlearn_bench.harness.gradient import AskedGradient
from unlearn_bench.harness.likelihood import Asked, read, written
from unlearn_bench.harness.observations import AnswerStore, with_seeds
from unlearn_bench.harness.progress import Progress, timed
from unlearn_bench.schema import Gradient, Likelihood

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance

CHUNK_BATCHES = 8  # a chunk of the answer store: long enough for refilling to pay, short enough to lose little
LIKELIHOOD_CHUNK = 512  # texts to a chunk of the store: those of one prompt are neighbours
GRADIENT_CHUNK = 16  # a backward pass each
AUTO_CHUNK = 256  # requests to a chunk where the batch size is found by trying
T = TypeVar("T")
_SAMPLED = ("do_sample", "temperature", "top_k", "top_p", "until", "max_gen_toks", "seed")


def is_sampled(settings: Mapping[str, Any]) -> bool:
    """Whether settings ask for a draw with a seed of the run: only temperature, top-k and top-p are set."""
    temperature = float(settings.get("temperature") or 0.0)
    wanted = settings.get("do_sample", temperature > 0)
    return (
        bool(wanted)
        and temperature > 0
        and set(settings) <= {*_SAMPLED, "repetition_penalty"}
        and (settings.get("repetition_penalty", 1.0) == 1.0)
    )


class StoredLM(LM):
    """A model whose generated answers are seeded, kept, counted and timed; everything else is the model's own.

    Args:
        lm: The model.
        store: Where answers are kept.
        batch_size: The model's; a chunk of the store is several batches.
        seed: Of sampled answers; None: the model draws with its own seeds.
        progress: Told how many answers are asked for, and how many are there.
        timing: The seconds of generation are added to "generate".
        template: Turns a conversation into a prompt; None: as the model does it.
    """

    def __init__(
        self,
        lm: LM,
        store: AnswerStore,
        *,
        batch_size: int | str,
        seed: int | None,
        progress: Progress,
        timing: dict[str, float],
        template: Callable[..., str] | None = None,
    ) -> None:
        super().__init__()
        self.lm = lm
        self._store = store
        self._chunk = AUTO_CHUNK if isinstance(batch_size, str) else batch_size * CHUNK_BATCHES
        self._seed = seed
        self._progress = progress
        self._timing = timing
        self._template = template or lm.apply_chat_template
        self._announced = 0
        self._reports = hasattr(lm, "on_finish")
        if self._reports:
            lm.on_finish = progress.answers

    def generate_until(self, requests: Sequence["Instance"], disable_tqdm: bool = False) -> list[str]:
        """Answers in the order of the requests: kept ones from the store, the others from the model."""
        self._announced += len(requests)
        self._progress.total(self._announced)
        if self._seed is not None:
            requests = with_seeds(requests, self._seed, is_sampled)
        return self._store.answers(requests, self._generate, self._chunk, self._progress.answers)

    def _generate(self, requests: Sequence["Instance"]) -> list[str]:
        with timed(self._timing, "generate"):
            answers = self.lm.generate_until(requests, disable_tqdm=True)
        if not self._reports:
            self._progress.answers(len(answers))
        return answers

    def likelihood(self, asked: Sequence[Asked]) -> list[Likelihood | str]:
        """Likelihoods in the order of what is asked, or why there is none: kept ones, the others from the model."""
        return [read(line) for line in self._kept(asked, self._likelihood, LIKELIHOOD_CHUNK, lambda one: one)]

    def _likelihood(self, asked: Sequence[Asked]) -> list[str]:
        with timed(self._timing, "likelihood"):
            return [written(found) for found in self.lm.likelihood(asked)]

    def gradients(self, asked: Sequence[AskedGradient]) -> list[Gradient | str]:
        """Gradients in the order of what is asked, or why there is none: kept ones, the others from the model."""
        lines = self._kept(asked, self._gradients, GRADIENT_CHUNK, lambda one: one.of)
        return [gradient.read(line) for line in lines]

    def _gradients(self, asked: Sequence[AskedGradient]) -> list[str]:
        with timed(self._timing, "gradient"):
            return [gradient.written(found) for found in self.lm.gradients(asked)]

    def _kept(
        self, asked: Sequence[T], ask: Callable[[Sequence[T]], list[str]], chunk: int, of: Callable[[T], Asked]
    ) -> list[str]:
        """A line of the store for each of what is asked; those of one prompt and text (`of`) are neighbours."""
        self._announced += len(asked)
        self._progress.total(self._announced)
        return self._store.answers(
            asked, ask, chunk, self._progress.answers, key=lambda one: (of(one).prompt, of(one).text)
        )

    @contextmanager
    def asking_stock(self) -> Iterator[None]:
        """Stock tasks are answered as `lm_eval run --model hf` answers them."""
        self.lm.as_stock = True
        try:
            yield
        finally:
            self.lm.as_stock = False

    def loglikelihood(self, requests: Sequence["Instance"], **options: Any) -> list[tuple[float, bool]]:
        """The model's own."""
        return self.lm.loglikelihood(requests, **options)

    def loglikelihood_rolling(self, requests: Sequence["Instance"], **options: Any) -> list[float]:
        """The model's own."""
        return self.lm.loglikelihood_rolling(requests, **options)

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """The conversation as the chosen template settings write it."""
        return self._template(chat_history, add_generation_prompt)

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        """The model's own."""
        return self.lm.chat_template(chat_template)

    @property
    def tokenizer_name(self) -> str:
        """The model's own."""
        return self.lm.tokenizer_name

    @property
    def device(self) -> Any:
        """The model's own."""
        return self.lm.device

    @property
    def rank(self) -> int:
        """The model's own."""
        return self.lm.rank

    @property
    def world_size(self) -> int:
        """The model's own."""
        return self.lm.world_size

    def all_gather(self, tensor: Any) -> Any:
        """The model's own."""
        return self.lm.all_gather(tensor)

    def gather_object(self, obj: Any, dst: int = 0) -> list[Any] | None:
        """The model's own."""
        return self.lm.gather_object(obj, dst)

    def barrier(self) -> None:
        """The model's own."""
        self.lm.barrier()

    def __getattr__(self, name: str) -> Any:
        """What lm-eval asks of some models only (`tokenizer`, `batch_sizes`, …): the model's own."""
        if name == "lm":  # not there yet: a copy is being made
            raise AttributeError(name)
        return getattr(self.lm, name)
