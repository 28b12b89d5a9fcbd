"""Slow implementations without hooks, to hold the fast ones against: public outputs of transformers, loops over tokens.

Nothing here comes from `unlearn_bench.diagnostics`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def body(model: nn.Module) -> nn.Module:
    return getattr(model, "model", None) or model.gpt_neox


def final_norm(model: nn.Module) -> nn.Module:
    return model.gpt_neox.final_layer_norm if hasattr(model, "gpt_neox") else model.model.norm


def head(model: nn.Module) -> nn.Module:
    return model.get_output_embeddings()


def logits_by_level(model: nn.Module, ids: Sequence[int]) -> Tensor:
    """Logits of every level, (layers + 1, tokens, V); the last are the model's own output, not computed from states."""
    out = model(torch.tensor([ids]), output_hidden_states=True)
    cap = getattr(model.config, "final_logit_softcapping", None)
    levels = []
    for hidden in out.hidden_states[:-1]:  # transformers gives the last one normed already
        logits = head(model)(final_norm(model)(hidden))[0]
        levels.append(logits if cap is None else torch.tanh(logits / cap) * cap)
    return torch.stack([*levels, out.logits[0]])


class Overwritten(nn.Module):
    """A block whose output is overwritten at some positions."""

    def __init__(self, block: nn.Module, positions: Sequence[int], states: Tensor) -> None:
        super().__init__()
        self.block, self.positions, self.states = block, positions, states

    def __getattr__(self, name: str) -> object:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("block"), name)

    def forward(self, *args: object, **kwargs: object) -> Tensor:
        out = self.block(*args, **kwargs)
        out = out.clone()
        out[0, self.positions] = self.states
        return out


def block_outputs(model: nn.Module, ids: Sequence[int]) -> list[Tensor]:
    """Output of every block, (tokens, d), by cutting the model off behind it."""
    layers = body(model).layers
    found = []
    for index in range(len(layers)):
        # An identity in place of the final norm shows the last block's output.
        norm_name = "final_layer_norm" if hasattr(model, "gpt_neox") else "norm"
        norm = getattr(body(model), norm_name)
        body(model).layers = nn.ModuleList([*layers[: index + 1], *[Skip(block) for block in layers[index + 1 :]]])
        setattr(body(model), norm_name, nn.Identity())
        found.append(body(model)(torch.tensor([ids]), use_cache=False).last_hidden_state[0])
        setattr(body(model), norm_name, norm)
        body(model).layers = layers
    return found


class Skip(nn.Module):
    """A block that does nothing."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, hidden_states: Tensor, *args: object, **kwargs: object) -> Tensor:
        return hidden_states


def log_probability(model: nn.Module, ids: Sequence[int], span: range) -> float:
    """Mean log-probability of the tokens of a span, teacher-forced, by the model's own forward."""
    log_p = model(torch.tensor([ids])).logits[0].log_softmax(-1)
    return sum(log_p[i - 1, ids[i]].item() for i in span) / len(span)


def patched_log_probability(original: nn.Module, output: Tensor, ids: Sequence[int], span: range, level: int) -> float:
    """The same with one block's output, (tokens, d), from another model at the positions that predict the span."""
    positions = [i - 1 for i in span]
    states = output[positions]
    layers = body(original).layers
    changed = [Overwritten(b, positions, states) if i == level else b for i, b in enumerate(layers)]
    body(original).layers = nn.ModuleList(changed)
    try:
        return log_probability(original, ids, span)
    finally:
        body(original).layers = layers


def attention_input(model: nn.Module, layer: nn.Module, hidden: Tensor) -> Tensor:
    return layer.input_layernorm(hidden) if hasattr(layer, "input_layernorm") else hidden


def head_values(model: nn.Module, layer: nn.Module, hidden: Tensor) -> Tensor:
    """Value of each head at each token, (tokens, heads, size), computed from the weights."""
    config, kind = model.config, model.config.model_type
    heads = config.num_attention_heads
    read = attention_input(model, layer, hidden)
    if kind == "gpt_neox":
        size = config.hidden_size // heads
        qkv = layer.attention.query_key_value
        rows = [3 * size * h + 2 * size + i for h in range(heads) for i in range(size)]
        values = read @ qkv.weight[rows].T + qkv.bias[rows]
        return values.view(len(hidden), heads, size)
    size = layer.self_attn.head_dim
    shared = config.num_key_value_heads
    if kind == "phi3":
        values = read @ layer.self_attn.qkv_proj.weight[-shared * size :].T
    else:
        projection = layer.self_attn.v_proj
        values = read @ projection.weight.T + (0 if projection.bias is None else projection.bias)
    values = values.view(len(hidden), shared, size)
    return torch.stack([values[:, h * shared // heads] for h in range(heads)], 1)


def written(model: nn.Module, ids: Sequence[int], index: int) -> tuple[Tensor, dict[tuple[int, int, int], Tensor]]:
    """What joins the stream by attention of block `index`: (tokens, d) in all, and per (target, head, source)."""
    out = model(torch.tensor([ids]), output_hidden_states=True, output_attentions=True)
    layer, hidden = body(model).layers[index], out.hidden_states[index][0]
    attention = layer.attention if hasattr(layer, "attention") else layer.self_attn
    project = attention.dense if hasattr(attention, "dense") else attention.o_proj
    weights, values = out.attentions[index][0], head_values(model, layer, hidden)
    size = values.shape[-1]
    parts = {}
    for target in range(len(ids)):
        for h in range(weights.shape[0]):
            for source in range(target + 1):
                mixed = weights[h, target, source] * values[source, h]
                parts[target, h, source] = project.weight[:, h * size : (h + 1) * size] @ mixed
    bias = 0 if project.bias is None else project.bias
    whole = torch.stack([sum(p for (t, _, _), p in parts.items() if t == target) + bias for target in range(len(ids))])
    sandwiched = model.config.model_type in ("gemma2", "olmo2")
    if sandwiched:
        norm = layer.post_attention_layernorm
        scale = norm(whole) / whole
        return norm(whole), {key: part * scale[key[0]] for key, part in parts.items()}
    return whole, parts


def contribution(part: Tensor, whole: Tensor) -> float:
    return max(whole.abs().sum().item() - (whole - part).abs().sum().item(), 1e-5)
