"""Training that unlearns: `UnlearnTrainer` and what surrounds it.

`method` reads "npo+gdr"; `trainer` minimises it inside transformers' own loop; `job` runs it from files to a
checkpoint with its card. A file with `STEP` changes the optimizer step (sure, memflex); one with `RECIPE` is a whole
separate procedure (retrain, task_vector, merge, whp). Several processes, FSDP and DeepSpeed come from accelerate's
configuration:

    accelerate launch --num_processes 2 -m unlearn_bench train --method npo+gdr …
    accelerate launch --config_file unlearn_bench/trainers/accelerate/fsdp.yaml -m unlearn_bench train …

Nothing here imports deepspeed. The terms, adapters and both kinds of reference are written for sharded parameters (one
forward pass a step through the wrapped model, the reference computed before it is wrapped). Tested over gloo, two
processes against one: DDP, and FSDP2 with full fine-tuning and with an adapter. DeepSpeed never ran. sure, memflex,
--eval-every and the procedures that compare whole weights (task_vector, merge, whp) refuse sharded parameters.
"""

from unlearn_bench.registry import Registry

STEPS = Registry(kind="method", package="unlearn_bench.trainers", attribute="STEP")
RECIPES = Registry(kind="method", package="unlearn_bench.trainers", attribute="RECIPE")
