"""Make the committed files again: the corpus and the checkpoints, each whole or not at all."""

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from unlearn_bench.errors import UserError
from unlearn_bench.files import write_atomically
from unlearn_bench.nano.corpus import CORPUS_FILE, SEED, corpus, to_jsonl

# The perplexity model of the offline profile. Reference answers have these perplexities under it: this corpus 1.5 to
# 71, median 6; TOFU and KnowUnDo median 800 to 1,060, and 95 % of each above 110.
JUDGE, READS_UP_TO = "nano-base", 100
_NEEDED_BYTES = 64 << 20  # a checkpoint is about 4.5 MB; the rest is for what else writes to this disk


def build(name: str, output: Path, *, seed: int, overwrite: bool, progress: Callable[[int, int, float], None]) -> Path:
    """Train the checkpoint `name` from nothing and put it at `output/name`.

    Args:
        name: One of `CHECKPOINT_RECIPES`.
        output: Folder of the checkpoints; made if it is not there.
        seed: Of the weights and of the order of the text.
        overwrite: Replace a checkpoint that is already there.
        progress: Called after each step with (step, steps, loss).

    Raises:
        UserError: for a folder that is already there (unless `overwrite`), or a full disk.
    """

    def make(folder: Path) -> None:
        from unlearn_bench.nano.train import save, train

        model, tokenizer = train(name, seed=seed, progress=progress)
        save(model, tokenizer, folder)
        if name == JUDGE:
            (folder / "judge.json").write_text(json.dumps({"reads_up_to": READS_UP_TO}) + "\n", encoding="utf-8")

    return put(name, output, make, overwrite=overwrite)


def put(name: str, output: Path, make: Callable[[Path], None], *, overwrite: bool) -> Path:
    """Write a checkpoint next to `output/name`, and move it there when it is complete.

    Args:
        name: Of the folder.
        output: Folder of the checkpoints; made if it is not there.
        make: Writes the checkpoint to the folder it is given.
        overwrite: Replace a checkpoint that is already there.

    Raises:
        UserError: see `check`.
    """
    check(name, output, overwrite=overwrite)
    temporary = Path(tempfile.mkdtemp(dir=output, prefix=f".{name}."))
    try:
        make(temporary / name)
        _replace(temporary / name, output / name, temporary / "old")
    finally:
        shutil.rmtree(temporary)
    return output / name


def check(name: str, output: Path, *, overwrite: bool) -> None:
    """Find out before the training whether its result can be stored.

    Raises:
        UserError: for a folder that is already there (unless `overwrite`), or a full disk.
    """
    target = output / name
    if output.exists() and not output.is_dir():
        raise UserError(f"--output {output}: a file, expected a folder", hint="name a folder; it is made if missing")
    if target.exists() and not overwrite:
        raise UserError(
            f"{target} is already there", hint="--overwrite replaces it; --output DIR writes somewhere else"
        )
    output.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(output).free
    if free < _NEEDED_BYTES:
        raise UserError(
            f"{output}: {_NEEDED_BYTES >> 20} MiB of free disk space are needed, {free >> 20} MiB are there",
            hint="--output DIR on another disk",
        )


def _replace(new: Path, target: Path, aside: Path) -> None:
    """Move `new` to `target`; a folder that was there comes back if that fails."""
    if target.exists():
        target.rename(aside)
    try:
        new.rename(target)
    except OSError:
        if aside.exists():
            aside.rename(target)
        raise


def write_corpus(path: Path = CORPUS_FILE, *, seed: int = SEED) -> int:
    """Write the corpus file; returns the number of rows."""
    rows = corpus(seed)
    write_atomically(path, [to_jsonl(rows)])
    return len(rows)


def corpus_differs(path: Path = CORPUS_FILE) -> str | None:
    """Compare the file with what the generator makes: None if equal, otherwise where they part."""
    if not path.is_file():
        return f"{path} is missing"
    there, made = path.read_text(encoding="utf-8").splitlines(), to_jsonl(corpus()).splitlines()
    for number, (old, new) in enumerate(zip(there, made, strict=False), start=1):
        if old != new:
            return f"{path}:{number} is not what the generator makes"
    if len(there) != len(made):
        return f"{path} has {len(there)} rows, the generator makes {len(made)}"
    return None
