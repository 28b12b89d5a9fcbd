"""The smol table: every method trained from smol-full as an adapter, on a real pretrained model."""

from functools import cache
from pathlib import Path

from unlearn_bench import smol
from unlearn_bench.models import weight_files
from unlearn_bench.reproduce.study import Column, Part, Study


@cache
def _weights(name: str) -> str | None:
    """Read once: every cell asks for it several times."""
    folder = smol.checkpoint_path(name)
    if folder is None:
        return None
    return weight_files.find_weights(folder, what=name, names=weight_files.ADAPTER).sha256


def _anew(name: str, seed: int, folder: Path, max_steps: int | None) -> None:
    """Train an adapter's recipe again with another seed."""
    from unlearn_bench.smol.build import build
    from unlearn_bench.smol.recipe import SEED

    built = build(name, folder.with_name("anew"), seed=SEED + 1 + seed, max_steps=max_steps)
    built.folder.rename(folder)


def _store(folder: Path) -> None:
    from unlearn_bench.smol.build import halve

    halve(folder)


STUDY = Study(
    name="smol",
    model="smol-full",
    oracle="smol-retain",
    about="smol: SmolLM2-135M-Instruct",
    rows_file=Path(smol.__file__).with_name("rows.json"),
    groups={
        "anchor": "Before unlearning, and taught without the forget set",
        "method": "Methods",
        "strong": "The same at a learning rate of 8.3e-4: the papers' rate times steps",
    },
    tasks=("smol",),
    columns=(
        Column("kfr", "KFR", "smol_forget/kfr"),
        Column("kfr_paraphrase", "KFR para", "smol_forget_paraphrase/kfr"),
        Column("krr", "KRR", "smol_retain/krr"),
        Column("neighbour_krr", "KRR neigh", "smol_neighbour/krr"),
        Column("world_krr", "KRR world", "smol_world/krr"),
        Column("ls_forget", "LS F", "smol_forget/ls", 3),
        Column("fluency_forget", "fluency F", "smol_forget/fluency"),
        Column("fluency_retain", "fluency R", "smol_retain/fluency"),
        Column("rouge_forget", "ROUGE-L F", "smol_forget/rougeL_recall"),
        Column("rouge_retain", "ROUGE-L R", "smol_retain/rougeL_recall"),
        Column("probability_forget", "prob F", "smol_forget/probability"),
        Column("probability_retain", "prob R", "smol_retain/probability"),
        Column("truth_ratio_forget", "TR F", "smol_forget/truth_ratio"),
        Column("extraction_forget", "ES F", "smol_forget/extraction_strength"),
        Column("memorization_forget", "EM F", "smol_forget/exact_memorization"),
        Column("mia_min_k", "MIA", "smol_summary/mia_min_k"),
        Column("degenerate_forget", "degenerate F", "smol_forget/degenerate"),
        Column("minutes", "min", "minutes", 1, None),
    ),
    batch_size=32,
    weights=_weights,
    anew=_anew,
    store=_store,
    stressed=Part(("smol_forget", "smol_forget_paraphrase"), 16),
    looked_at=Part(("smol_forget",), 12),
)
