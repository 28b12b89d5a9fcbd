"""Who's Harry Potter, both stages: reinforce on the forget set, then distil the generic predictions from the start.

The formula and its source are in `losses/whp.py`. The reinforced model lives only until its answers for the forget
rows are stored; the second stage starts from the original weights again. Options: reinforce_epochs 3, alpha 1. Not
resumable.
"""

from dataclasses import replace

from unlearn_bench.trainers import _inputs, _model, _reference
from unlearn_bench.trainers.base import refuse_sharded
from unlearn_bench.trainers.job import Job, TrainOutcome, clear_checkpoints, recipe_options, refuse_resume
from unlearn_bench.trainers.method import parse
from unlearn_bench.trainers.trainer import UnlearnTrainer

OPTIONS = {"reinforce_epochs": 3.0, "alpha": 1.0}


def whp(job: Job) -> TrainOutcome:
    """Reinforce, store what the reinforced model says, go back, distil; with a retain set, `gdr` is added."""
    refuse_resume(job)
    options = recipe_options(job, OPTIONS)
    reinforce = parse("relearn+0*gdr")
    method = parse("whp+gdr" if "retain" in job.rows else "whp", {"whp": {"alpha": options["alpha"]}})
    data = job.encode(method)
    final = job.config
    job.model = _model.choose_trained(job.model, final, method)
    job.check_disk(method, data)
    job.config = replace(final, epochs=float(options["reinforce_epochs"]), max_steps=None, resume=False)
    first = job.trainer(reinforce, job.encode(reinforce), curve=False)
    refuse_sharded(first, "whp")
    main, wait = first.is_world_process_zero(), first.accelerator.wait_for_everyone
    with _model.remembered(job.model, job.folder, main=main, wait=wait) as start:
        job.fit(first)
        reinforced = _stored(first, method, data)
        start.restore(job.model)
        wait()
    clear_checkpoints(job.folder)  # the second stage must not resume from them
    job.config = final
    trainer = job.trainer(method, data, reinforced=reinforced)
    job.fit(trainer)
    return job.finish(trainer, method)


def _stored(trainer: UnlearnTrainer, method: object, data: object) -> _reference.Stored:
    return _reference.build_store(
        trainer.model,
        trainer.model.get_output_embeddings(),
        data,
        _inputs.wanted(method, "reinforced"),
        collator=trainer.data_collator,
        whole=_inputs.whole_distributions(method, "reinforced"),
        device=trainer.args.device,
        context=trainer.accelerator.autocast,
    )


USES = ("forget", "retain", "reference", "curve")
RECIPE = whp
