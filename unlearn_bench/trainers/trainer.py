"""The trainer: transformers' own loop, with losses combined by name.

Every term is summed over its elements in all micro-batches and processes of an optimizer step and divided by the step's
count, so that neither accumulation nor the number of processes changes the algorithm.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback
from transformers.utils import is_peft_available

from unlearn_bench.errors import UserError
from unlearn_bench.trainers import STEPS, _inputs, _reference
from unlearn_bench.trainers._batches import GROUPS, KINDS, Collator, PairedDataset, StepSampler, count_elements
from unlearn_bench.trainers._forward import answers_of, output_head
from unlearn_bench.trainers.base import PlainStep, Step
from unlearn_bench.trainers.callbacks import Hooks
from unlearn_bench.trainers.divergence import Divergence, gradients_finite
from unlearn_bench.trainers.method import Method

log = logging.getLogger(__name__)

STORE_FILE = "reference.safetensors"


class UnlearnTrainer(Trainer):
    """Minimise a method's terms over paired forget and retain rows.

    Args:
        model: The model to change; a PEFT model to train an adapter.
        method: What to minimise, as `method.parse` reads it.
        data: The encoded rows of each group that the method needs.
        args: transformers' arguments; `training_arguments` of the config module sets those this trainer relies on.
        tokenizer: Saved with the model; gives the padding token.
        reference: Where the model before unlearning comes from; "auto" is the adapter switched off, else "stored".
        reinforced: Stored answers of a model trained further on the forget set, for `whp`.
        divergence: When to stop, or how to go on.
        group_by_length: Put rows of similar length into the same step.
        callbacks: Further callbacks of transformers.
    """

    def __init__(
        self,
        *,
        model: PreTrainedModel,
        method: Method,
        data: PairedDataset,
        args: TrainingArguments,
        tokenizer: PreTrainedTokenizerBase,
        reference: str = "auto",
        reinforced: _reference.Stored | None = None,
        divergence: Divergence | None = None,
        group_by_length: bool = True,
        callbacks: Sequence[TrainerCallback] = (),
    ) -> None:
        if args.n_gpu > 1:
            raise UserError(
                f"{args.n_gpu} GPUs are seen by one process",
                hint="start with `accelerate launch -m unlearn_bench train …`, or set CUDA_VISIBLE_DEVICES",
            )
        self.method = method
        self.data = data
        self.group_by_length = group_by_length
        self.divergence = divergence or Divergence()
        self.weights = {term.name: term.weight for term in method.terms}
        self._states = method.states()
        self.step_rule: Step = STEPS.get(method.step)(**method.step_options) if method.step else PlainStep()
        self._reference_kind = _choose_reference(reference, model, method)
        self._reference: _reference.Reference | None = None
        self._reinforced = reinforced
        self._sampler: StepSampler | None = None
        self._sums: dict[str, Tensor] = {}
        self._since_log: list[dict[str, float]] = []
        super().__init__(
            model=model,
            args=args,
            data_collator=Collator(tokenizer.pad_token_id),
            train_dataset=data,
            processing_class=tokenizer,
            callbacks=[Hooks(self), *callbacks],
        )
        self.remove_callback(PrinterCallback)  # prints a line for every step
        # The loss is divided by the step's counts already: nothing may divide it by the number of micro-batches again.
        self.model_accepts_loss_kwargs = True
        self.loss_is_scaled_for_ga = True
        self.constants = self._make_constants()

    # ---- what is drawn ----

    def _get_train_sampler(self, train_dataset: PairedDataset | None = None) -> StepSampler:
        rows = self.args.per_device_train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
        self._sampler = StepSampler(
            train_dataset or self.data, rows_per_step=rows, seed=self.args.seed, group_by_length=self.group_by_length
        )
        return self._sampler

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order the sampler follows; accelerate forwards this in some versions only."""
        if self._sampler is not None:
            self._sampler.set_epoch(epoch)

    def get_batch_samples(
        self, epoch_iterator: Iterator, num_batches: int, device: torch.device
    ) -> tuple[list[dict[str, Tensor]], Tensor]:
        """The micro-batches of a step, and the counts (3 groups, 4 kinds) that its sums are divided by."""
        samples, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        counts = sum(self.count(batch) for batch in samples).to(device)
        return samples, self.accelerator.reduce(counts, reduction="sum")

    def count(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Elements of a batch as the method's terms count them: see `count_elements`."""
        return count_elements(batch, ignore_first=self.method.ignore_first)

    # ---- what is minimised ----

    def train(self, *args: object, **kwargs: object) -> object:
        """Train; the reference is computed, or read, before a checkpoint's weights are loaded."""
        self._prepare_reference()
        self.step_rule.prepare(self)
        return super().train(*args, **kwargs)

    def term_values(self, model: nn.Module, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Each term's value for each of its elements in this batch, not yet summed: term name to (N,), (S,) or (P,)."""
        answers = {"policy": answers_of(model, self._head(), batch, _inputs.wanted(self.method, "policy"))}
        for source, frozen in (("reference", self._reference), ("reinforced", self._reinforced)):
            wanted = _inputs.wanted(self.method, source)
            if wanted.groups:
                answers[source] = frozen(model, batch, wanted)
        return {term.name: _inputs.values(term, answers, self.constants) for term in self.method.terms}

    def side_losses(self, model: nn.Module, batch: Mapping[str, Tensor], counts: Tensor) -> dict[str, Tensor]:
        """The weighted loss of each side, a scalar, as this process's share of the step's.

        Gradients are averaged over processes, so that each share is multiplied by their number.

        Args:
            model: What is called: the wrapped model, or the plain one.
            batch: What `Collator` made.
            counts: Elements of the whole step that the sums are divided by, (3 groups, 4 kinds).
        """
        losses: dict[str, Tensor] = {}
        for name, values in self.term_values(model, batch).items():
            term = self.method.term(name)
            group, kind = term.counted
            mean = values.sum() / counts[GROUPS.index(group), KINDS.index(kind)].clamp(min=1)
            self._sums[name] = self._sums.get(name, 0.0) + mean.detach()
            part = mean * (self.weights[name] * self.args.world_size)
            losses[term.loss.side] = losses.get(term.loss.side, 0.0) + part
        return losses

    def training_step(
        self, model: nn.Module, inputs: dict[str, Tensor], num_items_in_batch: Tensor | None = None
    ) -> Tensor:
        """Forward and backward of one micro-batch; at the last of a step, look at the terms and let the rule finish."""
        model.train()
        inputs = self._prepare_inputs(inputs)
        called = self.accelerator.unwrap_model(model) if self.step_rule.direct else model
        with self.compute_loss_context_manager():
            losses = self.side_losses(called, inputs, num_items_in_batch)
        self.step_rule.backward(self, losses)
        if self.accelerator.sync_gradients:
            self._finish_step()
            self.step_rule.finish(self)
        return sum(loss.detach() for loss in losses.values())

    def _finish_step(self) -> None:
        names = sorted(self._sums)
        local = torch.stack([self._sums[name].float() for name in names])
        totals = self.accelerator.reduce(local, reduction="sum").tolist()
        terms = dict(zip(names, totals, strict=True))
        self._sums = {}
        self.divergence.check_terms(terms, self.state.global_step + 1, self.args.output_dir)
        self._since_log.append({f"{self.method.term(name).loss.side}/{name}": value for name, value in terms.items()})
        for state in self._states.values():
            self._since_log[-1] |= state.after_step(terms, self.weights, self.state.epoch or 0.0)

    def loss_state(self) -> dict[str, object]:
        """What the losses need in order to go on: the terms' weights, and what each of them keeps."""
        return {"weights": self.weights, "states": {name: state.state_dict() for name, state in self._states.items()}}

    def load_loss_state(self, saved: Mapping[str, object]) -> None:
        """Take up what `loss_state` gave."""
        self.weights.update(saved["weights"])
        for name, kept in saved.get("states", {}).items():
            self._states[name].load_state_dict(kept)

    def forget_sums(self) -> None:
        """Drop what passes outside of training (a mask's gradient) have summed up."""
        self._sums = {}

    def check_gradients(self) -> None:
        """Before the optimizer's step: a gradient that is not finite never reaches the weights."""
        if gradients_finite(self.model, self.accelerator):
            return
        self.divergence.skip(self.state.global_step + 1, self.args.output_dir)
        for parameter in self.model.parameters():
            parameter.grad = None

    def log(self, logs: dict[str, float], *args: object, **kwargs: object) -> None:
        """Add the means of the terms since the last report."""
        if self._since_log and "loss" in logs:
            for name in self._since_log[0]:
                logs[name] = sum(step[name] for step in self._since_log) / len(self._since_log)
            self._since_log = []
        super().log(logs, *args, **kwargs)

    # ---- the models it is compared with ----

    def _head(self) -> nn.Module:
        return output_head(self.accelerator.unwrap_model(self.model))

    def _make_constants(self) -> dict[str, Tensor]:
        if not any(name == "direction" for _, name in self.method.inputs):
            return {}
        generator = torch.Generator().manual_seed(self.args.seed)
        direction = torch.rand(self.model.config.get_text_config().hidden_size, generator=generator)
        return {"direction": (direction / direction.norm()).to(self.args.device)}

    def _prepare_reference(self) -> None:
        if self._reference is not None or self._reference_kind is None:
            return
        if self._reference_kind == "adapter":
            self._reference = _reference.AdapterOff(self.model, self._head())
        elif self._reference_kind == "copy":
            self._reference = _reference.FrozenCopy(self.model)
        else:
            # The main process computes and writes, the others read what it wrote.
            with self.accelerator.main_process_first() if self.args.world_size > 1 else nullcontext():
                self._reference = self._stored_reference()

    def _stored_reference(self) -> _reference.Stored:
        wanted = _inputs.wanted(self.method, "reference")
        whole = _inputs.whole_distributions(self.method, "reference")
        key = _reference.store_key(self.data, wanted, whole, self.model.name_or_path)
        path = Path(self.args.output_dir, STORE_FILE)
        store = _reference.load_store(path, key, self._head())
        if store is None:
            store = _reference.build_store(
                self.model,
                self._head(),
                self.data,
                wanted,
                collator=self.data_collator,
                whole=whole,
                batch_size=max(8, self.args.per_device_train_batch_size),
                device=next(self.model.parameters()).device,
                context=self.accelerator.autocast,
            )
            _reference.save_store(store, path, key)
        if store.head is not None:
            store.head.to(self.args.device)
        return store


def _choose_reference(kind: str, model: PreTrainedModel, method: Method) -> Literal["adapter", "stored", "copy"] | None:
    if not method.needs("reference_"):
        return None
    has_adapter = is_peft_available() and hasattr(model, "disable_adapter")
    whole_batch = bool(_inputs.wanted(method, "reference").all_logits)
    # RWKV rescales its weights between training and evaluation, so one model cannot do both within a step.
    steady = model.config.model_type != "rwkv"
    if kind == "auto":
        return "adapter" if has_adapter and steady else "copy" if whole_batch else "stored"
    if kind == "adapter" and not has_adapter:
        raise UserError("--reference-from adapter needs --lora", hint="or take --reference-from stored")
    if kind == "stored" and whole_batch:
        raise UserError(
            "klr_released reads prompt and padding, which are not stored", hint="take --reference-from copy"
        )
    return kind
