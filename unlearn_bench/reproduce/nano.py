"""The nano table: every method trained from nano-full, all weights of it."""

from functools import cache
from pathlib import Path

from unlearn_bench import nano
from unlearn_bench.models.packaged import SMOLLM2
from unlearn_bench.models.weight_files import weights_sha256
from unlearn_bench.reproduce.study import Column, Part, Study


@cache
def _weights(name: str) -> str | None:
    """Read once: every cell asks for it several times."""
    folder = nano.checkpoint_path(name)
    return None if folder is None else weights_sha256(folder)


def _anew(name: str, seed: int, folder: Path, max_steps: int | None) -> None:
    """Train an embedded checkpoint's recipe again from random weights; a trial runs one epoch."""
    from unlearn_bench.nano.corpus import SEED
    from unlearn_bench.nano.train import save, shortened, train

    recipe = None if max_steps is None else shortened(name, 1)
    model, tokenizer = train(name, seed=SEED + 1 + seed, recipe=recipe)  # not the committed one a second time
    save(model, tokenizer, folder)


def _store(folder: Path) -> None:
    """Round a trained checkpoint to float16, as the embedded ones are, so that its row can join them unchanged."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from unlearn_bench.nano.train import save

    save(AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder), folder)


STUDY = Study(
    name="nano",
    model="nano-full",
    oracle="nano-retain",
    about="nano",
    rows_file=Path(nano.__file__).with_name("rows.json"),
    groups={
        "anchor": "Before unlearning, and retrained without the forget set",
        "method": "Methods",
        "ablation": "ReLearn without one of its parts, or with sentences that no embedded model was taught",
    },
    tasks=("nano",),
    columns=(
        Column("kfr", "KFR", "nano_forget/kfr", placed=True),
        Column("kfr_paraphrase", "KFR para", "nano_forget_paraphrase/kfr", placed=True),
        Column("krr", "KRR", "nano_retain/krr", placed=True),
        Column("neighbour_krr", "KRR neigh", "nano_neighbour/krr", placed=True),
        Column("world_krr", "KRR world", "nano_world/krr"),
        Column("ls_forget", "LS F", "nano_forget/ls", 3),
        Column("ls_retain", "LS R", "nano_retain/ls", 3),
        Column("fluency_forget", "fluency F", "nano_forget/fluency"),
        Column("fluency_retain", "fluency R", "nano_retain/fluency"),
        Column("rouge_forget", "ROUGE-L F", "nano_forget/rougeL_recall", placed=True),
        Column("rouge_retain", "ROUGE-L R", "nano_retain/rougeL_recall"),
        Column("degenerate_forget", "degenerate F", "nano_forget/degenerate"),
        Column("degenerate_retain", "degenerate R", "nano_retain/degenerate"),
        Column("minutes", "min", "minutes", 1, None),
        Column("probability_forget", "prob F", "nano_forget/probability", placed=True, inside=True),
        Column("probability_retain", "prob R", "nano_retain/probability", inside=True),
        Column("truth_ratio_forget", "TR F", "nano_forget/truth_ratio", placed=True, inside=True),
        Column("extraction_forget", "ES F", "nano_forget/extraction_strength", placed=True, inside=True),
        Column("memorization_forget", "EM F", "nano_forget/exact_memorization", placed=True, inside=True),
        Column("mia_min_k", "MIA", "nano_summary/mia_min_k", placed=True, inside=True),
        Column("forget_quality", "FQ p", "nano_summary/forget_quality", 3, inside=True),
        Column("ls_forget_second", "LS F, SmolLM2", f"nano_forget/ls[{SMOLLM2}]", 3, inside=True),
        Column("ls_retain_second", "LS R, SmolLM2", f"nano_retain/ls[{SMOLLM2}]", 3, inside=True),
        Column("perplexity_forget", "PPL F", "nano_forget/perplexity", 1, None, inside=True),
        Column(
            "perplexity_forget_second", "PPL F, SmolLM2", f"nano_forget/perplexity[{SMOLLM2}]", 0, None, inside=True
        ),
    ),
    batch_size=64,
    weights=_weights,
    anew=_anew,
    store=_store,
    entry_names={"relearn": "nano-relearn", "ga": "nano-ga"},
    anchored=True,
    stressed=Part(("nano_forget", "nano_forget_paraphrase")),
    looked_at=Part(("nano_forget",), 24),
    second_judge=SMOLLM2,
    judged_again=Part(("nano_forget", "nano_retain"), 128),
    aliases={
        "nano_kfr": "nano_forget",
        "nano_kfr_paraphrase": "nano_forget_paraphrase",
        "nano_krr": "nano_retain",
        "nano_neighbour_krr": "nano_neighbour",
        "nano_world_krr": "nano_world",
        "nano_ls": "nano_forget",
        "nano_retain_ls": "nano_retain",
        "nano_rouge": "nano_forget",
        "nano_retain_rouge": "nano_retain",
    },
)
