"""Model merging: two adapters unlearned with different weights, merged by TIES.

    A: 0.4 npo + 0.4 klr + 0.2 gdr        B: 0.3 npo + 0.3 klr + 0.4 gdr
    theta = theta_0 + TIES(delta_A, delta_B), density 0.8

TIES keeps the largest 80 % of each delta's entries, elects for each entry the sign with the larger total, and
averages the values of that sign. Source: second of 26 in SemEval-2025 task 4 (ZJUKLAB); TIES by Yadav et al. 2023
(arXiv 2306.01708). Divergences: the released code names the weights of KL and CE the wrong way round, and merges the
factors A and B of the adapters, not their product; it trains one adapter with batches of 1 x 4 rows and the other
with 2 x 4, here both have one size; of n entries it keeps int(density n) (PEFT's ties), here the nearest whole
number. The result is a whole checkpoint. Not resumable between its stages.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from unlearn_bench.errors import UserError
from unlearn_bench.trainers import _model
from unlearn_bench.trainers._checks import check_replacements
from unlearn_bench.trainers.base import refuse_sharded
from unlearn_bench.trainers.config import Lora, TrainConfig
from unlearn_bench.trainers.job import Job, TrainOutcome, clear_checkpoints, recipe_options, refuse_resume
from unlearn_bench.trainers.method import parse

OPTIONS = {"first": "0.4*npo+0.4*klr+0.2*gdr", "second": "0.3*npo+0.3*klr+0.4*gdr", "density": 0.8}


def defaults(config: TrainConfig) -> dict[str, object]:
    """The paper's adapter, where none was asked for."""
    return {} if config.lora else {"lora": Lora(r=32, alpha=32, dropout=0.05)}


def ties(deltas: Sequence[Tensor], *, density: float = 0.8) -> Tensor:
    """Merge changes of one matrix.

    Args:
        deltas: Changes of equal shape.
        density: Share of each that is kept, the largest entries first, in (0, 1].

    >>> ties([torch.tensor([4.0, -1.0]), torch.tensor([2.0, 3.0])], density=1.0).tolist()
    [3.0, 3.0]
    """
    trimmed = torch.stack([_trim(delta.float(), density) for delta in deltas])
    sign = torch.sign(trimmed.sum(dim=0))
    agrees = (torch.sign(trimmed) == sign) & (trimmed != 0)
    return (trimmed * agrees).sum(dim=0) / agrees.sum(dim=0).clamp(min=1)


def _trim(delta: Tensor, density: float) -> Tensor:
    keep = max(1, round(density * delta.numel()))
    chosen = delta.abs().flatten().topk(keep).indices
    mask = torch.zeros(delta.numel(), dtype=torch.bool, device=delta.device)
    mask[chosen] = True
    return delta * mask.view_as(delta)


def merge(job: Job) -> TrainOutcome:
    """Train both adapters from the same start, and write the merged model."""
    options = recipe_options(job, OPTIONS)
    if not 0 < float(options["density"]) <= 1:
        raise UserError(f"merge.density must be in (0, 1], got {options['density']}")
    refuse_resume(job)
    methods = [parse(str(options[name])) for name in ("first", "second")]
    check_replacements(methods, job.rows, raw=job.config.raw)
    data = job.encode(methods[0])
    job.model = _model.choose_trained(job.model, job.config, methods[0])
    job.check_disk(methods[0], data)
    all_deltas, trainer = [], job.trainer(methods[0], data)
    refuse_sharded(trainer, "merge")
    main, wait = trainer.is_world_process_zero(), trainer.accelerator.wait_for_everyone
    with _model.remembered(job.model, job.folder, main=main, wait=wait) as start:
        for method in methods:
            trainer = job.trainer(method, data)
            start.restore(job.model)
            clear_checkpoints(job.folder)
            trainer.train()
            all_deltas.append(lora_deltas(job.model))
        wait()
    base = job.model.unload()
    add_merged(base, all_deltas, float(options["density"]))
    if trainer.is_world_process_zero():
        base.save_pretrained(job.folder)
        job.tokenizer.save_pretrained(job.folder)
    return job.finish(trainer, methods[1], save=False)


def lora_deltas(model: torch.nn.Module) -> dict[str, Tensor]:
    """Module name in the base model to the change of its weight, on the CPU."""
    layers = {n: m for n, m in model.named_modules() if hasattr(m, "get_delta_weight")}
    return {
        n.removeprefix("base_model.model."): m.get_delta_weight("default").detach().cpu() for n, m in layers.items()
    }


@torch.no_grad()
def add_merged(base: torch.nn.Module, deltas: Sequence[dict[str, Tensor]], density: float) -> None:
    """Add the merged change to each weight, in float32."""
    for name in deltas[0]:
        weight = base.get_submodule(name).weight
        change = ties([each[name] for each in deltas], density=density).to(weight.device)
        weight.copy_((weight.float() + change).to(weight.dtype))


USES = ("forget", "retain", "reference", "curve")
RECIPE = merge
