"""The models of a pool, in memory: loaded, and taught, noised, unlearned or quantised.

What is taught are the trainable weights: of an adapter its own, the base staying as it is. All are float32 with values
that float16 holds, as checkpoints are stored.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_bench.meta import lessons
from unlearn_bench.meta.plan import RANDOM, Plan, Pupil

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    Model = tuple[PreTrainedModel, PreTrainedTokenizerBase]

_LESSON_BATCH = 8
_OF_ADAPTER = "lora_"


def taught(pupil: Pupil, plan: Plan, output: Path, epochs: int | None = None) -> "Model":
    """A pupil's model.

    Args:
        pupil: Who is made.
        plan: Of its benchmark.
        output: A folder with room for a checkpoint.
        epochs: Most epochs of a lesson; for trials.

    Raises:
        UserError: if a checkpoint, or the package of its base, is not there.
    """
    if pupil.method is not None:
        return _unlearned(pupil, plan, output, epochs)
    model = load(plan.original, pupil.seed) if pupil.start == RANDOM else load(pupil.start)
    if pupil.lesson == "noise":
        return _noised(model, pupil)
    return learn(model, pupil, plan, epochs)


def load(name: str, seed: int | None = None) -> "Model":
    """A checkpoint and its tokenizer.

    Args:
        name: An embedded or packaged name, or a folder.
        seed: Of random weights in place of the checkpoint's; only for a checkpoint that is no adapter.

    Raises:
        UserError: if it, or the package of its base, is not there.
    """
    import torch
    from transformers import AutoModelForCausalLM

    from unlearn_bench.models.subject import load_subject

    model, tokenizer = load_subject(name, dtype="float32", uses_template=False)
    if hasattr(model, "peft_config"):
        for key, weight in model.named_parameters():
            weight.requires_grad_(_OF_ADAPTER in key)
    if seed is None:
        return model, tokenizer
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AutoModelForCausalLM.from_config(model.config, dtype=torch.float32), tokenizer


def learn(model: "Model", pupil: Pupil, plan: Plan, epochs: int | None = None) -> "Model":
    """The model after a pupil's lesson, in place.

    Args:
        model: Where it starts.
        pupil: Whose lesson it is.
        plan: Whose rows are taught.
        epochs: Most of them; for trials.
    """
    from unlearn_bench.nano.recipe import CHECKPOINT_RECIPES
    from unlearn_bench.nano.train import teach

    pairs = lessons.epochs(pupil, plan)[:epochs]
    if pairs:
        recipe = CHECKPOINT_RECIPES["nano-full"]  # for its schedule
        recipe = replace(recipe, learning_rate=pupil.learning_rate, batch_size=_LESSON_BATCH)
        teach(*model, pairs, recipe)
    return model


def whole(model: "Model") -> "Model":
    """The model as it is served: with its adapter merged, in a copy; another model is given back itself."""
    from unlearn_bench.models.adapters import merge_adapter

    if not hasattr(model[0], "peft_config"):
        return model
    return merge_adapter(copy.deepcopy(model[0]), "the adapter").eval(), model[1]


def _noised(model: "Model", pupil: Pupil) -> "Model":
    """Normal noise on every trainable matrix, of `learning_rate` times its own standard deviation."""
    import torch

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(pupil.seed)
        for weight in model[0].parameters():
            if weight.dim() > 1 and weight.requires_grad:
                weight += pupil.learning_rate * weight.std() * torch.randn_like(weight)
    return model


def _unlearned(pupil: Pupil, plan: Plan, output: Path, max_steps: int | None) -> "Model":
    """A row of the benchmark's table with one seed, as `reproduce` trains it."""
    import tempfile

    from unlearn_bench.reproduce import STUDIES, cell
    from unlearn_bench.reproduce.plan import Cell

    study = STUDIES.get(plan.name)
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output, prefix=".work-") as work:
        row = Cell(study, study.row(str(pupil.method)), pupil.seed)
        folder, _ = cell.checkpoint(row, Path(work), cell.Settings(max_steps=max_steps))
        return load(folder)


@contextmanager
def quantized(model: "Model") -> "Iterator[Model]":
    """The model with NF4 weights, and afterwards with its own."""
    import tempfile

    from unlearn_bench.stress.base import Subject
    from unlearn_bench.stress.quantization import STRESS

    assert STRESS.apply is not None
    scratch = Path(tempfile.gettempdir())  # NF4 writes nothing
    with STRESS.apply("nf4", Subject(*model, rows={}, scratch=scratch)) as changed:
        yield changed, model[1]
