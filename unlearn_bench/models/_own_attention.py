"""One of our attention functions in the place of transformers' "sdpa", for a while."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@contextmanager
def own_attention(model: "PreTrainedModel", name: str, register: Callable[[], None]) -> Iterator[bool]:
    """A float32 model on the CPU that has transformers' "sdpa" attention has another inside; "sdpa" is back after.

    Args:
        model: In evaluation mode; one of several parts (text and images) stays as it is.
        name: Of the function in transformers' registry.
        register: Puts it there.

    Yields:
        Whether the model has it.
    """
    import torch

    from unlearn_bench.models.loading import quiet

    config = getattr(model, "config", None)
    alone = getattr(config, "_attn_implementation", None) == "sdpa" and not config.sub_configs
    if not alone or (model.device.type, model.dtype) != ("cpu", torch.float32):
        yield False
        return
    register()
    try:
        with quiet():  # a model that takes no other attention says so, and keeps its own
            model.set_attn_implementation(name)
        yield True
    finally:
        model.set_attn_implementation("sdpa")
