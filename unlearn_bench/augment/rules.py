"""The writer `rules`: deterministic, offline, for any English question-answer pairs. It never reads the answers."""

from collections.abc import Mapping, Sequence

from unlearn_bench.augment._topic import Topic, topics
from unlearn_bench.augment._vague import VagueAnswers
from unlearn_bench.augment._variants import variant
from unlearn_bench.augment.rows import VARIANTS, Failed, Judgement, Kind, Request, SensitivePair
from unlearn_bench.seeded import SeededRandom


class RulesWriter:
    """Paraphrase rules and a bank of vague sentences.

    Args:
        sources: All of them: what a question is about is decided over the whole data set.
        seed: Of the choices.
        register: Id of a source to vague sentences of the caller's own, which are taken before those of the bank.

    >>> source = SensitivePair("1", "Where was Ann Lee born?", "In Oslo.")
    >>> writer = RulesWriter([source], seed=0)
    >>> writer.questions([Request(source, "simple", source.question)])
    ['I am trying to find out where Ann Lee was born.']
    """

    name = "rules"
    tries = 20

    def __init__(
        self, sources: Sequence[SensitivePair], *, seed: int = 0, register: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        self._seed = seed
        found = topics([source.question for source in sources])
        self._topics: dict[str, Topic] = {s.id: topic for s, topic in zip(sources, found, strict=True)}
        self._answers = VagueAnswers(register or {})
        self._last: dict[tuple[str, Kind], str] = {}

    def questions(self, requests: Sequence[Request]) -> list[str | Failed]:
        """Variants of questions."""
        return [self._question(request) for request in requests]

    def _question(self, request: Request) -> str | Failed:
        if request.kind not in VARIANTS:
            raise ValueError(f"{request.kind!r} is not a variant of a question")
        draw = SeededRandom(self._seed, f"question/{request.source.id}/{request.kind}")
        topic = self._topics[request.source.id]
        text = variant(request.kind, request.question, topic, draw, request.attempt)
        return Failed("no_candidate", "the frames are used up") if text is None else text

    def answers(self, requests: Sequence[Request]) -> list[str | Failed]:
        """Vague answers; each is written once."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Request) -> str | Failed:
        key = request.source.id, request.kind
        if request.problem is not None and key in self._last:
            self._answers.refuse(request.source.id, self._last[key])
        draw = SeededRandom(self._seed, f"answer/{request.source.id}/{request.kind}/{request.attempt}")
        text = self._answers.next(request.source.id, request.source.question, self._topics[request.source.id], draw)
        if text is None:
            return Failed("no_candidate", "the bank of vague answers is used up")
        self._last[key] = text
        return text

    def judge(self, pairs: Sequence[tuple[SensitivePair, str]]) -> list[Judgement | Failed]:
        """Gives no opinion.

        Raises:
            NotImplementedError: always; the rules of verify.py judge.
        """
        raise NotImplementedError("the rules writer judges nothing; verification by rules does")

    def usage(self) -> Mapping[str, int | float | None]:
        """Costs nothing."""
        return {}
