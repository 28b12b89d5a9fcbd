"""Which models keep their past as keys and values per position, so that rows and columns of it can be put together."""

import inspect
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_EVERYTHING = frozenset({"attention", "full_attention"})
_ATTENTION = _EVERYTHING | {"sliding_attention", "chunked_attention"}
_WINDOWS = ("sliding_window", "attention_chunk_size", "window_size")


class Unsupported(Exception):
    """The model keeps its past in another form than keys and values per position."""


def check_supported(model: "PreTrainedModel") -> None:
    """Refuse a model that keeps its past in another form than keys and values per position.

    Raises:
        Unsupported: for state-space models and hybrids (`_is_stateful`, or layers other than attention), and for
            models that take no cache.
    """
    config = getattr(model, "config", None)
    kinds = getattr(config.get_text_config(), "layer_types", None) if config is not None else None
    other = set(kinds or ()) - _ATTENTION
    if other or getattr(model, "_is_stateful", False) or "past_key_values" not in forward_arguments(model):
        raise Unsupported(type(model).__name__)


def sees_everything(model: "PreTrainedModel", columns: int) -> bool:
    """Whether every token attends to all earlier ones among so many columns, padding between them included.

    A sliding window or a chunk counts columns: with padding inside a row it would hold fewer of the row's own tokens.
    """
    config = getattr(model, "config", None)
    text = None if config is None else config.get_text_config()
    kinds = set(getattr(text, "layer_types", None) or ())
    if kinds and kinds <= _EVERYTHING:
        return True
    windows = (getattr(text, name, None) for name in _WINDOWS)
    return all(window >= columns for window in windows if isinstance(window, int) and window)


def forward_arguments(model: "PreTrainedModel") -> frozenset[str]:
    """Names of what the model's own forward takes."""
    own = model.get_base_model() if hasattr(model, "get_base_model") else model  # peft's forward takes anything
    return frozenset(inspect.signature(own.forward).parameters)
