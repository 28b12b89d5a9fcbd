"""One pass of the model over a batch, with logits at answer positions only.

The output projection is the largest matrix of a small model and its float32 result the largest tensor of a step. A hook
before it keeps the hidden states from which an answer token is predicted, so that every architecture whose head is a
module works unchanged, with any processing of the logits (scaling, soft caps).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from unlearn_bench.errors import UserError
from unlearn_bench.losses.base import Answers, Group, answer_positions
from unlearn_bench.trainers._batches import GROUPS


@dataclass(frozen=True)
class Wanted:
    """What a pass must produce, by group.

    Attributes:
        logits: Groups whose answer logits are needed.
        all_logits: Groups whose logits are needed at every position.
        hidden: Groups whose hidden states of `layer` are needed: what the block puts out, before any final norm.
    """

    logits: frozenset[Group] = frozenset()
    all_logits: frozenset[Group] = frozenset()
    hidden: frozenset[Group] = frozenset()
    layer: int | None = None

    @property
    def groups(self) -> frozenset[Group]:
        """Groups of which anything is needed."""
        return self.logits | self.all_logits | self.hidden


@dataclass
class HeadInput:
    """Filled with the hidden states (N, d) that the head was given."""

    states: Tensor | None = field(default=None)


def output_head(model: nn.Module) -> nn.Module:
    """The module that makes logits of hidden states.

    Raises:
        UserError: if the model has none that can be found.
    """
    head = model.get_output_embeddings()
    if head is None:
        raise UserError(f"{type(model).__name__}: no output embeddings; only causal language models can be trained")
    return head


@contextmanager
def _head_only_at(head: nn.Module, mask: Tensor, seen: HeadInput | None) -> Iterator[None]:
    def select(_module: nn.Module, args: tuple) -> tuple:
        picked = args[0][mask]
        if seen is not None:
            seen.states = picked.detach()
        return (picked.unsqueeze(0), *args[1:])

    handle = head.register_forward_pre_hook(select)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _block_output(model: nn.Module, layer: int | None) -> Iterator[list[Tensor]]:
    """Collect what a block puts out: transformers' own list of states has its last entry behind the final norm."""
    found: list[Tensor] = []
    if layer is None:
        yield found
        return

    def keep(_module: nn.Module, _args: tuple, output: Tensor | tuple) -> None:
        found.append(output if isinstance(output, Tensor) else output[0])

    handle = blocks(model)[layer].register_forward_hook(keep)
    try:
        yield found
    finally:
        handle.remove()


def blocks(model: nn.Module) -> nn.ModuleList:
    """The blocks of a decoder, also of a wrapped one.

    Raises:
        UserError: if no list of modules is as long as the configuration says.
    """
    inner = next(m for m in model.modules() if hasattr(m, "config"))
    count = inner.config.get_text_config().num_hidden_layers
    found = next((m for m in inner.modules() if isinstance(m, nn.ModuleList) and len(m) == count), None)
    if found is None:
        raise UserError(f"{type(inner).__name__}: its {count} layers cannot be found, so that no layer can be named")
    return found


def answers_of(
    model: nn.Module, head: nn.Module, batch: Mapping[str, Tensor], wanted: Wanted, *, seen: HeadInput | None = None
) -> dict[Group, Answers]:
    """Run the model once over the wanted groups' rows.

    Args:
        model: As wrapped for training (DDP, FSDP), or plain.
        head: The output head of the model inside.
        batch: What `Collator` made.
        wanted: Which groups' rows are run, and what of them is kept.
        seen: Filled with what the head was given, in the order of the answers' logits.
    """
    rows = _in(batch["group"], wanted.groups).nonzero().squeeze(1)
    attention = batch["attention_mask"][rows]
    # The released KL averages over padding, whose extent must then be the same in every pass.
    width = attention.shape[1] if wanted.all_logits else int(attention.sum(dim=1).max())
    labels = batch["labels"][rows, :width]
    group = batch["group"][rows]
    predicts = answer_positions(labels) & _in(group, wanted.logits).unsqueeze(1)
    everywhere = _in(group, wanted.all_logits).unsqueeze(1).expand_as(predicts)
    mask = predicts | everywhere
    with _head_only_at(head, mask, seen), _block_output(model, wanted.layer) as states:
        output = model(
            input_ids=batch["input_ids"][rows, :width],
            attention_mask=attention[:, :width],
            use_cache=False,
        )
    logits = output.logits[0].float()
    hidden = states[0] if wanted.layer is not None else None
    found = {}
    for index, name in enumerate(GROUPS):
        if name in wanted.groups:
            found[name] = _group_answers(name, index, labels, group, mask, logits, hidden, wanted)
    return found


def _in(group: Tensor, names: frozenset[Group]) -> Tensor:
    chosen = torch.tensor([name in names for name in GROUPS], device=group.device)
    return chosen[group]


def _group_answers(
    name: Group,
    index: int,
    labels: Tensor,
    group: Tensor,
    mask: Tensor,
    logits: Tensor,
    hidden: Tensor | None,
    wanted: Wanted,
) -> Answers:
    mine = (group == index).unsqueeze(1)
    predicts = answer_positions(labels) & mine
    has_answer = predicts.any(dim=1)
    numbers = has_answer.cumsum(0) - 1
    rows, places = predicts.nonzero(as_tuple=True)
    at_answers = predicts[mask]
    at_all = mine.expand_as(mask)[mask]
    return Answers(
        labels=labels[rows, places + 1],
        sequence=numbers[rows],
        n_sequences=int(has_answer.sum()),
        logits=logits[at_answers] if name in wanted.logits else None,
        all_logits=logits[at_all] if name in wanted.all_logits else None,
        hidden=hidden[rows, places + 1].float() if name in wanted.hidden else None,
    )
