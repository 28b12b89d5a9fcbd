"""What a stress is: the declaration that every file of this package makes."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from unlearn_bench.schema import Row

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Changes = Literal["checkpoint", "question", "sampling"]
Setting = str | int | float | bool | list[str] | None


class CannotRun(Exception):
    """This stress cannot be done to this checkpoint or on this machine; says why, in a few words."""


@dataclass
class Subject:
    """The checkpoint that a stress changes.

    Attributes:
        model: Loaded, in evaluation mode; whoever changes it puts it back.
        checkpoint, adapter: What `subject.find` finds it by, for a stress that trains it.
        trust: `allow_pickle` and `trust_remote_code`, as the run has them.
        original: Loads the checkpoint before unlearning; None where there is none.
        rows: What the tasks of the run ask, by role.
        judged: Whether it is the one that is judged, not the oracle or the original.
        scratch: A folder that variants of the same preparation share; its files are removed after the last of them.
        beside: The variants that share it, this one among them.
        facts: What a stress measures besides, by name.
    """

    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"
    rows: Mapping[str, Sequence[Row]]
    scratch: "Path"
    checkpoint: str = ""
    adapter: str | None = None
    trust: Mapping[str, bool] = field(default_factory=dict)
    judged: bool = True
    seed: int = 0
    beside: tuple[str, ...] = ()
    original: "Callable[[], PreTrainedModel] | None" = None
    facts: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Material:
    """What a changed question may be made of.

    Attributes:
        answers: Row id to what the checkpoint said without a stress.
        separator: What stands between a prompt and its answer.
        retain: Rows that the checkpoint should still know; empty where the run asks none.
        forget: The forget rows of the run.
        seed: Of every random choice.
    """

    answers: Mapping[str, str] = field(default_factory=dict)
    separator: str = ""
    retain: Sequence[Row] = ()
    forget: Sequence[Row] = ()
    seed: int = 0


Apply = Callable[[str, Subject], "AbstractContextManager[PreTrainedModel]"]
Rows = Callable[[str, Row, Material], list[Row]]
Reading = Callable[[Sequence[float]], float]
Tell = Callable[[Sequence[Sequence[float]]], Mapping[str, float]]


@dataclass(frozen=True)
class Stress:
    """A member of `unlearn_bench.stress`.

    Attributes:
        changes: "checkpoint": `apply` gives another model. "question": `rows` gives other rows. "sampling": several
            answers to each question are drawn.
        variants: The ways of doing it; `quick` are those of the quick panel, `full` those of the full one (all if
            empty).
        cost: What it costs, in words.
        passes: Variant to what it costs in passes of the tasks, where that is not one.
        apply: (variant, subject) to a context that gives the model to be asked, and puts everything back at its end.
        rows: (variant, row, material) to the rows that are asked in its place, of the same id; an empty list leaves
            the row out.
        asked: Variant to settings of the asking: those of a generation, and `batch_size`.
        readings: Variant to the numbers that are made of the knowledge shown by the answers to one row, each in
            [0, 1], by the suffix of their names.
        tell: The knowledge shown by the answers to each row to further facts, by name.
        worst: Whether the worst case over the variants is told, too.
        prepared: Variant to the name of what is prepared once for all variants of that name (a training whose steps
            they are); these stand one after another in `variants`.
        curves: Name of a curve to the variants that are its points, each with its place on the axis (steps).
        settings: What moves its numbers, as the report records it.
        version: Raised with every change that moves a number.
    """

    changes: Changes
    variants: tuple[str, ...]
    quick: tuple[str, ...] = ()
    full: tuple[str, ...] = ()
    cost: str = ""
    passes: Mapping[str, int] = field(default_factory=dict)
    apply: Apply | None = None
    rows: Rows | None = None
    asked: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    readings: Callable[[str], Mapping[str, Reading]] = lambda _: {"": mean}
    tell: Tell | None = None
    worst: bool = False
    prepared: Callable[[str], str] = lambda variant: variant
    curves: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    settings: Mapping[str, Setting] = field(default_factory=dict)
    version: int = 1


def mean(values: Sequence[float]) -> float:
    """The mean of at least one value."""
    return sum(values) / len(values)
