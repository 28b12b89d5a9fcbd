"""Retraining: from the base model, on the retain set only. The gold standard that unlearning wants to come close to.

    theta = argmin CE(y_r), starting from a model that never saw the forget set

`--model` names that base model, not the one that is to forget; affordable for small models. Source: TOFU (arXiv
2401.06121), the retain model that forget quality is measured against.
"""

from unlearn_bench.trainers.job import Job, TrainOutcome, run_method
from unlearn_bench.trainers.method import parse


def retrain(job: Job) -> TrainOutcome:
    """Fine-tune on the retain set; a forget set is ignored."""
    job.rows.pop("forget", None)
    return run_method(job, parse("gdr"))


USES = ("retain", "curve")
RECIPE = retrain
