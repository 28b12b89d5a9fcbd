"""The trainer of this project as the training benchmarks set it up: so many steps at a constant rate, nothing saved."""

from typing import Any


def trainer(
    model: Any, method: str, data: Any, tokenizer: Any, *, folder: str, batch_size: int, rate: float, steps: int
) -> Any:
    """An `UnlearnTrainer` that is ready to train.

    Args:
        method: As `--method` takes it.
        folder: For what a trainer writes.
        batch_size: Rows in a step.
    """
    from unlearn_bench.trainers.config import TrainConfig, training_arguments
    from unlearn_bench.trainers.method import parse
    from unlearn_bench.trainers.trainer import UnlearnTrainer

    config = TrainConfig(
        model="", method="", output=folder, batch_size=batch_size, learning_rate=rate, max_steps=steps,
        scheduler="constant",
    )  # fmt: skip
    arguments = training_arguments(config)
    arguments.save_strategy = "no"
    return UnlearnTrainer(model=model, method=parse(method), data=data, args=arguments, tokenizer=tokenizer)
