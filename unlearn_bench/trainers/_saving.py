"""What a saved checkpoint takes over from the one it was trained from, also where transformers would change it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)

_TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id")


def make_savable(model: "PreTrainedModel") -> None:
    """Mend a generation configuration that transformers loads and then refuses to save, as that of Llama-2.

    Sampling settings without `do_sample` get it; of what stays invalid only the special tokens are kept.
    """
    config = getattr(model, "generation_config", None)
    if config is None or _is_valid(config):
        return
    config.do_sample = True
    if _is_valid(config):
        log.info("generation_config: do_sample is set, for its sampling settings mean nothing without it")
        return
    model.generation_config = type(config)(**{name: getattr(config, name) for name in _TOKENS})
    log.warning("generation_config: transformers does not save its settings; only the special tokens are kept")


def _is_valid(config: object) -> bool:
    try:
        config.validate(strict=True)
    except ValueError:
        return False
    return True


@contextmanager
def unchanged_use_cache(model: "PreTrainedModel") -> Iterator[None]:
    """Undo what transformers' trainer writes into the model's configuration when it is made."""
    before = getattr(model.config, "use_cache", None)
    try:
        yield
    finally:
        if before is not None:
            model.config.use_cache = before
        elif hasattr(model.config, "use_cache"):
            del model.config.use_cache
