"""What documents say of judges: verdicts, planted cases, who judged, how far other scores agree. See `judges`."""

from typing import Annotated, Literal

from pydantic import Field

from unlearn_bench.schema_base import Finite, Sha256, Share, Strict


class Verdict(Strict):
    """What a judge says of an answer, in the words of its own question (`unlearn_bench.judges`).

    Attributes:
        verdict: Of `forget` and `retain`: whether the answer shows the knowledge.
        grade: 5 goes with yes, 1 with no; None where the judge gave none.
    """

    verdict: Literal["yes", "partly", "no"]
    grade: Annotated[int, Field(ge=1, le=5)] | None = None


class Controls(Strict):
    """A judge's verdicts on planted cases of known verdict; see `unlearn_bench.judges`.

    Attributes:
        version, sha256: Of the cases.
        right: Verdicts that are right, of `cases`; a reply that cannot be read (`unread`) is not.
        hits, misses, false_alarms, rejections: Read verdicts, by whether the true one and the judge's are the verdict
            that the judge's metric counts (forgotten, retained, fluent, relevant); `stats.correction.Confusion`.
        by_control: What the cases look for (long, polite, injection, order, …) to (right, cases).
        same_in_both_orders: Of `orders` cases shown in both orders of their texts, those with one verdict.
    """

    version: int
    sha256: Sha256
    cases: int = Field(ge=1)
    right: int = Field(ge=0)
    right_ci95: tuple[Share, Share]
    unread: int = Field(ge=0)
    hits: int = Field(ge=0)
    misses: int = Field(ge=0)
    false_alarms: int = Field(ge=0)
    rejections: int = Field(ge=0)
    by_control: dict[str, tuple[int, int]]
    orders: int = Field(ge=0)
    same_in_both_orders: int = Field(ge=0)

    @property
    def sensitivity(self) -> float | None:
        """Share of the cases with the counted verdict that got it; None where none was read."""
        known = self.hits + self.misses
        return self.hits / known if known else None

    @property
    def specificity(self) -> float | None:
        """Share of the other cases that did not get it; None where none was read."""
        other = self.false_alarms + self.rejections
        return self.rejections / other if other else None


class JudgeInfo(Strict):
    """A judge of a result: who, how often it is right, and what its verdicts took.

    Attributes:
        endpoint: Host of a public endpoint, "local" for others, or the hash of a local checkpoint's weights.
        prompts, prompt_sha256: Version of the prompts, and hash of this judge's.
        weak: Below the stated floor on the planted cases; its numbers are marked.
        replies: Replies that its verdicts and its planted cases were read from; `asked_now` of them by this run, the
            others were kept from an earlier one.
        prompt_tokens, completion_tokens: Of all of `replies`, as the endpoint counted them.
        cost: Of these tokens, in the currency of the prices that were given.
    """

    model: str
    endpoint: str
    temperature: Finite
    json_mode: str
    prompts: int
    prompt_sha256: Sha256
    weak: bool
    controls: Controls
    replies: int = Field(ge=0)
    asked_now: int = Field(ge=0)
    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(ge=0)
    cost: Finite | None = None


class Coefficient(Strict):
    """A coefficient of agreement, at most 1, with its 95 % bootstrap interval; None where that is undefined."""

    value: Finite
    ci95: tuple[Finite, Finite] | None = None
    n: int = Field(ge=0)


class JudgeAgreement(Strict):
    """How far a judge and a score made without it agree on the answers of a task, beyond chance.

    Attributes:
        score: The metric that it is compared with.
        alpha: Krippendorff's alpha, interval data.
        kappa: Cohen's weighted kappa.
    """

    task: str
    judge: str
    score: str
    alpha: Coefficient
    kappa: Coefficient
