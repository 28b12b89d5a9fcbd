"""What can be said and done of a model with a PEFT adapter on it: merged, additive, dead."""

from typing import TYPE_CHECKING

from unlearn_bench.models._adapter import record_ties
from unlearn_bench.models.loading import guarded

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

_ADDITIVE = {"LORA", "ADALORA", "LOHA", "LOKR", "VERA", "FOURIERFT"}  # adapters that add a matrix to a weight


def merge_adapter(model: "PeftModel", what: str) -> "PreTrainedModel":
    """The base model with its adapter merged, every parameter trainable.

    Raises:
        UserError: for a type of adapter that cannot be merged.
    """
    merged = guarded(model.merge_and_unload, f"{what}: it cannot be merged into its base")
    record_ties(merged)
    return merged.requires_grad_(True)


def adds_to_weights(model: "PreTrainedModel") -> bool:
    """Whether what an adapter changes is a matrix added to a weight, or a module trained whole; True without one."""
    configs = getattr(model, "peft_config", {}).values()
    return all(
        str(getattr(config.peft_type, "value", config.peft_type)) in _ADDITIVE
        and not getattr(config, "use_dora", False)
        and not getattr(config, "trainable_token_indices", None)
        for config in configs
    )


def is_dead_adapter(model: "PreTrainedModel") -> bool | None:
    """Whether an adapter changes nothing: its update is zero in every layer (a known silent failure of LoRA training).

    Returns:
        None if the model has no adapter, or one of a kind whose update cannot be read.
    """
    kinds = {str(config.peft_type.value) for config in getattr(model, "peft_config", {}).values()}
    layers = [m for m in model.modules() if hasattr(m, "get_delta_weight") and hasattr(m, "active_adapters")]
    if not layers or not kinds <= _ADDITIVE:
        return None
    if any(getattr(m, "modules_to_save", None) for m in model.modules()):
        return None
    return all(not m.get_delta_weight(name).any() for m in layers for name in m.active_adapters)
