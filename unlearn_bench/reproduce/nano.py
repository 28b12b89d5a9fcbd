"""The nano table: every method trained from nano-full, all weights of it."""

from functools import cache
from pathlib import Path

from unlearn_bench import nano
from unlearn_bench.models.weight_files import weights_sha256
from unlearn_bench.reproduce.study import Column, Study


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
    tasks=(
        "nano_kfr",
        "nano_kfr_paraphrase",
        "nano_krr",
        "nano_neighbour_krr",
        "nano_world_krr",
        "nano_ls",
        "nano_retain_ls",
        "nano_rouge",
        "nano_retain_rouge",
    ),
    columns=(
        Column("kfr", "KFR", "nano_kfr/kfr"),
        Column("kfr_paraphrase", "KFR para", "nano_kfr_paraphrase/kfr"),
        Column("krr", "KRR", "nano_krr/krr"),
        Column("neighbour_krr", "KRR neigh", "nano_neighbour_krr/krr"),
        Column("world_krr", "KRR world", "nano_world_krr/krr"),
        Column("ls_forget", "LS F", "nano_ls/ls", 3),
        Column("ls_retain", "LS R", "nano_retain_ls/ls", 3),
        Column("fluency_forget", "fluency F", "nano_ls/fluency"),
        Column("fluency_retain", "fluency R", "nano_retain_ls/fluency"),
        Column("rouge_forget", "ROUGE-L F", "nano_rouge/rougeL_recall"),
        Column("rouge_retain", "ROUGE-L R", "nano_retain_rouge/rougeL_recall"),
        Column("degenerate_forget", "degenerate F", "nano_ls/degenerate"),
        Column("degenerate_retain", "degenerate R", "nano_retain_ls/degenerate"),
        Column("minutes", "min", "minutes", 1, None),
    ),
    batch_size=64,
    weights=_weights,
    anew=_anew,
    store=_store,
    entry_names={"relearn": "nano-relearn", "ga": "nano-ga"},
)
