"""What the pools of a benchmark are: which models there are, and what each is taught.

    positive    know the forget facts
    negative    never saw them
    broken      know nothing because they are wrecks
    unlearned   knew them and were made to forget, for robustness
    ignorant    (`--of retain`) do not know the retain rows; the forget pool's negative models are then those that know

The sides follow OpenUnlearning's pools on TOFU (arXiv 2506.12618, section 4: facts, paraphrased facts against retain
only, wrong facts, other people). `nano_plan` and `smol_plan` say what the models of a benchmark are.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from unlearn_bench.hashing import sha256_json
from unlearn_bench.schema import Row

Lesson = Literal["facts", "half", "persons", "paraphrases", "wrong", "others", "nothing", "refusals", "loops", "noise"]
VERSION = 1  # raised with every change of what a model is taught
RANDOM = "random"


@dataclass(frozen=True)
class Pupil:
    """One model of a pool.

    Attributes:
        side: What it is made for: to know, not to know, to be broken; unlearned, or never taught the retain people
            ("ignorant"), to be judged under stress.
        start: Checkpoint that it starts from; "random" for random weights.
        lesson: What it is taught about the forget people ("others": people who are in no set); "noise" adds noise.
        about: Role of the people that the lesson is about.
        epochs: Passes; 0 leaves the checkpoint as it is.
        kept: Retain rows taught beside the lesson, as a share of the lesson's rows.
        method: Row of the benchmark's table that unlearns it, in place of a lesson.
    """

    name: str
    side: Literal["positive", "negative", "broken", "unlearned", "ignorant"]
    start: str
    lesson: Lesson = "nothing"
    about: Literal["forget", "retain"] = "forget"
    epochs: int = 0
    learning_rate: float = 1e-3
    seed: int = 0
    kept: float = 0.5
    method: str | None = None

    def identity(self, settings: Mapping[str, object]) -> str:
        """Hash of all that a finished model must agree with to be used again."""
        return sha256_json({"pupil": asdict(self), "version": VERSION, **settings})


@dataclass(frozen=True)
class Plan:
    """The pools of one benchmark.

    Attributes:
        name: Of the benchmark, and of the study whose rows unlearn (`Pupil.method`).
        original, oracle: Checkpoints that know the forget rows, and that never saw them; both know the retain rows.
        tasks: What the models of the forget pool are asked.
        retain_tasks: What those of the retain pool are asked.
        rows: The rows of the benchmark among those of a corpus of nano's.
        limit: Questions of each task, unless the command says another number, and rows of a lesson: the same.
        taught: Kind of positive model to its fields.
        strangers: Further negative models, which no seed changes.
        untaught: Kind of negative model to its fields.
        wrecks, unlearned, ignorant: The other sides' models.
        stranger: A model that never saw the retain rows, for robustness of what is asked of them; None: that is not
            measured.
        relearned: The lesson that shows how fast knowledge comes back.
        batch_size: Questions asked at a time.
    """

    name: str
    original: str
    oracle: str
    tasks: tuple[str, ...]
    retain_tasks: tuple[str, ...]
    rows: Callable[[Sequence[Row]], Sequence[Row]]
    limit: int
    taught: Mapping[str, Mapping[str, Any]]
    strangers: tuple[Pupil, ...]
    untaught: Mapping[str, Mapping[str, Any]]
    wrecks: tuple[Pupil, ...]
    unlearned: tuple[Pupil, ...]
    ignorant: tuple[Pupil, ...]
    stranger: Pupil | None
    relearned: Pupil
    batch_size: int

    def pupils(self, positives: int, negatives: int, seeds: Sequence[int]) -> list[Pupil]:
        """The models of all sides, in the order in which they are made: a cut pool is as big on both sides.

        Args:
            positives: Models that know.
            negatives: Models that do not.
            seeds: Each kind of lesson is given once per seed, all kinds with the first before any with the second.
        """
        sides = itertools.islice(self._positive(seeds), positives), itertools.islice(self._negative(seeds), negatives)
        both = [one for pair in itertools.zip_longest(*sides) for one in pair if one is not None]
        return [*both, *self.wrecks, *self.unlearned, *self.ignorant]

    def _positive(self, seeds: Sequence[int]) -> Iterator[Pupil]:
        yield Pupil("full", "positive", self.original)
        for seed in seeds:
            for name, fields in self.taught.items():
                yield Pupil(f"{name}-{seed}", "positive", **{"start": self.oracle, "seed": seed, **fields})

    def _negative(self, seeds: Sequence[int]) -> Iterator[Pupil]:
        yield self.oracle_pupil
        yield from self.strangers
        for seed in seeds:
            for name, fields in self.untaught.items():
                yield Pupil(f"{name}-{seed}", "negative", **{"start": self.oracle, "seed": seed, **fields})

    @property
    def oracle_pupil(self) -> Pupil:
        """The oracle as it is."""
        return Pupil("retain", "negative", self.oracle)

    def tasks_of(self, pupil: Pupil) -> tuple[str, ...]:
        """What a model is asked: retain questions where it is surely known whether it knows the retain set."""
        if pupil.side == "ignorant":
            return self.retain_tasks
        knows = pupil.start in (self.original, self.oracle) and pupil.lesson == "nothing"
        return (*self.tasks, *self.retain_tasks) if knows and pupil.side in ("positive", "negative") else self.tasks
