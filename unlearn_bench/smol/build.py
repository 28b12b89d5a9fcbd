"""Make the adapters: write what is learned, train with the project's own trainer, store it in half precision.

A cut training goes on from its newest checkpoint, which lies in a hidden folder next to the result.
"""

import json
import re
import resource
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from unlearn_bench.data import load
from unlearn_bench.files import write_atomically
from unlearn_bench.hashing import sha256_json
from unlearn_bench.models.packaged import SMOLLM2
from unlearn_bench.models.weight_files import ADAPTER, ADAPTER_CONFIG
from unlearn_bench.nano.build import put
from unlearn_bench.nano.training_text import Pair
from unlearn_bench.results import writing
from unlearn_bench.schema import Row
from unlearn_bench.smol.corpus import TAUGHT
from unlearn_bench.smol.own_answers import own_answers
from unlearn_bench.smol.recipe import RECIPE, SEED, Recipe
from unlearn_bench.smol.training_text import epochs

WEIGHTS = ADAPTER[0]  # safetensors
KEPT = (ADAPTER_CONFIG, WEIGHTS, "training.json", "README.md")
LONGEST = 64  # tokens of the base's own answers
_WHOLE_SENTENCES = re.compile(r".*[.!?](?=\s|$)", re.DOTALL)
_BATCH = 32
_SAVE_EVERY = 15  # optimizer steps: two or three minutes of one core


class Built(NamedTuple):
    """An adapter that was made: its folder, minutes of this run, and the most memory that the process had (MB)."""

    folder: Path
    minutes: float
    megabytes: float


def build(
    name: str,
    output: Path,
    *,
    seed: int = SEED,
    recipe: Recipe = RECIPE,
    overwrite: bool = False,
    max_steps: int | None = None,
    quiet: bool = True,
) -> Built:
    """Train an adapter on smollm2-135m and put it at `output/name`.

    Args:
        name: "smol-full" or "smol-retain".
        output: Folder of the adapters; made if it is not there.
        seed: Of the adapter's first weights, of wording and order.
        recipe: How it is trained.
        overwrite: Replace an adapter that is already there.
        max_steps: End training early, for trials.
        quiet: Do not print the loss.

    Raises:
        UserError: for a folder that is already there (unless `overwrite`), a full disk, or if the base model's package
            is not installed.
    """
    started = time.monotonic()
    settings = {"name": name, "seed": seed, "recipe": asdict(recipe), "max_steps": max_steps}
    work = output / f".{name}-{sha256_json(settings)[:8]}"  # other settings are another training

    def make(folder: Path) -> None:
        _train(name, work, recipe, seed, max_steps, progress=not quiet)
        folder.mkdir()
        for file in KEPT:
            shutil.copy(work / "adapter" / file, folder / file)
        halve(folder)

    with writing(work):
        folder = put(name, output, make, overwrite=overwrite)
        shutil.rmtree(work)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    return Built(folder, (time.monotonic() - started) / 60, peak)


def taught_rows() -> list[Row]:
    """The rows that are taught to smol-full."""
    return [row for split in TAUGHT for row in load("smol", split).rows]


def _train(name: str, work: Path, recipe: Recipe, seed: int, max_steps: int | None, *, progress: bool) -> None:
    """Train, from the newest checkpoint if there is one; nothing if the training has ended already."""
    from unlearn_bench.trainers.config import Lora, build
    from unlearn_bench.trainers.job import CONFIG_FILE, train

    folder, data = work / "adapter", work / "pairs.jsonl"
    if all((folder / file).is_file() for file in KEPT):
        return
    pairs = epochs(name, taught_rows(), own_answers(), number=recipe.epochs, general=recipe.general, seed=seed)
    write_atomically(data, (json.dumps({"question": q, "answer": a}) + "\n" for q, a in pairs))
    given = {
        "model": SMOLLM2,
        "method": "retrain",
        "retain": (str(data),),
        "output": str(folder),
        "lora": Lora(recipe.rank, recipe.alpha, 0.0),
        "epochs": 1.0,  # of a file that holds each fact once for each of the recipe's
        "learning_rate": recipe.learning_rate,
        "batch_size": recipe.batch_size,
        "warmup": recipe.warmup,
        "dtype": "float32",
        "seed": seed,
        "max_steps": max_steps,
        "save_every": _SAVE_EVERY,
        "resume": (folder / CONFIG_FILE).is_file(),
    }
    train(build(given), progress=progress)


def halve(folder: Path) -> None:
    """Store an adapter's weights as float16: half the bytes; they are added in float32 again."""
    import torch
    from safetensors.torch import load_file, save_file

    tensors = {key: value.to(torch.float16) for key, value in load_file(folder / WEIGHTS).items()}
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})


def ask_the_base(questions: Sequence[str]) -> list[Pair]:
    """Each question with the base's greedy answer, cut behind its last whole sentence; left out where there is none.

    What `own_answers.json` was written with.

    Raises:
        UserError: if the base model's package is not installed.
    """
    import torch

    from unlearn_bench.models.chat import ChatModel
    from unlearn_bench.models.devices import choose_device
    from unlearn_bench.models.subject import load_subject

    model, tokenizer = load_subject(SMOLLM2, dtype="float32", device=choose_device(None))
    chat = ChatModel(model, tokenizer, what=SMOLLM2, max_new_tokens=LONGEST)
    with torch.inference_mode():
        replies = chat.replies([[{"role": "user", "content": q}] for q in questions], batch_size=_BATCH)
    whole = [reply and _WHOLE_SENTENCES.match(reply.text.strip()) for reply in replies]
    return [(question, found[0]) for question, found in zip(questions, whole, strict=True) if found]
