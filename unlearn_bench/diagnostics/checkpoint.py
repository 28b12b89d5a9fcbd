"""Diagnose a checkpoint by name: load it and the ones it is compared with, and ask the rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_bench.diagnostics.compared import load_others
from unlearn_bench.diagnostics.diagnose import Diagnosis, Names, diagnose
from unlearn_bench.diagnostics.schema import DIAGNOSTICS
from unlearn_bench.models.devices import choose_device
from unlearn_bench.models.subject import find, load_subject
from unlearn_bench.schema import Row
from unlearn_bench.tokens import DATE, TEMPLATE_STYLES, Prompts

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class DiagnoseSpec:
    """What is to be diagnosed and how; field by field the options of `unlearn-bench diagnose`.

    Attributes:
        model, original, oracle: Embedded names, folders or hub ids.
        question: The row that plots draw, by id or number; the first one if None.
    """

    model: str
    adapter: str | None = None
    original: str | None = None
    oracle: str | None = None
    dtype: str = "auto"
    device: str | None = None
    allow_pickle: bool = False
    trust_remote_code: bool = False
    allow_partial: bool = False
    prompt: str = "auto"
    thinking: str = "model"
    template_date: str = DATE
    diagnostics: tuple[str, ...] = DIAGNOSTICS
    positions: int = 8
    candidates: int = 5
    batch_size: int = 16
    question: str | None = None

    @property
    def names(self) -> Names:
        """What the models are called in the document."""
        others = (Path(name).name if name else None for name in (self.original, self.oracle))
        return Names("+".join(Path(name).resolve().name for name in (self.model, self.adapter) if name), *others)


def diagnose_checkpoint(
    spec: DiagnoseSpec,
    rows: Sequence[Row],
    *,
    on_stage: Callable[[str], None] = lambda stage: None,
    on_rows: Callable[[int], None] = lambda count: None,
) -> Diagnosis:
    """Load the checkpoints and look inside.

    Args:
        spec: What to do.
        rows: The questions with their reference answers.
        on_stage: Told "load" and "diagnose" as they begin.
        on_rows: Told how many rows are done.

    Raises:
        UserError: if a checkpoint cannot be loaded, or the checkpoints do not fit each other.
    """
    partial: list[str] = []
    safety = {"allow_pickle": spec.allow_pickle, "trust_remote_code": spec.trust_remote_code}
    arguments = {
        "dtype": spec.dtype,
        "device": choose_device(spec.device),
        **safety,
        "on_partial": partial.append if spec.allow_partial else None,
        "uses_template": spec.prompt in TEMPLATE_STYLES,
    }
    on_stage("load")
    for name in filter(None, (spec.original, spec.oracle)):
        find(name, **safety)  # a missing checkpoint is named before the first one is loaded
    model, tokenizer = load_subject(spec.model, adapter=spec.adapter, **arguments)
    prompts = Prompts(tokenizer, spec.prompt, thinking=spec.thinking, date=spec.template_date)
    found = look_inside(spec, model, prompts, rows, on_stage=on_stage, on_rows=on_rows, **arguments)
    found.document.warnings += [f"a model is not whole, and what is missing is made up: {text}" for text in partial]
    return found


def look_inside(
    spec: DiagnoseSpec,
    model: "PreTrainedModel",
    prompts: Prompts,
    rows: Sequence[Row],
    *,
    on_stage: Callable[[str], None] = lambda stage: None,
    on_rows: Callable[[int], None] = lambda count: None,
    **loading: object,
) -> Diagnosis:
    """Look inside a loaded checkpoint; `run --diagnose` calls it with the judged model.

    Args:
        spec: What to do; the models to compare with are loaded here.
        model: The judged model.
        prompts: How it is asked; holds its tokenizer.
        rows: The questions with their reference answers.
        on_stage: Told "diagnose" when the other models are loaded.
        on_rows: Told how many rows are done.
        loading: How the other models are loaded: arguments of `load_subject`.

    Raises:
        UserError: if another model cannot be loaded, or does not fit the judged one.
    """
    others = load_others(spec.original, spec.oracle, prompts.tokenizer, rows, **loading)
    on_stage("diagnose")
    return diagnose(
        model,
        prompts.tokenizer,
        rows,
        **others,
        diagnostics=spec.diagnostics,
        batch_size=spec.batch_size,
        asker=prompts,
        positions=spec.positions,
        candidates=spec.candidates,
        question=spec.question,
        names=spec.names,
        on_rows=on_rows,
    )
