"""What each term of a method needs, found from its parameter names, and handed to it."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from unlearn_bench.losses.base import Answers, Group
from unlearn_bench.trainers._forward import Wanted
from unlearn_bench.trainers.method import Method, Term

PREFIXES = ("reference", "reinforced")


@dataclass(frozen=True)
class Need:
    """One input of a term: whose model, which group, which field of `Answers`."""

    source: str  # "policy", "reference" or "reinforced"
    group: Group
    field: str


def read(name: str, side: Group) -> Need:
    """Take an input's name apart.

    >>> read("reference_preferred_nll", "forget")
    Need(source='reference', group='preferred', field='nll')
    """
    source = next((prefix for prefix in PREFIXES if name.startswith(f"{prefix}_")), "policy")
    name = name.removeprefix(f"{source}_")
    group: Group = "preferred" if name.startswith("preferred_") else side
    return Need(source, group, name.removeprefix("preferred_"))


def needs(method: Method, source: str) -> list[Need]:
    """Everything the method reads of one model."""
    found = [read(name, side) for side, name in sorted(method.inputs) if name != "direction"]
    return [need for need in found if need.source == source]


def wanted(method: Method, source: str) -> Wanted:
    """What a pass of one model must produce."""
    found = needs(method, source)
    special = {"hidden": "hidden", "all_logits": "all_logits"}
    groups = {
        kind: frozenset(n.group for n in found if special.get(n.field, "logits") == kind)
        for kind in ("logits", "all_logits", "hidden")
    }
    return Wanted(**groups, layer=method.layer if groups["hidden"] else None)


def whole_distributions(method: Method, source: str) -> frozenset[Group]:
    """Groups of which a loss reads the logits themselves, not only the answer tokens' log-probabilities."""
    return frozenset(need.group for need in needs(method, source) if need.field == "logits")


def values(term: Term, answers: Mapping[str, Mapping[Group, Answers]], constants: Mapping[str, Tensor]) -> Tensor:
    """Call a term's loss: its value for each element, not yet summed."""
    arguments = []
    for name in term.loss.inputs:
        if name in constants:
            arguments.append(constants[name])
            continue
        need = read(name, term.loss.side)
        arguments.append(getattr(answers[need.source][need.group], need.field))
    return term.loss.compute(*arguments, **term.function_options)
