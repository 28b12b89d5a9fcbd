"""A judge as evidence is gathered with: for each (question, reference, response) a verdict, or why there is none."""

from collections.abc import Sequence
from functools import cached_property, partial

from unlearn_bench.errors import UserError
from unlearn_bench.judges import asked, controls, reading
from unlearn_bench.judges.asked import Kind
from unlearn_bench.judges.sources import Source
from unlearn_bench.schema_judges import Controls, JudgeInfo, Verdict
from unlearn_bench.scorers.base import Unscored, part_fingerprint

Asked = tuple[str, str, str]  # question, reference, response


class Judge:
    """One judge: a question, and somebody who replies to it.

    Args:
        kind: What it decides.
        source: Who replies.
        weak: Whether its verdicts count though it fails its planted cases.
        prices: Per million prompt tokens and completion tokens; None: the cost is not counted.
    """

    version = 1

    def __init__(
        self, kind: Kind, source: Source, *, weak: bool = False, prices: tuple[float, float] | None = None
    ) -> None:
        self.kind, self.source, self.prices = kind, source, prices
        self._allowed = weak
        self._planted: dict[str, bool] = {}  # keys of replies, and whether they were asked now
        self._used: dict[str, bool] = {}

    @property
    def name(self) -> str:
        """For the record: the model."""
        return f"llm:{self.source.identity.model}"

    @cached_property
    def controls(self) -> Controls:
        """How it did on the planted cases; asked once.

        Raises:
            UserError: if it is below the stated floor and was not allowed to be, or no request can succeed.
        """
        found = controls.measure(self.kind, partial(self.source.replies, used=self._planted))
        problem = controls.weakness(self.kind, found)
        if problem and not self._allowed:
            if self.source.asks is None and found.unread == found.cases:
                raise UserError(
                    f"judge {self.kind}: the file has no verdicts of {self._who} on the planted cases, so it is not "
                    "known how often it is right",
                    hint="take the file of a whole run with the same prompts, or accept it: --weak-judge",
                )
            raise UserError(
                f"judge {self.kind}: {self._who} is too weak: {problem}",
                hint="name a better model, or let it count, marked as weak: --weak-judge",
            )
        return found

    @property
    def weak(self) -> bool:
        """Whether it is below the stated floor."""
        return controls.weakness(self.kind, self.controls) is not None

    @property
    def fingerprint(self) -> str:
        """Hash of who is asked, of what is asked, of how replies are read, and of what the planted cases showed."""
        return part_fingerprint(
            f"judge/{self.kind}",
            self.version,
            judge=self.source.identity.model_dump(),
            prompt=asked.instruction_sha256(self.kind),
            reading=reading.VERSION,
            controls=self.controls.model_dump(mode="json"),
        )

    def __call__(self, items: Sequence[Asked]) -> list[Verdict | Unscored]:
        """A verdict for each (question, reference, response).

        Raises:
            UserError: as `controls`.
        """
        _ = self.controls  # measured before any verdict counts
        replies = self.source.replies(self.kind, [asked.messages(self.kind, *item) for item in items], self._used)
        return [reply if isinstance(reply, Unscored) else reading.read(reply) for reply in replies]

    def info(self) -> JudgeInfo:
        """What a result says of it: who, how often right, and what its verdicts took."""
        used = {**self._used, **self._planted}
        lines = [line for key in used if (line := self.source.kept.get(key))]
        sent, received = (sum(line.tokens[i] for line in lines) for i in (0, 1))
        cost = None if self.prices is None else (sent * self.prices[0] + received * self.prices[1]) / 1e6
        return JudgeInfo(
            **self.source.identity.model_dump(),
            prompt_sha256=asked.instruction_sha256(self.kind),
            weak=self.weak,
            controls=self.controls,
            replies=len(lines),
            asked_now=sum(used.values()),
            prompt_tokens=sent,
            completion_tokens=received,
            cost=cost,
        )

    def restart(self) -> None:
        """Count anew: the next result has other answers; the planted cases are asked no more."""
        self._used.clear()
        self._planted = dict.fromkeys(self._planted, False)

    @property
    def _who(self) -> str:
        return f"{self.source.identity.model} ({self.source.identity.endpoint})"
