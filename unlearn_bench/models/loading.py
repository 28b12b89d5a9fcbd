"""From weight files to a model that holds them all: nothing made up, nothing left out, no other file read.

transformers fills tensors that are missing from a file with random numbers, and warns. Here that is an error that
names the tensors.
"""

import logging
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from unlearn_bench.errors import UserError
from unlearn_bench.models._plausible import check_size
from unlearn_bench.models.weight_files import WeightFiles

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

T = TypeVar("T")

# These choose other files than those that are hashed, or hide what does not fit.
RESERVED = (
    "adapter_kwargs", "config", "gguf_file", "ignore_mismatched_sizes", "key_mapping", "output_loading_info",
    "pretrained", "pretrained_model_name_or_path", "revision", "state_dict", "subfolder", "use_safetensors", "variant",
    "weights_only",
)  # fmt: skip
NO_ADAPTER = {"subfolder": "no-adapter"}  # transformers would apply an adapter that lies in a checkpoint's folder
# Causal masks and rotation tables that older versions wrote among the weights of GPT-2, GPT-NeoX, Llama and others.
_OLD_BUFFERS = re.compile(
    r"(attn|attention)\.(bias|masked_bias)$|rotary_emb\.(inv_freq|cos_cached|sin_cached)$|(^|\.)position_ids$"
)
_NAMED = 3
_TOKENIZER_HINT = "copy tokenizer.json and tokenizer_config.json of the model it was made from into its folder"
MISFIT_HINT = "the files are damaged, or of another model; --allow-partial goes on with made-up numbers for them"


def guarded(load: Callable[[], T], what: str, hint: str | None = None) -> T:
    """Call `load`; any exception becomes a one-line UserError with a hint."""
    try:
        return load()
    except (UserError, KeyboardInterrupt, SystemExit):
        raise
    except MemoryError:
        raise UserError(f"{what}: it does not fit into the memory that this process may use") from None
    except BaseException as error:  # torch, safetensors, json and Rust's panics each have their own way to say: damaged
        raise UserError(f"{what}: cannot be loaded: {_one_line(error)}", hint=hint) from error


def _one_line(error: BaseException) -> str:
    """The first informative line of a message, with the line after it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or ["no message"]
    text = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    if "can't allocate memory" in text or "Cannot allocate memory" in text:
        return "it does not fit into the memory that this process may use"
    return f"{type(error).__name__}: {text}"[:300]


def load_model(
    auto_class: type,
    weights: WeightFiles,
    *,
    what: str,
    dtype: object,
    trust_remote_code: bool = False,
    on_partial: Callable[[str], None] | None = None,
    unexpected_is_error: bool = True,
    hint: str = MISFIT_HINT,
    **arguments: object,
) -> object:
    """Load the model of a folder from the named files.

    Args:
        auto_class: transformers' AutoModelFor….
        weights: What `find_weights` returned.
        what: The model, as messages call it.
        dtype: As `from_pretrained` takes it.
        trust_remote_code: Run code that comes with the model.
        on_partial: Told what does not fit; without it, that is an error.
        unexpected_is_error: Whether tensors that the model has no place for are an error.
        hint: What to do where tensors do not fit.
        arguments: Further arguments of `from_pretrained`.

    Raises:
        UserError: naming the tensors that are missing, unexpected, or of another shape; or why nothing can be loaded.
    """
    if reserved := [name for name in RESERVED if name in arguments]:
        raise UserError(
            f"{what}: --model-args {reserved[0]} is not taken: it would load other weights than those of the folder",
            hint="put the wanted files into a folder of their own",
        )
    config = read_config(weights.folder, what, trust_remote_code=trust_remote_code)
    with quiet():
        guarded(lambda: check_size(auto_class, config, weights, what), what)
        model, info = guarded(
            lambda: auto_class.from_pretrained(
                weights.folder,
                dtype=dtype,
                trust_remote_code=trust_remote_code,
                use_safetensors=not weights.pickled,
                adapter_kwargs=NO_ADAPTER,
                ignore_mismatched_sizes=True,  # so that they are named below
                output_loading_info=True,
                **arguments,
            ),
            what,
        )
    judge(misfits(info, unexpected_is_error=unexpected_is_error), what, on_partial, hint)
    return model


def load_tokenizer(
    folder: Path, what: str, *, trust_remote_code: bool = False, **arguments: object
) -> "PreTrainedTokenizerBase":
    """A tokenizer; one without a pad token pads with its end token, which the mask hides.

    Args:
        folder: Where its files lie.
        what: The model, as messages call it.
        trust_remote_code: Run code that comes with it.
        arguments: Further arguments of `from_pretrained` (padding_side).

    Raises:
        UserError: if there is no usable tokenizer, or it gives no tokens for a text.
    """
    from transformers import AutoTokenizer

    tokenizer = guarded(
        lambda: AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code, **arguments),
        f"the tokenizer of {what}",
        _TOKENIZER_HINT,
    )
    check_tokenizer(tokenizer, what)
    return tokenizer


def check_tokenizer(tokenizer: "PreTrainedTokenizerBase", what: str) -> None:
    """Give it a pad token where it has none.

    Raises:
        UserError: if it makes no tokens of a text.
    """
    if not guarded(lambda: tokenizer.encode("Who?", add_special_tokens=False), f"the tokenizer of {what}"):
        raise UserError(f"{what}: its tokenizer makes no tokens of a text", hint=_TOKENIZER_HINT)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token or tokenizer.convert_ids_to_tokens(0)


def misfits(info: Mapping[str, Collection], *, unexpected_is_error: bool = True) -> dict[str, list[str]]:
    """What transformers' loading report says of tensors that do not fit, as `judge` takes it."""
    return {
        "missing": sorted(info["missing_keys"]),
        "unexpected": sorted(n for n in info["unexpected_keys"] if unexpected_is_error and not _OLD_BUFFERS.search(n)),
        "of another shape": [
            f"{name} {list(file)} in the file, {list(wanted)} in the model"
            for name, file, wanted in sorted(info["mismatched_keys"])
        ],
    }


def judge(
    wrong: Mapping[str, list[str]], what: str, on_partial: Callable[[str], None] | None, hint: str = MISFIT_HINT
) -> None:
    """Stop where tensors do not fit, or call `on_partial` with them.

    Args:
        wrong: What is the matter with them, to the names of tensors.
        what: The model, as messages call it.
        on_partial: None where a partly loaded model is an error.
        hint: What to do then.

    Raises:
        UserError: naming the first tensors of each kind, and how many there are.
    """
    parts = [
        f"{len(names)} {kind} ({', '.join(names[:_NAMED])}{', …' if len(names) > _NAMED else ''})"
        for kind, names in wrong.items()
        if names
    ]
    if not parts:
        return
    said = f"tensors {'; '.join(parts)}"
    if on_partial is None:
        raise UserError(f"{what}: the weights do not fit the model: {said}", hint=hint)
    on_partial(said)


def read_config(folder: Path, what: str, *, trust_remote_code: bool = False) -> "PretrainedConfig":
    """The configuration of a model.

    Raises:
        UserError: if transformers does not know such a model, or a value makes no sense to it.
    """
    from transformers import AutoConfig

    with quiet():
        return guarded(lambda: AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code), what)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers' progress bars and loading reports; errors are raised as one line."""
    from transformers.utils import logging as own

    logger = logging.getLogger("transformers")
    level, bars = logger.level, own.is_progress_bar_enabled()
    logger.setLevel(logging.ERROR)
    own.disable_progress_bar()
    try:
        yield
    finally:
        logger.setLevel(level)
        if bars:
            own.enable_progress_bar()
