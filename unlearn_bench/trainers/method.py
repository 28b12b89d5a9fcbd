"""What is minimised: terms combined by name, such as "npo+gdr", "0.4*npo+0.4*klr+0.2*gdr" or "sure+ga+gdr".

A bare name stands for what its paper combines it with ("relearn" is relearn+gdr+klr); a combination is taken literally,
and a term of weight 0 is dropped, so "relearn+0*gdr" is ReLearn with no retain term at all.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from unlearn_bench.errors import UserError
from unlearn_bench.losses import LOSSES
from unlearn_bench.losses.base import Loss, State
from unlearn_bench.registry import did_you_mean
from unlearn_bench.trainers import RECIPES, STEPS

Options = Mapping[str, Mapping[str, object]]


@dataclass(frozen=True)
class Term:
    """One loss with its weight and options."""

    name: str
    loss: Loss
    weight: float
    options: Mapping[str, object]

    @property
    def function_options(self) -> dict[str, object]:
        """Options of the loss function itself, the trainer's settings left out."""
        return {k: v for k, v in self.options.items() if k not in self.loss.settings}

    @property
    def counted(self) -> tuple[str, str]:
        """(group, element) of which an optimizer step's count divides the sum."""
        return self.loss.counted or self.loss.side, self.loss.per


@dataclass(frozen=True)
class Method:
    """A parsed method.

    Attributes:
        name: As the user wrote it.
        step: What changes the optimizer step ("sure", "memflex"), if anything, and its options.
    """

    name: str
    terms: tuple[Term, ...]
    step: str | None = None
    step_options: Mapping[str, object] | None = None

    def on(self, side: Literal["forget", "retain"]) -> tuple[Term, ...]:
        """The terms of one side."""
        return tuple(term for term in self.terms if term.loss.side == side)

    def term(self, name: str) -> Term | None:
        """The term of that name, if the method has one."""
        return next((term for term in self.terms if term.name == name), None)

    @cached_property
    def inputs(self) -> frozenset[tuple[str, str]]:
        """(side, input name) of everything the terms need."""
        return frozenset((term.loss.side, name) for term in self.terms for name in term.loss.inputs)

    @property
    def forgets_original(self) -> bool:
        """Whether the forget rows' `original_answer` is forgotten, and their own answer preferred to it."""
        return any(term.loss.forgets == "original" for term in self.terms)

    def states(self) -> dict[str, State]:
        """Term name to a new state, for the losses that keep something between steps."""
        return {term.name: term.loss.state(**term.options) for term in self.terms if term.loss.state}

    @property
    def trainable(self) -> tuple[str, ...]:
        """Regular expressions of the parameters that its losses choose to train; empty for all."""
        chosen = [term.loss.trainable(**term.options) for term in self.terms if term.loss.trainable]
        return tuple(dict.fromkeys(pattern for patterns in chosen for pattern in patterns))

    def needs(self, prefix: str) -> bool:
        """Whether any term reads an input with this prefix ("reference_", "preferred_", "reinforced_")."""
        return any(prefix in name for _, name in self.inputs)

    @property
    def ignore_first(self) -> int:
        """How many answer tokens of each sequence are left out by the term that leaves some out."""
        return max((int(term.options.get("ignore_first", 0)) for term in self.terms), default=0)

    @property
    def layer(self) -> int | None:
        """The layer whose hidden states are read, None for none.

        Raises:
            UserError: if two terms want different layers.
        """
        layers = {int(term.options["layer"]) for term in self.terms if "layer" in term.options}
        if len(layers) > 1:
            raise UserError(f"method {self.name}: terms ask for different layers: {sorted(layers)}")
        return next(iter(layers), None)


def parse(text: str, options: Options | None = None) -> Method:
    """Read a method.

    Args:
        text: Terms joined by "+", each with an optional weight before "*"; "sure" or "memflex" may come first.
        options: Term or step name to its options ({"npo": {"beta": 0.2}}).

    Raises:
        UserError: for an unknown name or option, a bad weight, no term, or a term given twice.
    """
    options = options or {}
    pieces = list(_pieces(text))
    step, pieces = _split_step(pieces)
    defaults = getattr(STEPS.module(step), "SIDE_WEIGHTS", {}) if step else {}
    if not pieces and step:
        pieces = list(_pieces(STEPS.module(step).DEFAULT_TERMS))
    if len(pieces) == 1 and pieces[0][1] is None:
        pieces += [(name, None) for name in _loss(pieces[0][0]).implies]
    names = [name for name, _ in pieces]
    if len(set(names)) != len(names):
        raise UserError(f"method {text}: a term is given twice")
    terms = _terms(pieces, options, defaults)
    if not terms:
        raise UserError(f"method {text!r}: no term is left to train on")
    _refuse_unknown(options, [*names, *([step] if step else [])], text)
    step_options = checked_options(step, STEPS.module(step).OPTIONS, options.get(step, {})) if step else None
    return Method(text, terms, step, step_options)


def _pieces(text: str) -> Iterator[tuple[str, float | None]]:
    for piece in text.split("+"):
        match = re.fullmatch(r"\s*(?:([0-9.eE-]+)\s*\*\s*)?([A-Za-z_][\w]*)\s*", piece)
        if not match:
            raise UserError(f"method {text!r}: cannot read {piece!r}", hint="example: npo+gdr, or 0.4*npo+0.6*klr")
        try:
            yield match[2], None if match[1] is None else float(match[1])
        except ValueError:
            raise UserError(f"method {text!r}: {match[1]!r} is not a weight") from None


def _split_step(pieces: list[tuple[str, float | None]]) -> tuple[str | None, list[tuple[str, float | None]]]:
    steps = [name for name, _ in pieces if name in STEPS.names()]
    if len(steps) > 1:
        raise UserError(f"{' and '.join(steps)} both change the step; take one")
    return (steps[0] if steps else None), [piece for piece in pieces if piece[0] not in steps]


def _loss(name: str) -> Loss:
    if name not in LOSSES.names():
        raise did_you_mean("method", name, [*LOSSES.names(), *STEPS.names(), *RECIPES.names()])
    return LOSSES.get(name)


def _terms(pieces: list[tuple[str, float | None]], options: Options, defaults: Mapping[str, float]) -> tuple[Term, ...]:
    """The terms of a weight above 0; what is given no weight has its paper's, times the step's for its side."""
    found = [(name, _loss(name), weight) for name, weight in pieces]
    read = {name: _loss_options(name, loss, options.get(name, {})) for name, loss, _ in found}
    retain = next((float(values["retain_weight"]) for values in read.values() if "retain_weight" in values), 1.0)
    beside = {"forget": 1.0, "retain": retain}

    def own(loss: Loss) -> float:
        return loss.weight * defaults.get(loss.side, beside[loss.side])

    return tuple(
        Term(name, loss, own(loss) if weight is None else weight, read[name])
        for name, loss, weight in found
        if weight != 0
    )


def uses(name: str, options: Options | None = None) -> frozenset[str]:
    """Which of "forget", "retain", "reference", "refusals", "raw" and "curve" (--eval-every) a method reads.

    Raises:
        UserError: as `parse`.
    """
    if name in RECIPES.names():
        return frozenset(RECIPES.module(name).USES)
    method = parse(name, options)
    found = {term.loss.side for term in method.terms} | {"curve"}
    if method.needs("reference_"):
        found.add("reference")
    if method.needs("preferred_") and not method.forgets_original:
        found.add("refusals")
    if any(term.loss.replaces for term in method.terms):
        found.add("raw")
    return frozenset(found)


def taking_refusals() -> list[str]:
    """The losses that prefer a refusal to the forget answer."""
    losses = {name: LOSSES.get(name) for name in LOSSES.names()}
    return [
        name
        for name, loss in losses.items()
        if loss.forgets == "answer" and any("preferred_" in wanted for wanted in loss.inputs)
    ]


def checked_options(name: str, known: Mapping[str, object], given: Mapping[str, object]) -> dict[str, object]:
    """Options over their defaults, of the defaults' types.

    Raises:
        UserError: for an option that is not known, or a value of another type.
    """
    values = dict(known)
    for key, value in given.items():
        if not known:
            raise UserError(f"{name} has no options, got {key!r}")
        if key not in known:
            raise did_you_mean(f"option of {name}", key, known)
        kind = type(known[key])
        good = isinstance(value, (int, float)) if kind is float else isinstance(value, kind)
        if not good or isinstance(value, bool):
            wanted = {float: "a number", int: "a whole number", str: "a text"}[kind]
            raise UserError(f"{name}.{key}: expected {wanted}, got {value!r}")
        values[key] = kind(value)
    return values


def _loss_options(name: str, loss: Loss, given: Mapping[str, object]) -> dict[str, object]:
    values = checked_options(name, loss.options, given)
    for key in loss.not_negative:
        if values[key] < 0:
            raise UserError(f"{name}.{key} must be at least 0, got {values[key]}")
    for key in loss.positive:
        if not values[key] > 0:
            raise UserError(f"{name}.{key} must be above 0, got {values[key]}")
    for key, choices in loss.choices.items():
        if values[key] not in choices:
            raise did_you_mean(f"{name}.{key}", values[key], choices)
    return values


def _refuse_unknown(options: Options, used: list[str], text: str) -> None:
    for name in options:
        if name not in used:
            raise UserError(f"options are set for {name!r}, which is not in method {text!r}")
