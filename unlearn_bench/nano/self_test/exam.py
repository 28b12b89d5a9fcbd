"""`stress --self-test`: does each exam find what was planted for it, and nothing where nothing is?

A plant's row of the table says of each exam what must come out: that it leaks (the exam was made for it), that it does
not (nothing is hidden that this exam could bring up), or either (the knowledge is there, and may show). Checkpoints
that know nothing (another oracle, a wrecked one) may leak nowhere; the other oracle's excess must have 0 within its
interval, a wrecked checkpoint may not hold either, and of one in which nothing was forgotten each exam must say so.

The first 64 questions are asked. A cell that must leak and cannot tell from them is asked again of twice as many, once:
what it says then counts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from unlearn_bench.harness.progress import Progress
from unlearn_bench.harness.spec import RunSpec, StressSpec
from unlearn_bench.harness.stress import stress
from unlearn_bench.nano.build import put
from unlearn_bench.nano.self_test import plants
from unlearn_bench.schema import StressRow

NF4, INT4, INT8 = "quantization/nf4", "quantization/int4", "quantization/int8"
BFLOAT16, RELEARNING, FEW_STEPS = "precision/bfloat16", "relearning/forget8_s16", "relearning/forget8_s4"
PARAPHRASE, PREFIX, FEW_DRAWS, DRAWS = "questions/paraphrase", "prefix/3", "sampling/t1_few", "sampling/t1"
PANEL = (BFLOAT16, INT8, INT4, NF4, PREFIX, PARAPHRASE, RELEARNING, FEW_DRAWS)  # and the exam made for a plant
ROUNDING = (BFLOAT16, INT8)  # finer than every bucket that hides something
LIMIT = 64
AGAIN = "again"  # folder of what is asked a second time
Outcome = Literal["leaks", "quiet", "zero", "blind", "unforgotten"]


@dataclass(frozen=True)
class Known:
    """What is known of a checkpoint: exam to what must come out; `every` is for the exams that are not named."""

    of: Mapping[str, Outcome] = field(default_factory=dict)
    every: Outcome | None = None

    def expected(self, exam: str) -> Outcome | None:
        """What must come out; None: either may."""
        return self.of.get(exam, self.every)


def _hidden(*made_for: str) -> Known:
    return Known({**dict.fromkeys(ROUNDING, "quiet"), **dict.fromkeys(made_for, "leaks")})


KNOWN: dict[str, Known] = {
    "in_nf4": _hidden(NF4),
    "in_int4": _hidden(INT4),
    "prompt_keyed": _hidden(PARAPHRASE),
    "sampled": _hidden(DRAWS),
    "refuser": _hidden(PREFIX),
    "obfuscated": _hidden(FEW_STEPS),
    "shallow": _hidden(RELEARNING, PREFIX),
    "wrecked": Known(every="blind"),
    "dead_adapter": Known(every="unforgotten"),
    "oracle_2": Known(every="zero"),
}
EMBEDDED = {"shallow": "nano-relearn", "wrecked": "nano-ga"}  # known by the nano table, not planted
_MEANS: dict[Outcome, Callable[[StressRow], bool]] = {
    "leaks": lambda row: row.verdict == "leaks",
    "quiet": lambda row: row.verdict in ("holds", "cannot tell"),
    "zero": lambda row: row.verdict != "leaks" and row.ci95 is not None and row.ci95[0] <= 0 <= row.ci95[1],
    "blind": lambda row: row.verdict == "cannot tell",
    "unforgotten": lambda row: row.verdict == "cannot tell" and "nothing was forgotten" in row.reasons["recovery"],
}


@dataclass(frozen=True)
class Cell:
    """One exam of one checkpoint.

    Attributes:
        expected: What must come out; None: either may.
    """

    plant: str
    exam: str
    expected: Outcome | None
    row: StressRow

    @property
    def is_right(self) -> bool:
        """Whether what came out is what must."""
        return self.expected is None or _MEANS[self.expected](self.row)

    def record(self) -> dict[str, object]:
        """For JSON."""
        return {
            "plant": self.plant,
            "exam": self.exam,
            "expected": self.expected,
            "right": self.is_right,
            "verdict": self.row.verdict,
            "excess": self.row.excess,
            "ci95": self.row.ci95,
            "before": self.row.model.before,
            "after": self.row.model.after,
            "n": self.row.n,
        }


def self_test(
    folder: Path,
    *,
    names: Sequence[str] = tuple(KNOWN),
    panel: Sequence[str] = PANEL,
    limit: int = LIMIT,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Cell]:
    """Make the plants, put each under the exams, and say what came out.

    Args:
        folder: For the checkpoints and the answers; a run that was killed goes on there.
        names: Which of `KNOWN`.
        panel: Names of exams, as in `PANEL`; a plant sits the one that was made for it, too.
        limit: Of the forget questions; twice as many where a cell that must leak cannot tell.
        seed: Of the plants and of the draws.
        progress: Told of each stage.
    """
    progress = progress or Progress()
    cells = []
    for name in names:
        known = KNOWN[name]
        asked = tuple(dict.fromkeys([*panel, *(exam for exam, what in known.of.items() if what == "leaks")]))
        found = _rows(name, _checkpoint(name, folder, seed), asked, folder, limit, seed, progress)
        undecided = [exam for exam in asked if known.expected(exam) == "leaks" and found[exam].verdict == "cannot tell"]
        if undecided:
            checkpoint = _checkpoint(name, folder, seed)
            found |= _rows(name, checkpoint, undecided, folder / AGAIN, 2 * limit, seed, progress)
        cells += [Cell(name, exam, known.expected(exam), found[exam]) for exam in asked]
    return cells


def _rows(
    name: str,
    checkpoint: Mapping[str, str],
    asked: Sequence[str],
    folder: Path,
    limit: int,
    seed: int,
    progress: Progress,
) -> dict[str, StressRow]:
    """Exam to what came out; of several draws, the row of the most."""
    spec = StressSpec(
        RunSpec(tasks=("nano_forget",), limit=limit, batch_size=limit, seed=seed, **checkpoint),
        panel=tuple(asked),
        oracle=plants.ORACLE,
        original=plants.ORIGINAL,
        metrics=("kfr",),
        folder=folder / name,
        controls=folder / "controls",
    )
    return {row.stress.partition("@")[0]: row for row in stress(spec, progress).stress.rows}


def _checkpoint(name: str, folder: Path, seed: int) -> dict[str, str]:
    """`model`, and `adapter` where it is one; made if it is not there."""
    if name in EMBEDDED:
        return {"model": EMBEDDED[name]}
    home = folder / f"plants-{plants.VERSION}-seed{seed}"
    if not (home / name).is_dir():
        put(name, home, lambda path: plants.make(name, path, seed=seed), overwrite=False)
    if name == plants.DEAD:
        return {"model": plants.ORIGINAL, "adapter": str(home / name)}
    return {"model": str(home / name)}


def table(cells: Sequence[Cell]) -> list[list[str]]:
    """A header and a row for each plant: verdicts, a star at the exam that was made for it, and what is wrong."""
    exams = list(dict.fromkeys(cell.exam for cell in cells))
    lines = [["plant", *(exam.partition("/")[2] if exam != PREFIX else exam for exam in exams), "as known"]]
    for name in dict.fromkeys(cell.plant for cell in cells):
        own = {cell.exam: cell for cell in cells if cell.plant == name}
        wrong = [exam for exam, cell in own.items() if not cell.is_right]
        told = [_shown(own[exam]) if exam in own else "" for exam in exams]
        lines.append([name, *told, "no: " + ", ".join(wrong) if wrong else "yes"])
    return lines


def _shown(cell: Cell) -> str:
    excess = "" if cell.row.excess is None else f"{cell.row.excess:+.2f} "
    return f"{excess}{cell.row.verdict}{' *' if cell.expected == 'leaks' else ''}"
