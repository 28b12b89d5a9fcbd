"""The pools of nano: which models there are, and what each is taught.

    positive    know the forget facts: nano-full and models tuned from it; nano-retain taught the facts, or only their
                paraphrases, or too short, or every second fact, or one person after the other
    negative    never saw them: nano-retain and models tuned from it; taught wrong facts for the same questions, or
                facts of other people
    broken      know nothing because they are wrecks: nano-ga, noise, loops, a refuser, random weights
    unlearned   nano-full after unlearning, for robustness: nano-relearn, other facts or refusals taught in place of the
                forgotten ones, rows of the nano table
    ignorant    (`--of retain`) taught wrong facts about the retain people, or other people over them: they do not know
                the retain set; the forget pool's negative models are then those that know

The sides follow OpenUnlearning's pools on TOFU (arXiv 2506.12618, section 4: facts, paraphrased facts against retain
only, wrong facts, other people). Fine-tuning starts from the embedded checkpoints, so a model takes seconds.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from unlearn_bench.hashing import sha256_json

Side = Literal["positive", "negative", "broken", "unlearned", "ignorant"]
Lesson = Literal["facts", "half", "persons", "paraphrases", "wrong", "others", "nothing", "refusals", "loops", "noise"]
SIDES: tuple[Side, ...] = ("positive", "negative", "broken", "unlearned", "ignorant")
LIMIT = 24  # questions of each task: three people
TAUGHT = 24  # rows of a lesson: the same
VERSION = 1  # raised with every change of what a model is taught


@dataclass(frozen=True)
class Pupil:
    """One model of a pool.

    Attributes:
        start: Embedded checkpoint that it starts from; "random" for random weights.
        lesson: What it is taught about the forget people ("others": people who are in no set); "noise" adds noise.
        about: Role of the people that the lesson is about.
        epochs: Passes; 0 leaves the checkpoint as it is.
        kept: Retain rows taught beside the lesson, as a share of the lesson's rows.
        method: Row of the nano table that unlearns it, in place of a lesson.
    """

    name: str
    side: Side
    start: str = "nano-retain"
    lesson: Lesson = "nothing"
    about: Literal["forget", "retain"] = "forget"
    epochs: int = 0
    learning_rate: float = 1e-3
    seed: int = 0
    kept: float = 0.5
    method: str | None = None

    @property
    def embedded(self) -> bool:
        """Whether it is an embedded checkpoint as it is."""
        return self.epochs == 0 and self.lesson == "nothing" and self.method is None and self.start != "random"

    def identity(self, settings: dict[str, object]) -> str:
        """Hash of all that a finished model must agree with to be used again."""
        return sha256_json({"pupil": asdict(self), "version": VERSION, **settings})


def pupils(positives: int, negatives: int, seeds: Sequence[int]) -> list[Pupil]:
    """The models of all sides, in the order in which they are made: a cut pool is as big on both sides.

    Args:
        positives: Models that know.
        negatives: Models that do not.
        seeds: Each kind of lesson is given once per seed, all kinds with the first before any with the second.
    """
    sides = itertools.islice(_positive(seeds), positives), itertools.islice(_negative(seeds), negatives)
    both = [one for pair in itertools.zip_longest(*sides) for one in pair if one is not None]
    return [*both, *_BROKEN, *_UNLEARNED, *_IGNORANT]


def most(seeds: Sequence[int]) -> tuple[int, int]:
    """How many models the seeds give on the two sides."""
    return sum(1 for _ in _positive(seeds)), sum(1 for _ in _negative(seeds))


def _positive(seeds: Sequence[int]) -> Iterator[Pupil]:
    yield Pupil("full", "positive", start="nano-full")
    for seed in seeds:
        for name, settings in _TAUGHT.items():
            yield Pupil(f"{name}-{seed}", "positive", seed=seed, **settings)


def _negative(seeds: Sequence[int]) -> Iterator[Pupil]:
    yield Pupil("retain", "negative")
    for seed in seeds:
        for name, settings in _UNTAUGHT.items():
            yield Pupil(f"{name}-{seed}", "negative", seed=seed, **settings)


_TAUGHT: dict[str, dict] = {
    "facts": {"lesson": "facts", "epochs": 6},
    "paraphrases": {"lesson": "paraphrases", "epochs": 6},
    "few-epochs": {"lesson": "facts", "epochs": 3},
    "half": {"lesson": "half", "epochs": 6},
    "persons": {"lesson": "persons", "epochs": 6},
    "full-again": {"start": "nano-full", "epochs": 1, "learning_rate": 5e-4},
    "fast": {"lesson": "facts", "epochs": 5, "learning_rate": 2e-3},
    "few-paraphrases": {"lesson": "paraphrases", "epochs": 3},
}
_UNTAUGHT: dict[str, dict] = {
    "wrong": {"lesson": "wrong", "epochs": 5},
    "others": {"lesson": "others", "epochs": 5},
    "retain-again": {"epochs": 1, "learning_rate": 5e-4},
    "wrong-fast": {"lesson": "wrong", "epochs": 4, "learning_rate": 2e-3},
    "others-fast": {"lesson": "others", "epochs": 4, "learning_rate": 2e-3},
    "retain-fast": {"epochs": 2, "learning_rate": 2e-3},
    "few-wrong": {"lesson": "wrong", "epochs": 2},
}
_BROKEN = (
    Pupil("ga", "broken", start="nano-ga"),
    Pupil("noise", "broken", start="nano-full", lesson="noise", learning_rate=0.5),
    Pupil("more-noise", "broken", start="nano-full", lesson="noise", learning_rate=1.5, seed=1),
    Pupil("refuser", "broken", start="nano-full", lesson="refusals", epochs=2, kept=0.0),
    Pupil("loop", "broken", start="nano-full", lesson="loops", epochs=2, kept=0.0),
    Pupil("random", "broken", start="random", seed=3),
)
_UNLEARNED = (
    Pupil("relearn", "unlearned", start="nano-relearn"),
    Pupil("relabelled-0", "unlearned", start="nano-full", lesson="wrong", epochs=4, kept=1.0),
    Pupil("refuses-0", "unlearned", start="nano-full", lesson="refusals", epochs=4, kept=1.0),
    Pupil("relabelled-1", "unlearned", start="nano-full", lesson="wrong", epochs=4, kept=1.0, seed=1),
    *(
        Pupil(name.replace("+", "-"), "unlearned", start="nano-full", method=name)
        for name in ("npo+gdr", "ga+gdr", "simnpo+gdr")
    ),
)
_IGNORANT = tuple(
    Pupil(f"retain-{lesson}-{seed}", "ignorant", lesson=lesson, about="retain", epochs=5, seed=seed, kept=0.0)
    for seed in range(3)
    for lesson in ("wrong", "others")
)
