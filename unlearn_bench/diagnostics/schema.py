"""diagnostics.json: what was found inside a checkpoint, as a typed, versioned document. No torch here.

`tables` are the numbers for the result of a run; the values behind them are in diagnostics.npz, row by row.
"""

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from unlearn_bench.registry import did_you_mean
from unlearn_bench.schema import Finite, MetricValue, Share, Strict

SCHEMA_VERSION = "1.0"
DIAGNOSTICS = ("token_distribution", "logit_lens", "circuits", "depth", "weights")
# Why a row cannot be analysed, for messages.
REASONS = {"no_answer": "without an answer in words", "too_long": "longer than the context of a model"}


def check_names(diagnostics: Iterable[str]) -> None:
    """Refuse unknown diagnostics.

    Raises:
        UserError: with the nearest name.
    """
    for name in diagnostics:
        if name not in DIAGNOSTICS:
            raise did_you_mean("diagnostic", name, DIAGNOSTICS)


class Candidate(Strict):
    """A token that the model holds possible."""

    token: str
    probability: Share


class Position(Strict):
    """One answer position of an example.

    Attributes:
        token: Which token of the answer is predicted, from 1.
        gold: The reference answer's token there.
        entity: Whether it begins the gold entity.
        gold_rank: Ties share the middle rank.
        original: The candidates of the checkpoint before unlearning, after the same tokens.
    """

    token: int
    gold: str
    entity: bool
    gold_rank: Finite
    gold_probability: Share
    entropy: Finite
    candidates: list[Candidate]
    original: list[Candidate] | None = Field(default=None, alias="reference")


class Example(Strict):
    """One prompt in detail: teacher-forced on the reference answer, and running free."""

    id: str
    prompt: str
    forced: list[Position]
    free: list[Position] = []


class Module(Strict):
    """What the update did to one parameter; see `weights`."""

    name: str
    layer: int | None
    parameters: int
    update_norm: Finite | None
    effective_rank: Finite | None
    flips: dict[str, Share]


class Diagnostics(Strict):
    """The whole document.

    Attributes:
        model, original, oracle: Names of the judged checkpoint, the one before unlearning, the one that never saw the
            forget set.
        settings: Every threshold and size that can move a number.
        rows: Prompts analysed.
        skipped: Reason to the number of rows that were not.
        entity_rules: Which rule found the gold entity, to the number of rows.
        tables: Diagnostic to name to number. Means are over rows; a row's value is its mean over positions. Names say
            where: "first" is the last prompt position, "answer" the first k answer positions, "entity" the position
            that predicts the gold entity's first token.
        layers: Diagnostic to name to one value per level; level 0 is the embedding for logit_lens.
        modules: What the update did to each parameter.
        unavailable: What was not computed, and why.
        warnings: Why a number that was computed should not be read.
        examples: A few prompts in detail.
        timing: Stage to seconds.
    """

    schema_version: Literal["1.0"] = SCHEMA_VERSION
    model: str
    original: str | None = Field(default=None, alias="reference")
    oracle: str | None = Field(default=None, alias="retain")
    settings: dict[str, str | int | float | bool | list[str] | list[float]]
    rows: int = Field(ge=1)
    skipped: dict[str, int] = {}
    entity_rules: dict[str, int] = {}
    tables: dict[str, dict[str, MetricValue]] = {}
    layers: dict[str, dict[str, list[Finite | None]]] = {}
    modules: list[Module] = []
    unavailable: dict[str, str] = {}
    warnings: list[str] = []
    examples: list[Example] = []
    timing: dict[str, Finite] = {}
