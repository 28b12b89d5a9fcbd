"""The likelihood and choice probes: what the checkpoint says of texts that it did not write.

Each distinct (prompt, text) is asked once, whoever wants it. Only the reference answer keeps the values of its tokens;
of other texts the mean is kept. Numbers are rounded to 6 significant digits (means to 9), which moves no aggregate by
more than 1e-6 of it and keeps a line of samples.jsonl small.

A text has no likelihood, and the row says why, where it is empty or has no tokens, where prompt and text together are
longer than the model's context (nothing is cut), and where the model returns NaN.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from unlearn_bench.harness.spec import PromptSettings
from unlearn_bench.hashing import canonical_json
from unlearn_bench.models.likelihood import TokenSequence
from unlearn_bench.schema import Likelihood, Response, Row
from unlearn_bench.tokens import Continued

if TYPE_CHECKING:
    import numpy as np

    from unlearn_bench.models.likelihood import TokenValues
    from unlearn_bench.tokens import Prompts

ANSWER = "answer"
EMPTY = "empty_continuation"
TOO_LONG = "longer_than_context"
NAN_LOGITS = "nan_logits"
NOT_GIVEN = "backend_gives_no_log_probabilities"
_DIGITS, _DIGITS_OF_MEANS = 6, 9
_NO_DETAILS = dict.fromkeys(("logprobs", "hits", "means", "variances"))
PROBES = frozenset({"likelihood", "choice"})


@dataclass(frozen=True)
class Asked:
    """A text whose likelihood after a prompt is asked.

    Attributes:
        text: Without what stands between it and the prompt.
        style: The prompt's style, which decides that.
        end: What ends the text, one of `tokens.ENDS`.
        begun: The prompt ends with the beginning of the answer.
        detailed: Whether the values of its tokens are kept.
        prompts: How the model's tokenizer joins them; None where the backend has its own.
    """

    prompt: str
    text: str
    style: str
    end: str
    begun: bool = False
    detailed: bool = False
    prompts: "Prompts | None" = field(default=None, compare=False, repr=False)

    @property
    def key(self) -> tuple[str, str, str, str, bool]:
        """What its likelihood depends on, the model apart."""
        return self.prompt, self.text, self.style, self.end, self.begun

    @property
    def args(self) -> tuple[str, dict[str, object]]:
        """Prompt and settings: what the store of observations knows it by."""
        settings = {"text": self.text, "style": self.style, "end": self.end, "begun": self.begun}
        return self.prompt, {**settings, "detailed": self.detailed}

    @property
    def joined(self) -> Continued:
        """Token ids of prompt and text."""
        return self.prompts.continued(self.prompt, self.text, end=self.end, begun=self.begun)


def continuations(row: Row, probes: Collection[str]) -> dict[str, str]:
    """Name to text of what a row wants to know the likelihood of.

    >>> row = Row(id="1", role="forget", question="Who?", answer="Ada.", perturbed_answers=["Bo.", "Cy."])
    >>> continuations(row, {"likelihood"})
    {'answer': 'Ada.', 'perturbed_answers.0': 'Bo.', 'perturbed_answers.1': 'Cy.'}
    """
    texts: dict[str, str] = {}
    if "likelihood" in probes:
        texts[ANSWER] = row.answer
        if row.paraphrased_answer is not None:
            texts["paraphrased_answer"] = row.paraphrased_answer
        texts |= {f"perturbed_answers.{i}": text for i, text in enumerate(row.perturbed_answers)}
    if "choice" in probes:
        texts |= {f"choices.{i}": text for i, text in enumerate(row.choices)}
    return texts


def asked_of(
    row: Row, probes: Collection[str], prompt: str, settings: PromptSettings, prompts: "Prompts | None"
) -> dict[str, Asked]:
    """Name to what is asked for a row; options of a choice have nothing behind them, as in lm-eval."""
    return {
        name: Asked(
            prompt,
            text,
            settings.prompt if prompts is None else prompts.style,
            "none" if name.startswith("choices.") else settings.answer_end,
            begun=bool(row.prefill),
            detailed=name == ANSWER,
            prompts=prompts,
        )
        for name, text in continuations(row, probes).items()
    }


def distinct(wanted: Iterable[Asked]) -> list[Asked]:
    """Each text after each prompt once, neighbours being those that begin alike; detailed where anybody wants that."""
    chosen: dict[tuple[str, str, str, str, bool], Asked] = {}
    for asked in wanted:
        if asked.key not in chosen or asked.detailed:
            chosen[asked.key] = asked
    return [chosen[key] for key in sorted(chosen)]


def add(response: Response, asked: Mapping[str, Asked], found: Mapping[object, Likelihood | str]) -> Response:
    """A response with the likelihoods of its row, and the reasons of those that have none.

    Args:
        response: What was observed of the row so far.
        asked: What is asked for the row, by name.
        found: `Asked.key` to what was found.
    """
    values: dict[str, Likelihood] = {}
    reasons: dict[str, str] = {}
    for name, one in asked.items():
        value = found[one.key]
        if isinstance(value, str):
            reasons[name] = value
        else:
            values[name] = value if one.detailed else value.model_copy(update=_NO_DETAILS)
    return response.model_copy(update={"likelihoods": values or None, "no_likelihood": reasons or None})


def ask(
    asked: Sequence[Asked],
    context: int,
    read: Callable[[list[TokenSequence], list[bool], Callable[[int], None]], "Sequence[TokenValues | str]"],
    on_finish: Callable[[int], None] = lambda _: None,
) -> list[Likelihood | str]:
    """The likelihood of each text after its prompt, or why it has none.

    Args:
        asked: Texts; different ones may have the same tokens, which are read once.
        context: Most tokens of prompt and text together.
        read: Different token sequences, and of which everything is wanted, to the values of their tokens, or to the
            reason why there are none.
        on_finish: Called with the number of texts just read.
    """
    joined = [one.joined for one in asked]
    reasons = [why_not(own, context) for own in joined]
    detailed: dict[TokenSequence, bool] = {}
    sequences = [TokenSequence(tuple(own.ids), own.start) for own in joined]
    for one, sequence, reason in zip(asked, sequences, reasons, strict=True):
        if reason is None:
            detailed[sequence] = detailed.get(sequence, False) or one.detailed
    values = dict(zip(detailed, read(list(detailed), list(detailed.values()), on_finish), strict=True))
    on_finish(len(asked) - len(values))
    return [
        reason or likelihood(values[sequence], own.ending, detailed=one.detailed)
        for one, own, sequence, reason in zip(asked, joined, sequences, reasons, strict=True)
    ]


def why_not(joined: Continued, context: int) -> str | None:
    """Why nothing can be read of a prompt and a text of these tokens; None where it can."""
    if len(joined.ids) - joined.ending <= joined.start:
        return EMPTY
    return TOO_LONG if len(joined.ids) > context else None


def likelihood(values: "TokenValues | str", ending: int, *, detailed: bool) -> Likelihood | str:
    """What is kept of the values of tokens, or why there is nothing.

    Args:
        values: Of all tokens of a text, or why there are none.
        ending: How many of the last only end it.
        detailed: Whether more is kept than the mean.
    """
    import numpy as np

    if isinstance(values, str):
        return values
    if not np.isfinite(values.logprobs).all():
        return NAN_LOGITS
    mean = float(np.mean(values.logprobs, dtype=np.float64))
    hits, means, variances = values[1:] if detailed else (None, None, None)
    return Likelihood(
        mean_logprob=rounded(mean),
        tokens=len(values.logprobs),
        ending=ending,
        logprobs=_listed(values.logprobs) if detailed else None,
        hits=None if hits is None else [bool(hit) for hit in hits],
        means=None if means is None else _listed(means),
        variances=None if variances is None else _listed(variances),
    )


def _listed(values: "np.ndarray") -> list[float]:
    return [rounded(value, _DIGITS) for value in values.tolist()]


def rounded(value: float, digits: int = _DIGITS_OF_MEANS) -> float:
    """A number as it is kept: by default to the digits of a mean."""
    return float(f"{value:.{digits}g}")


def written(found: Likelihood | str) -> str:
    """One line of the store: a likelihood, or the reason why there is none."""
    return canonical_json(found if isinstance(found, str) else found.model_dump(exclude_defaults=True))


def read(line: str) -> Likelihood | str:
    """The inverse of `written`."""
    value = json.loads(line)
    return value if isinstance(value, str) else Likelihood.model_validate(value)
