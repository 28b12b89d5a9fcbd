"""What goes through the pipeline: sources, requests to a writer, its failures, and the rows of the result."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

Kind = Literal["original_question", "simple", "context", "noise", "logical", "completion", "generic"]
Variant = Literal["simple", "context", "noise", "logical"]
VARIANTS: tuple[Variant, ...] = ("simple", "context", "noise", "logical")
Verdict = Literal["clean", "unverified", "leaks", "not_applicable"]


@dataclass(frozen=True)
class SensitivePair:
    """One sensitive pair.

    Attributes:
        forbidden: Questions that no variant may equal: phrasings that the evaluation asks.
        cluster: What the data set groups the row by (a person), if it states one.
        phrasing: Roots of words of the answer that the data set knows to be its phrasing, and no secret.
    """

    id: str
    question: str
    answer: str
    forbidden: tuple[str, ...] = ()
    cluster: str | None = None
    phrasing: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Request:
    """One text wanted from a writer.

    Attributes:
        kind: Which variant of the question; for an answer: the variant that it answers.
        question: For an answer: the question to be answered; for a question: the original.
        attempt: 0 for the first try.
        problem: Why the try before was refused; None at the first.
    """

    source: SensitivePair
    kind: Kind
    question: str
    attempt: int = 0
    problem: str | None = None


class Failed(NamedTuple):
    """The reason why a text is missing."""

    reason: str
    detail: str = ""


class Judgement(NamedTuple):
    """A writer's own opinion of an answer: whether it gives something sensitive away, and what."""

    leaks: bool
    leaked: tuple[str, ...] = ()


class Writer(Protocol):
    """Who writes the texts. Equal requests get equal texts for a seed; a request that cannot be met is `Failed`."""

    name: str
    tries: int

    def questions(self, requests: Sequence[Request]) -> Sequence[str | Failed]: ...

    def answers(self, requests: Sequence[Request]) -> Sequence[str | Failed]: ...

    def judge(self, pairs: Sequence[tuple[SensitivePair, str]]) -> Sequence[Judgement | Failed]: ...

    def usage(self) -> Mapping[str, int | float | None]: ...


@dataclass(frozen=True)
class AugmentedRow:
    """One line of the output.

    Attributes:
        text: The question, or for a completion the beginning of a sentence.
        tries: Answers written until this one was accepted; 0 for what no writer wrote.
        question_tries: The same for the question.
    """

    id: str
    kind: Kind
    text: str
    answer: str
    source_id: str
    verdict: Verdict
    tries: int = 0
    question_tries: int = 0
    original_answer: str | None = None

    def to_json(self, *, writer: str, seed: int) -> dict[str, object]:
        """The line as `train` reads it: a completion has a `prompt` (taken as it is), all others a `question`."""
        provenance = {
            "source_id": self.source_id,
            "kind": self.kind,
            "writer": "none" if self.kind == "generic" else writer,
            "seed": seed,
            "verdict": self.verdict,
            "tries": self.tries,
            "question_tries": self.question_tries,
        }
        original = {} if self.original_answer is None else {"original_answer": self.original_answer}
        key = "prompt" if self.kind == "completion" else "question"
        return {"id": self.id, key: self.text, "answer": self.answer, **original, "provenance": provenance}


@dataclass(frozen=True)
class FailedText:
    """A text that no try made good.

    Attributes:
        stage: "question" or "answer"; without its question an answer is never asked for.
        reasons: Of each try, in order.
    """

    source_id: str
    kind: Kind
    stage: Literal["question", "answer"]
    reasons: tuple[str, ...] = field(default=())

    def to_json(self) -> dict[str, object]:
        """The line of the list of failures."""
        return {
            "source_id": self.source_id,
            "kind": self.kind,
            "stage": self.stage,
            "tries": len(self.reasons),
            "reasons": list(self.reasons),
        }
