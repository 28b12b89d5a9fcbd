"""A PEFT adapter on a loaded model: the embedding fitted to it, every tensor accounted for, ties kept as trained."""

import re
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

from unlearn_bench.errors import UserError
from unlearn_bench.models.loading import guarded, judge
from unlearn_bench.models.weight_files import WeightFiles

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from torch import nn
    from transformers import PreTrainedModel

_PREFIX = "base_model.model."
_MISFIT = re.compile(r"size mismatch for (\S+): .*?Size\((.*?)\).*?Size\((.*?)\)", re.DOTALL)
# Their state is not part of the base model's modules, or they choose between several adapters.
_NOT_APPLIED = {"ADAPTION_PROMPT", "XLORA"}


def apply_adapter(
    model: "PreTrainedModel", weights: WeightFiles, *, what: str, on_partial: Callable[[str], None] | None = None
) -> "PeftModel":
    """Put an adapter on a model, in evaluation mode.

    Args:
        model: The base model.
        weights: The adapter's files, as `find_weights` returned them.
        what: The adapter, as messages call it.
        on_partial: Told what does not fit; without it, that is an error.

    Raises:
        UserError: naming the tensors that are missing, unexpected, or of another shape; or a type of adapter that
            cannot be scored.
    """
    config = guarded(lambda: _config(weights), what)
    kind = str(getattr(config.peft_type, "value", config.peft_type))
    if config.is_prompt_learning or kind in _NOT_APPLIED:
        raise UserError(
            f"{what}: adapters of type {kind} are not supported: they put virtual tokens or states before the prompt",
            hint="generate with PEFT itself and give the answers to `unlearn-bench score`",
        )
    longest = max((side for tensor in weights.tensors.values() for side in tensor.shape), default=0)
    if isinstance(rank := getattr(config, "r", None), int) and rank > max(longest, 1024):
        raise UserError(f"{what}: its rank is {rank}, and no tensor of its file has a side longer than {longest}")
    grown = guarded(lambda: _fit_embeddings(model, config, weights), what)
    peft_model, result = guarded(lambda: _load(model, config, weights, what, partial=on_partial is not None), what)
    made_up = [name for name in grown if f"{_PREFIX}{name}" not in weights.tensors]
    judge({"missing": sorted([*result.missing_keys, *made_up]), "unexpected": sorted(result.unexpected_keys)},
          what, on_partial)  # fmt: skip
    return peft_model.eval()


def _config(weights: WeightFiles) -> "PeftConfig":
    from peft import PeftConfig

    config = PeftConfig.from_pretrained(str(weights.folder))
    config.inference_mode = True
    return config


def _load(
    model: "PreTrainedModel", config: "PeftConfig", weights: WeightFiles, what: str, *, partial: bool
) -> tuple["PeftModel", object]:
    """As `PeftModel.from_pretrained`, which keeps to itself what did not fit."""
    from peft import MODEL_TYPE_TO_PEFT_MODEL_MAPPING, PeftModel

    wrapper = MODEL_TYPE_TO_PEFT_MODEL_MAPPING.get(config.task_type, PeftModel)
    key_mapping = getattr(model, "_checkpoint_conversion_mapping", {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they say is judged by the caller
        peft_model = wrapper(model, config, "default")
        try:
            result = peft_model.load_adapter(
                str(weights.folder),
                "default",
                torch_device=str(model.device),
                key_mapping=key_mapping,
                ignore_mismatched_sizes=partial,
            )
        except KeyError as error:  # a module that was trained whole
            raise UserError(f"{what}: the weights do not fit the model: {error.args[0]} is missing") from None
        except RuntimeError as error:
            misfits = [f"{n} [{file}] in the file, [{own}] in the model" for n, file, own in _misfits(error)]
            judge({"of another shape": misfits}, what, None)
            raise
    return peft_model, result


def _misfits(error: RuntimeError) -> list[tuple[str, str, str]]:
    return [tuple(part.strip("[]") for part in match) for match in _MISFIT.findall(str(error))]


def _fit_embeddings(model: "PreTrainedModel", config: "PeftConfig", weights: WeightFiles) -> list[str]:
    """Give the embedding as many rows as the adapter was trained with: tokens may have been added.

    Returns:
        Names of the weights that now have new rows, which the adapter's file must fill.
    """
    rows, trained = _trained_rows(model, config, weights)
    before = model.get_input_embeddings().num_embeddings
    if rows is None or rows == before:
        return []
    model.resize_token_embeddings(rows, mean_resizing=False)
    filled = set(range(before, rows)) <= trained
    modules = {name: module for name, module in _embeddings(model).items() if rows > before}
    names = [f"{name}.weight" for name in modules]
    if _tied(model):
        names = names[:1]
    return names[1:] if filled else names


def _trained_rows(model: "PreTrainedModel", config: "PeftConfig", weights: WeightFiles) -> tuple[int | None, set[int]]:
    """How many tokens the adapter's file has rows for, if stated, and which tokens it trained separately."""
    rows = [
        weights.tensors[key].shape[0]
        for name in _embeddings(model)
        if (key := f"{_PREFIX}{name}.weight") in weights.tensors
    ]
    rows += [tensor.shape[1] for key, tensor in weights.tensors.items() if "lora_embedding_A" in key]
    given = getattr(config, "trainable_token_indices", None) or getattr(config, "token_indices", None) or []
    lists = given.values() if isinstance(given, dict) else [given]
    trained = {int(index) for part in lists for index in part}
    if not rows and trained:
        rows = [max(*trained, model.get_input_embeddings().num_embeddings - 1) + 1]
    return (max(rows) if rows else None), trained


def _embeddings(model: "PreTrainedModel") -> dict[str, "nn.Module"]:
    """The input embedding and, if there is one, the output head, by name."""
    wanted = [m for m in (model.get_input_embeddings(), model.get_output_embeddings()) if m is not None]
    names = {id(module): name for name, module in model.named_modules()}
    return {names[id(module)]: module for module in wanted}


def _tied(model: "PreTrainedModel") -> bool:
    """Whether head and embedding are one tensor, and neither is wrapped by an adapter."""
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    plain = not any(list(module.children()) for module in (embedding, head) if module is not None)
    return plain and head is not None and head.weight is embedding.weight


def record_ties(model: "PreTrainedModel") -> None:
    """Let the configuration say whether head and embedding are one tensor, so that nothing ties them again.

    lm-eval ties the weights of any model that it is given. A checkpoint that holds both although its config.json says
    tied would lose its head, and so would an adapter that trained one of them.
    """
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    if inner.get_output_embeddings() is not None:
        for config in {id(c): c for c in (inner.config, inner.config.get_text_config())}.values():
            config.tie_word_embeddings = _tied(inner)
