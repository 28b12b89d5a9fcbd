"""What happens around steps: the sampler's epoch, the gradient check, progress, the forget-retain curve."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from unlearn_bench.files import write_atomically
from unlearn_bench.trainers.base import Training

STATE_FILE = "unlearn_state.json"

Evaluate = Callable[[object, object, int], Mapping[str, float]]


class Hooks(TrainerCallback):
    """Calls the trainer at the moments that transformers' loop offers to callbacks only."""

    def __init__(self, trainer: Training) -> None:
        self.trainer = trainer

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Take up what the losses had kept at the checkpoint that is resumed."""
        path = Path(args.output_dir, f"checkpoint-{state.global_step}", STATE_FILE)
        if state.global_step and path.is_file():
            self.trainer.load_loss_state(json.loads(path.read_text(encoding="utf-8")))

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Tell the sampler."""
        self.trainer.set_epoch(int(state.epoch or 0))

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Look at the gradient."""
        self.trainer.check_gradients()

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        """Write what a resumed run needs in addition to transformers' files; with it the checkpoint is complete."""
        if state.is_world_process_zero:
            path = Path(args.output_dir, f"checkpoint-{state.global_step}", STATE_FILE)
            write_atomically(path, [json.dumps(self.trainer.loss_state())])


class Curve(TrainerCallback):
    """Scores every `every` steps and appends a line to `curve.jsonl`; training is not disturbed by it.

    Args:
        evaluate: (model, tokenizer, step) to named scores.
        every: Optimizer steps between two points; the start and the end are points as well.
    """

    def __init__(self, evaluate: Evaluate, every: int) -> None:
        self.evaluate = evaluate
        self.every = every
        self._last: int | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """The point before unlearning; a resumed run has it already."""
        if state.global_step == 0:
            self._point(args, state, **kwargs)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """A point every `every` steps."""
        if state.global_step % self.every == 0:
            self._point(args, state, **kwargs)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """The last point."""
        if self._last != state.global_step:
            self._point(args, state, **kwargs)

    def _point(self, args: TrainingArguments, state: TrainerState, **kwargs: object) -> None:
        self._last = state.global_step
        if not state.is_world_process_zero:
            return
        model = kwargs["model"]
        training = model.training
        model.eval()
        devices = [args.device] if args.device.type == "cuda" else []
        with torch.random.fork_rng(devices), torch.no_grad():
            scores = self.evaluate(model, kwargs.get("processing_class"), state.global_step)
        model.train(training)
        line = json.dumps({"step": state.global_step, "epoch": state.epoch, **scores})
        with Path(args.output_dir, "curve.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")


class Progress(TrainerCallback):
    """On a terminal one bar over all steps with the value of each term; elsewhere ten lines in total."""

    def __init__(self) -> None:
        self._bar = None
        self._shown = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Open the bar."""
        from tqdm.auto import tqdm

        self._shown = state.global_step
        if state.is_world_process_zero and sys.stderr.isatty():
            self._bar = tqdm(
                total=state.max_steps, initial=state.global_step, desc="train", unit="step", dynamic_ncols=True
            )

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """One step on."""
        if self._bar is not None:
            self._bar.update(state.global_step - self._bar.n)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        """Show the terms."""
        logs = kwargs.get("logs") or {}
        terms = {name: f"{value:.4g}" for name, value in logs.items() if "/" in name}
        if not terms or not state.is_world_process_zero:
            return
        if self._bar is not None:
            self._bar.set_postfix(terms)
            return
        step = state.global_step
        if step == state.max_steps or step - self._shown >= state.max_steps / 10:
            self._shown = step
            values = ", ".join(f"{name} {value}" for name, value in terms.items())
            sys.stderr.write(f"train: step {step} of {state.max_steps}, {values}\n")

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()
