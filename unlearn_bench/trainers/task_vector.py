"""Task vectors: overfit on the forget set, and walk the other way.

    theta = theta_0 - alpha (theta_ft - theta_0)

theta_ft is trained by cross entropy on the forget set. alpha 5. With LoRA the difference is B A, so that the walk
back is the same adapter with B multiplied by -alpha. Source: Ilharco et al. 2023 (arXiv 2212.04089); MUSE (arXiv
2407.06460). Divergences: public code takes the difference in bfloat16, which rounds small changes away, and holds
three models; here the difference is taken in float32, tensor by tensor from disk.
"""

import torch

from unlearn_bench.trainers import _model
from unlearn_bench.trainers.base import refuse_sharded
from unlearn_bench.trainers.job import Job, TrainOutcome, recipe_options
from unlearn_bench.trainers.method import parse

OPTIONS = {"alpha": 5.0}


def task_vector(job: Job) -> TrainOutcome:
    """Train on the forget set, then negate what was learned."""
    alpha = float(recipe_options(job, OPTIONS)["alpha"])
    method = parse("relearn+0*gdr")  # plain cross entropy on the forget rows
    data = job.encode(method)
    job.model = _model.choose_trained(job.model, job.config, method)
    job.check_disk(method, data)
    trainer = job.trainer(method, data, curve=False)
    refuse_sharded(trainer, "task_vector")
    main, wait = trainer.is_world_process_zero(), trainer.accelerator.wait_for_everyone
    with _model.remembered(job.model, job.folder, main=main, wait=wait) as start:
        job.fit(trainer)
        walk_back(job.model, start, alpha, lora=job.config.lora is not None)
        wait()
    return job.finish(trainer, method)


@torch.no_grad()
def walk_back(model: torch.nn.Module, start: _model.Snapshot, alpha: float, *, lora: bool) -> None:
    """Set the model to start - alpha (model - start), in float32.

    With LoRA every B starts at zero, and A stays as it was trained: only B is negated.
    """
    parameters = dict(model.named_parameters())
    for name, before in start.tensors():
        parameter = parameters[name]
        if lora:
            if "lora_B" in name:
                parameter.mul_(-alpha)
            continue
        before = before.to(parameter.device, torch.float32)
        parameter.copy_(before - alpha * (parameter.float() - before))


USES = ("forget",)
RECIPE = task_vector
