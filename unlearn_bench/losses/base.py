"""What a loss is, and what it may ask for.

The names a loss may use as positional parameters, for the N answer tokens and S sequences of its side's batch:

    logits            (N, V) float32, the model's scores at the position before each answer token
    labels            (N,)   the answer tokens
    places            (N,)   the place of each answer token in its answer, from 0 on
    log_probs         (N,)   log p of each answer token
    nll, lengths      (S,)   minus the sum of log_probs over each sequence; its number of answer tokens
    hidden            (N, d) float32, output of layer `layer` at the answer tokens themselves
    all_logits        (P, V) at every position of the padded batch, prompt and padding included
    direction         (d,)   a fixed random unit vector

and with a prefix: `reference_` (the model before unlearning, no gradient), `preferred_` (the answer to be preferred to
the forget answer: a refusal, an augmented answer), `reinforced_` (a model trained further on the forget set).
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, get_args, get_origin

import torch
from torch import Tensor

IGNORE = -100  # the label of a position that is not an answer token, as in torch's cross entropy

Group = Literal["forget", "preferred", "retain"]


class State:
    """What a loss keeps from one optimizer step to the next; one is made for each run.

    A subclass takes the loss's options as keywords, and overrides what it needs.
    """

    def __init__(self, **options: object) -> None:
        del options

    def after_step(self, terms: Mapping[str, float], weights: dict[str, float], epoch: float) -> Mapping[str, float]:
        """Called once in each optimizer step, when all of its micro-batches have passed.

        Args:
            terms: Name to value of each of the method's terms in this step, over all processes.
            weights: Name to weight of the terms; what is changed here weighs in the next step.
            epoch: Epochs passed, a fraction within one.

        Returns:
            What is logged in addition to the terms: name to value.
        """
        return {}

    def warning(self, epochs: float) -> str | None:
        """What the user should know of a training of so many epochs, before it begins; None for nothing."""
        return None

    def state_dict(self) -> dict[str, object]:
        """What must be kept for a run to go on after an interruption, as JSON can hold it."""
        return {}

    def load_state_dict(self, saved: Mapping[str, object]) -> None:
        """Take up what `state_dict` gave."""


@dataclass(frozen=True)
class Loss:
    """A member of `unlearn_bench.losses`.

    Attributes:
        side: Whose batch the unprefixed inputs come from.
        compute: Inputs (positional) and options (keyword-only, with the paper's defaults) to a value per element.
        per: What an element is; the trainer divides the sum by how many there are in an optimizer step. A later token
            is an answer token that the option `ignore_first` leaves.
        counted: The batch whose elements are counted, where it is not `side`'s.
        weight: The paper's weight of this term.
        implies: Terms added when the method is this name alone ("relearn" means relearn+gdr+klr).
        settings: Options that the function does not take, with their defaults. The trainer reads `layer` (7),
            `ignore_first` (answer tokens that count nowhere) and `retain_weight` (of the retain terms next to it that
            are given no weight); `state` and `trainable` read their own.
        positive: Options that must be above 0, because the formula divides by them.
        not_negative: Options that must be at least 0.
        replaces: The answers of the forget rows are learned, so that they must be replacements, not the secret ones.
        forgets: Which answer of a forget row the unprefixed inputs are of: the row's own ("answer"), or its
            `original_answer` ("original"), to which the row's own is then the preferred one.
        state: What the loss keeps between steps, made with all of its options.
        trainable: All options of the loss to regular expressions of the parameters that are trained where the user
            names none and trains no adapter; None for all.
    """

    side: Literal["forget", "retain"]
    compute: Callable[..., Tensor]
    per: Literal["token", "sequence", "position", "later_token"]
    counted: Group | None = None
    weight: float = 1.0
    implies: tuple[str, ...] = ()
    settings: Mapping[str, float | str] = field(default_factory=dict)
    positive: tuple[str, ...] = ()
    not_negative: tuple[str, ...] = ()
    replaces: bool = False
    forgets: Literal["answer", "original"] = "answer"
    state: type[State] | None = None
    trainable: Callable[..., tuple[str, ...]] | None = None

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs, in the function's order."""
        parameters = inspect.signature(self.compute).parameters.values()
        return tuple(p.name for p in parameters if p.kind is not p.KEYWORD_ONLY)

    @cached_property
    def options(self) -> dict[str, object]:
        """Names and defaults of everything that can be set, `settings` included."""
        parameters = inspect.signature(self.compute).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY} | dict(self.settings)

    @cached_property
    def choices(self) -> dict[str, tuple[str, ...]]:
        """Names and values of the options that take one of a few words."""
        parameters = inspect.signature(self.compute).parameters.values()
        return {p.name: get_args(p.annotation) for p in parameters if get_origin(p.annotation) is Literal}


def answer_positions(labels: Tensor) -> Tensor:
    """Where the model predicts an answer token: one position before it.

    Args:
        labels: (B, T), IGNORE at prompt and padding. A label at position 0 has no predictor and is not counted.

    Returns:
        (B, T) bool, False in the last column.

    >>> answer_positions(torch.tensor([[-100, -100, 5, 6]])).int().tolist()
    [[0, 1, 1, 0]]
    """
    predicts = torch.zeros_like(labels, dtype=torch.bool)
    predicts[:, :-1] = labels[:, 1:] != IGNORE
    return predicts


@dataclass(frozen=True)
class Answers:
    """The answer tokens of one batch under one model, packed without padding, and what follows from them.

    Attributes:
        labels: (N,) token ids.
        sequence: (N,) index of the sequence each token belongs to, in 0 … n_sequences - 1.
        logits: (N, V) or None where no loss needs them.
        stored_log_probs: (N,) in place of logits, for a reference computed earlier.
    """

    labels: Tensor
    sequence: Tensor
    n_sequences: int
    logits: Tensor | None = None
    hidden: Tensor | None = None
    all_logits: Tensor | None = None
    stored_log_probs: Tensor | None = None

    @cached_property
    def log_probs(self) -> Tensor:
        """(N,) log-probability of each answer token."""
        if self.stored_log_probs is not None:
            return self.stored_log_probs
        return -torch.nn.functional.cross_entropy(self.logits, self.labels, reduction="none")

    @cached_property
    def nll(self) -> Tensor:
        """(S,) negative log-likelihood of each sequence: a sum over its answer tokens, not a mean."""
        zeros = self.log_probs.new_zeros(self.n_sequences)
        return zeros.index_add(0, self.sequence, -self.log_probs)

    @cached_property
    def places(self) -> Tensor:
        """(N,) place of each answer token in its own answer, 0 for the first; tokens of an answer are adjacent."""
        lengths = torch.bincount(self.sequence, minlength=self.n_sequences)
        starts = lengths.cumsum(0) - lengths
        return torch.arange(len(self.sequence), device=self.sequence.device) - starts[self.sequence]

    @cached_property
    def lengths(self) -> Tensor:
        """(S,) answer tokens of each sequence, at least 1."""
        return torch.bincount(self.sequence, minlength=self.n_sequences).to(torch.float32)
