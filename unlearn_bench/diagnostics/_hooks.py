"""Plain forward hooks on a decoder's layers: what every diagnostic reads, for any architecture that fits.

A decoder fits where its logits are unembed(norm(h)) with an optional soft-cap; that is checked on the model at hand,
not assumed from its name. Attention is read where the block's parts can be identified (`AttentionParts`); `circuits`
checks that they sum to the block's output.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from unlearn_bench.errors import UserError

_LAYERS = ("layers", "h")
_NORMS = ("norm", "final_layer_norm", "ln_f", "final_layernorm")
_ATTENTIONS = ("self_attn", "attention", "attn")
_SECOND_NORMS = ("post_attention_layernorm", "pre_feedforward_layernorm", "ln_2")
_OUTPUTS = ("o_proj", "dense", "c_proj", "out_proj")
_READOUT_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-6}


@dataclass(frozen=True)
class AttentionParts:
    """The modules of one decoder block that `circuits` listens to.

    Attributes:
        output: The linear map from concatenated heads to the residual stream.
        value: The module that holds the values, and where in its output they are: "all", "tail" (query, key and value
            one after another) or "interleaved" (query, key, value per head).
        attention_norm, mlp_norm: Norms applied to the output of attention and MLP before they join the residual stream
            (Gemma2, OLMo2); None in most architectures.
        parallel: Attention and MLP read the same input (GPT-NeoX), instead of one after the other.
    """

    attention: nn.Module
    output: nn.Module
    value: nn.Module
    value_layout: str
    mlp: nn.Module
    attention_norm: nn.Module | None
    mlp_norm: nn.Module | None
    parallel: bool


@dataclass(frozen=True)
class Decoder:
    """A causal language model seen as embedding, blocks, final norm and unembedding."""

    model: nn.Module
    body: nn.Module
    layers: nn.ModuleList
    norm: nn.Module
    head: nn.Module

    @property
    def name(self) -> str:
        """The architecture, for messages."""
        return type(self.model).__name__

    @property
    def device(self) -> torch.device:
        """Where the inputs go."""
        return self.model.get_input_embeddings().weight.device

    @property
    def vocabulary(self) -> int:
        """Number of rows of the unembedding."""
        return self.head.weight.shape[0]

    @torch.no_grad()
    def unembed(self, hidden: Tensor) -> Tensor:
        """Residual stream (..., d) before the final norm to float32 logits (..., V)."""
        return self.read(self.norm(hidden))

    @torch.no_grad()
    def read(self, normed: Tensor) -> Tensor:
        """Normed states (..., d) to float32 logits (..., V), soft-capped where the model does (Gemma2)."""
        logits = self.head(normed).float()
        cap = getattr(self.model.config, "final_logit_softcapping", None)
        return logits if cap is None else cap * torch.tanh(logits / cap)


@dataclass
class Block:
    """What circuits needs of one block, (batch, tokens, …): see `record`."""

    entry: Tensor | None = None
    out: Tensor | None = None
    weights: Tensor | None = None
    value: Tensor | None = None
    heads: Tensor | None = None
    attention: Tensor | None = None
    attention_raw: Tensor | None = None
    mlp: Tensor | None = None


@dataclass
class Trace:
    """One forward pass.

    Attributes:
        hidden: Residual stream at the asked positions, one (asked, d) tensor per level: the embedding, then each block.
        final: The same positions after the final norm, (asked, d).
        blocks: Whole-sequence parts of each block, if asked for.
    """

    hidden: list[Tensor] = field(default_factory=list)
    final: Tensor | None = None
    blocks: list[Block] = field(default_factory=list)


def find_decoder(model: nn.Module) -> Decoder:
    """Find the parts of a causal language model, and check that they are all there is.

    Raises:
        UserError: if a part is missing, or the logits are not what norm and unembedding give (scaled logits, …).
    """
    body = model.get_decoder() if hasattr(model, "get_decoder") else None
    layers = _first(body, _LAYERS)
    norm = _first(body, _NORMS)
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    if not isinstance(layers, nn.ModuleList) or norm is None or head is None:
        missing = [n for n, part in (("layers", layers), ("final norm", norm), ("unembedding", head)) if part is None]
        raise _unsupported(model, f"no {' and no '.join(missing) or 'list of layers'} found")
    decoder = Decoder(model, body, layers, norm, head)
    _check_readout(decoder)
    return decoder


def attention_parts(decoder: Decoder) -> list[AttentionParts]:
    """Find the modules of every block that decompose attention.

    Raises:
        UserError: if a block has no attention with a known value and output projection.
    """
    return [_block_parts(decoder, layer) for layer in decoder.layers]


def _block_parts(decoder: Decoder, layer: nn.Module) -> AttentionParts:
    attention = _first(layer, _ATTENTIONS)
    output, mlp = _first(attention, _OUTPUTS), _first(layer, ("mlp",))
    layouts = (("v_proj", "all"), ("qkv_proj", "tail"), ("query_key_value", "interleaved"), ("c_attn", "tail"))
    value, layout = next(((m, kind) for name, kind in layouts if (m := _first(attention, (name,)))), (None, ""))
    if output is None or mlp is None or value is None:
        raise _unsupported(decoder.model, f"{type(layer).__name__} has no attention with known projections and an mlp")
    # Where the block norms its outputs, post_attention_layernorm does it; elsewhere it is the MLP's input norm.
    sandwich = hasattr(layer, "pre_feedforward_layernorm") or not (_first(layer, ("input_layernorm", "ln_1")))
    return AttentionParts(
        attention=attention,
        output=output,
        value=value,
        value_layout=layout,
        mlp=mlp,
        attention_norm=_first(layer, ("post_attention_layernorm",)) if sandwich else None,
        mlp_norm=_first(layer, ("post_feedforward_layernorm",)),
        parallel=getattr(layer, "use_parallel_residual", _first(layer, _SECOND_NORMS) is None),
    )


@torch.no_grad()
def record(
    decoder: Decoder,
    ids: Tensor,
    mask: Tensor,
    where: tuple[Tensor, Tensor],
    *,
    parts: list[AttentionParts] | None = None,
) -> Trace:
    """Run the decoder once, without the unembedding, and keep what is asked.

    Args:
        decoder: The model's parts.
        ids: Token ids, (batch, tokens), padded on the right.
        mask: 1 for tokens, (batch, tokens).
        where: Flat (row, position) indices at which hidden states are kept.
        parts: The blocks' modules; if given, each block's whole-sequence parts are kept too (needs `eager_attention`).
    """
    trace = Trace()
    with ExitStack() as stack:
        for index, layer in enumerate(decoder.layers):
            _listen_to_layer(stack, layer, index, where, trace)
        if parts is not None:
            trace.blocks = [Block() for _ in parts]
            for layer, part, block in zip(decoder.layers, parts, trace.blocks, strict=True):
                _listen_to_block(stack, layer, part, block)
        final = decoder.body(input_ids=ids, attention_mask=mask, use_cache=False)[0]
    trace.final = final[where]
    return trace


@contextmanager
def eager_attention(decoder: Decoder) -> Iterator[None]:
    """Use the attention that returns its weights; the fused kinds do not."""
    before = decoder.model.config._attn_implementation
    decoder.model.set_attn_implementation("eager")
    try:
        yield
    finally:
        decoder.model.set_attn_implementation(before)


def tensor(output: Tensor | tuple) -> Tensor:
    """A module's first output: blocks return a tensor or a tuple, depending on architecture and version."""
    return output[0] if isinstance(output, tuple) else output


def _listen_to_layer(
    stack: ExitStack, layer: nn.Module, index: int, where: tuple[Tensor, Tensor], trace: Trace
) -> None:
    def on_entry(_: nn.Module, args: tuple, kwargs: dict) -> None:
        trace.hidden.append(_entry(args, kwargs)[where])

    def on_exit(_: nn.Module, args: tuple, output: Tensor | tuple) -> None:
        trace.hidden.append(tensor(output)[where])

    if index == 0:
        _enter(stack, layer.register_forward_pre_hook(on_entry, with_kwargs=True))
    _enter(stack, layer.register_forward_hook(on_exit))


def _listen_to_block(stack: ExitStack, layer: nn.Module, parts: AttentionParts, block: Block) -> None:
    def on_entry(_: nn.Module, args: tuple, kwargs: dict) -> None:
        block.entry = _entry(args, kwargs)

    def on_exit(_: nn.Module, args: tuple, output: Tensor | tuple) -> None:
        block.out = tensor(output)

    def on_attention(_: nn.Module, args: tuple, output: tuple) -> None:
        block.attention_raw, block.weights = output[0], output[1]

    def on_heads(_: nn.Module, args: tuple) -> None:
        block.heads = args[0]

    def keep(name: str) -> object:
        def on_output(_: nn.Module, args: tuple, output: Tensor | tuple) -> None:
            setattr(block, name, tensor(output))

        return on_output

    _enter(stack, layer.register_forward_pre_hook(on_entry, with_kwargs=True))
    _enter(stack, layer.register_forward_hook(on_exit))
    _enter(stack, parts.attention.register_forward_hook(on_attention))
    _enter(stack, parts.output.register_forward_pre_hook(on_heads))
    _enter(stack, parts.value.register_forward_hook(keep("value")))
    _enter(stack, (parts.attention_norm or parts.attention).register_forward_hook(keep("attention")))
    _enter(stack, (parts.mlp_norm or parts.mlp).register_forward_hook(keep("mlp")))


def _enter(stack: ExitStack, handle: torch.utils.hooks.RemovableHandle) -> None:
    stack.callback(handle.remove)


def _entry(args: tuple, kwargs: dict) -> Tensor:
    return args[0] if args else kwargs["hidden_states"]


def _first(module: nn.Module | None, names: tuple[str, ...]) -> nn.Module | None:
    return next((found for n in names if isinstance(found := getattr(module, n, None), nn.Module)), None)


@torch.no_grad()
def _check_readout(decoder: Decoder) -> None:
    """Compare our logits with the model's own on a few tokens; a NaN model passes: it is broken, not unsupported."""
    ids = torch.arange(1, 9, device=decoder.device)[None] % decoder.vocabulary
    mask = torch.ones_like(ids)
    theirs = decoder.model(input_ids=ids, attention_mask=mask, use_cache=False).logits.float()
    every = (torch.zeros(8, dtype=torch.long, device=ids.device), torch.arange(8, device=ids.device))
    trace = record(decoder, ids, mask, every)
    tolerance = _READOUT_TOLERANCE.get(theirs.dtype, 5e-2) * max(1.0, theirs.abs().max().nan_to_num().item())
    for ours in (decoder.read(trace.final), decoder.unembed(trace.hidden[-1])):
        if (ours - theirs[0]).abs().nan_to_num().max() > tolerance:
            raise _unsupported(decoder.model, "its logits are not the unembedding of the normed last hidden state")


def _unsupported(model: nn.Module, why: str) -> UserError:
    return UserError(
        f"diagnose does not support {type(model).__name__}: {why}",
        hint="tested: Llama, Qwen2, Gemma2, Phi3, GPT-NeoX, OLMo2; others work where their blocks look alike",
    )
