"""The model before unlearning, without a second copy of it.

`adapter`: with LoRA, the model in training with its adapters switched off. `stored`: one pass over the fixed rows
before training; kept are the log-probabilities of the answer tokens, or, where a loss needs whole distributions, the
hidden states that go into the output head (d numbers a token instead of V) with a copy of the head alone. `copy`: a
second model, for what the others cannot do.
"""

import copy
import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from unlearn_bench.errors import UserError
from unlearn_bench.losses.base import Answers, Group
from unlearn_bench.trainers._batches import GROUPS, Collator, Example, PairedDataset
from unlearn_bench.trainers._forward import HeadInput, Wanted, answers_of

KINDS = ("auto", "adapter", "stored", "copy")


class Reference(Protocol):
    """Answers of the frozen model for a batch; every tensor without gradient."""

    def __call__(self, model: nn.Module, batch: Mapping[str, Tensor], wanted: Wanted) -> dict[Group, Answers]: ...


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """No gradient and no dropout; the model's mode is restored."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)


class AdapterOff:
    """The model in training with its adapters switched off: exact, and nothing is kept."""

    def __init__(self, peft_model: nn.Module, head: nn.Module) -> None:
        self.peft_model = peft_model
        self.head = head

    def __call__(self, model: nn.Module, batch: Mapping[str, Tensor], wanted: Wanted) -> dict[Group, Answers]:
        """Run the wrapped model, so that sharded weights are gathered as in training."""
        with frozen(model), self.peft_model.disable_adapter():
            return answers_of(model, self.head, batch, wanted)


class FrozenCopy:
    """A second model."""

    def __init__(self, model: nn.Module) -> None:
        self.copy = copy.deepcopy(model).requires_grad_(False).eval()

    def __call__(self, model: nn.Module, batch: Mapping[str, Tensor], wanted: Wanted) -> dict[Group, Answers]:
        """Run the copy; `model` is ignored."""
        with torch.no_grad():
            return answers_of(self.copy, self.copy.get_output_embeddings(), batch, wanted)


class Stored:
    """What one pass over the fixed rows left behind.

    Args:
        head: A frozen copy of the head, None where log-probabilities are enough.
        tensors: "<group>.<kind>" to the concatenated rows, and "<group>.start" to where each row begins.
    """

    def __init__(self, head: nn.Module | None, tensors: Mapping[str, Tensor]) -> None:
        self.head = head
        self.tensors = dict(tensors)

    @property
    def nbytes(self) -> int:
        """Memory that the store takes."""
        return sum(t.numel() * t.element_size() for t in self.tensors.values())

    def __call__(self, model: nn.Module, batch: Mapping[str, Tensor], wanted: Wanted) -> dict[Group, Answers]:
        """Look up the batch's rows; `model` is ignored."""
        return {name: self._answers(name, batch, wanted) for name in GROUPS if name in wanted.groups}

    def _answers(self, name: Group, batch: Mapping[str, Tensor], wanted: Wanted) -> Answers:
        device = batch["labels"].device
        mine = batch["row"][batch["group"] == GROUPS.index(name)].tolist()
        rows = [row for row in mine if row >= 0]
        start = self.tensors[f"{name}.start"]
        spans = [slice(int(start[row]), int(start[row + 1])) for row in rows]

        def gather(kind: str) -> Tensor | None:
            flat = self.tensors.get(f"{name}.{kind}")
            if flat is None:
                return None
            return torch.cat([flat[span] for span in spans] or [flat[:0]]).to(device, non_blocking=True)

        lengths = torch.tensor([span.stop - span.start for span in spans], dtype=torch.long)
        states = gather("states")
        return Answers(
            labels=gather("labels"),
            sequence=torch.repeat_interleave(torch.arange(len(rows)), lengths).to(device),
            n_sequences=len(rows),
            logits=None if states is None or name not in wanted.logits else self._logits(states),
            hidden=gather("hidden") if name in wanted.hidden else None,
            stored_log_probs=gather("log_probs"),
        )

    @torch.no_grad()
    def _logits(self, states: Tensor) -> Tensor:
        return self.head(states).float()


def build_store(
    model: nn.Module,
    head: nn.Module,
    data: PairedDataset,
    wanted: Wanted,
    *,
    collator: Collator,
    whole: frozenset[Group],
    batch_size: int = 8,
    device: torch.device | str = "cpu",
    context: Callable[[], AbstractContextManager] = nullcontext,
) -> Stored:
    """Pass once over the rows of the wanted groups, the shortest first, so that little is padded.

    `whole` names the groups whose whole distributions are needed, not only the answer tokens' log-probabilities;
    `context` is entered around each pass (automatic mixed precision).

    Raises:
        UserError: if the logits are not the head's output alone, so that hidden states do not determine them.
    """
    tensors = {}
    for name in wanted.groups:
        only = replace(wanted, logits=wanted.logits & {name}, hidden=wanted.hidden & {name})
        rows = data.groups[name]
        order = sorted(range(len(rows)), key=lambda i: len(rows[i].input_ids))
        parts: dict[int, dict[str, Tensor]] = {}
        for begin in range(0, len(order), batch_size):
            chosen = order[begin : begin + batch_size]
            batch = collator([Example({name: (row, rows[row])}) for row in chosen])
            batch = {key: value.to(device) for key, value in batch.items()}
            with frozen(model), context():
                parts |= _parts(model, head, batch, only, name, chosen, name in whole)
        for kind in parts[0]:
            tensors[f"{name}.{kind}"] = torch.cat([parts[row][kind] for row in range(len(rows))])
        lengths = torch.tensor([0, *(len(parts[row]["labels"]) for row in range(len(rows)))])
        tensors[f"{name}.start"] = lengths.cumsum(0)
    kept = copy.deepcopy(head).requires_grad_(False) if whole else None
    return Stored(kept, tensors)


def _parts(
    model: nn.Module,
    head: nn.Module,
    batch: Mapping[str, Tensor],
    wanted: Wanted,
    name: Group,
    rows: list[int],
    whole: bool,
) -> dict[int, dict[str, Tensor]]:
    seen = HeadInput()
    answers = answers_of(model, head, batch, wanted, seen=seen)[name]
    kinds = {"labels": answers.labels}
    if name in wanted.logits and whole:
        _check_head(head, seen.states, answers.logits)
        kinds["states"] = seen.states
    elif name in wanted.logits:
        kinds["log_probs"] = answers.log_probs
    if answers.hidden is not None:
        kinds["hidden"] = answers.hidden
    split = {kind: value.cpu().split(answers.lengths.long().tolist()) for kind, value in kinds.items()}
    return {row: {kind: pieces[i].clone() for kind, pieces in split.items()} for i, row in enumerate(rows)}


def _check_head(head: nn.Module, states: Tensor, logits: Tensor) -> None:
    if not torch.allclose(head(states[:1]).float(), logits[:1], rtol=1e-3, atol=1e-3):
        raise UserError(
            "this model changes its logits after the output head (a scale or a soft cap), so they cannot be stored",
            hint="pass --reference-from copy, or train an adapter with --lora",
        )


def save_store(store: Stored, path: Path, key: str) -> None:
    """Write a store, so that a resumed run has the reference of the run it continues."""
    from safetensors.torch import save_file

    head = {} if store.head is None else {f"head.{k}": v.contiguous() for k, v in store.head.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({**store.tensors, **head}, path, metadata={"key": key})


def load_store(path: Path, key: str, head: nn.Module) -> Stored | None:
    """Read a store; None if it is missing, or belongs to other rows or another model."""
    from safetensors import safe_open

    if not path.is_file():
        return None
    with safe_open(path, framework="pt") as file:
        if (file.metadata() or {}).get("key") != key:
            return None
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    weights = {k.removeprefix("head."): tensors.pop(k) for k in list(tensors) if k.startswith("head.")}
    if not weights:
        return Stored(None, tensors)
    kept = copy.deepcopy(head).requires_grad_(False)
    kept.load_state_dict(weights)
    return Stored(kept, tensors)


def store_key(data: PairedDataset, wanted: Wanted, whole: frozenset[Group], model_name: str) -> str:
    """What a store depends on: the rows, what is kept of them, and the model they were run through."""
    digest = hashlib.sha256(repr((sorted(wanted.groups), sorted(whole), wanted.layer, model_name)).encode())
    for name in sorted(wanted.groups):
        for row in data.groups[name]:
            digest.update(repr((row.answer_start, row.input_ids)).encode())
    return digest.hexdigest()
