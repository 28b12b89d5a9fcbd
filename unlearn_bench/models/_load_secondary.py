"""From a name or a path to a folder that is safe to load: the same rules for every secondary model.

A secondary model judges answers (inference, similarity, perplexity); the judged model itself is loaded in `subject.py`.
Locating is apart from loading, so that a model which cannot be had stops the run before the first answer is generated,
and its weights are read only when the first text is to be judged.

Rules: safetensors only, unless pickle is allowed; no remote code, unless it is trusted; and no other model in place of
the one asked for.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from unlearn_bench.errors import UserError
from unlearn_bench.fingerprint import TOKENIZER_PATTERNS, sha256_files
from unlearn_bench.models._disentangled import speed_up_deberta
from unlearn_bench.models._packed_linear import pack_linear_layers

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

T = TypeVar("T")

_CONFIG_PATTERNS = ("config.json", "modules.json", "sentence_bert_config.json", "config_sentence_transformers.json")
_PICKLE_PATTERNS = ("*.bin", "*.pt", "*.pth", "*.ckpt")
_DOWNLOAD = ("*.json", "*.txt", "*.model", "*.jinja", "*.safetensors")
_OTHER_FORMATS = ("onnx/*", "openvino/*", "*.onnx", "flax*", "tf_*", "original/*")


@dataclass(frozen=True)
class Source:
    """A model that was found: where it lies, and what was asked for.

    Attributes:
        name: As the user wrote it, with the revision if one was given; a local path keeps only its last part.
        folder: Local folder with config, tokenizer and weights.
        allow_pickle, trust_remote_code: What the user allowed.
    """

    name: str
    folder: Path
    allow_pickle: bool = False
    trust_remote_code: bool = False

    @cached_property
    def config(self) -> Mapping[str, object]:
        """config.json as written."""
        return _read_json(self.folder / "config.json")

    @cached_property
    def sha256(self) -> str:
        """Hash over tensor files, configuration and tokenizer files, in subfolders too (pooling, dense layers)."""
        patterns = ("*.safetensors", *_CONFIG_PATTERNS, *TOKENIZER_PATTERNS, "chat_template*")
        folders = [self.folder, *(p for p in self.folder.iterdir() if p.is_dir() and (p / "config.json").is_file())]
        files = [f for folder in folders for pattern in patterns for f in folder.glob(pattern) if f.is_file()]
        if not any(f.suffix == ".safetensors" for f in files):
            files += [f for pattern in _PICKLE_PATTERNS for f in self.folder.glob(pattern)]
        digest = sha256_files(files, self.folder)
        if digest is None:
            raise UserError(f"{self.folder} has no files to take a fingerprint of")
        return digest


def locate(
    name: str,
    *,
    role: str,
    without: str,
    revision: str | None = None,
    allow_pickle: bool = False,
    trust_remote_code: bool = False,
) -> Source:
    """Find a model, download it if it is a hub name, and check that it may be loaded.

    Args:
        name: A local folder or a hub name.
        role: What the model is for, as it reads in a message ("NLI model").
        without: Which option does without this model; the hint of the error.
        revision: Commit, tag or branch at the hub; refused for a local folder, which has none.
        allow_pickle: Take pickled weights where there is no safetensors file.
        trust_remote_code: Run Python code that comes with the model.

    Raises:
        UserError: if it cannot be had, is no model folder, has only pickled weights, or wants remote code.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        if revision is not None:
            raise UserError(f"the {role} {name!r} is a folder, which has no revision {revision!r}")
        label = folder.resolve().name
    elif folder.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise UserError(f"the {role} {name!r} is not a folder", hint=without)
    else:
        folder = _download(name, role=role, without=without, revision=revision, allow_pickle=allow_pickle)
        label = name if revision is None else f"{name}@{revision}"
    source = Source(label, folder, allow_pickle, trust_remote_code)
    _check(source, role=role)
    return source


def _download(name: str, *, role: str, without: str, revision: str | None, allow_pickle: bool) -> Path:
    from huggingface_hub import snapshot_download

    patterns = [*_DOWNLOAD, *(_PICKLE_PATTERNS if allow_pickle else ())]
    try:
        path = snapshot_download(name, revision=revision, allow_patterns=patterns, ignore_patterns=list(_OTHER_FORMATS))
    except Exception as error:  # the hub's client raises errors of several HTTP libraries, all meaning: not to be had
        wanted = name if revision is None else f"{name} at revision {revision}"
        why = f"{type(error).__name__}: {_first_line(error)}"
        raise UserError(
            f"the {role} {wanted} is neither a folder here nor to be had from the hub ({why})",
            hint=f"give the path of a local copy, or do without: {without}",
        ) from error
    return Path(path)


def _check(source: Source, *, role: str) -> None:
    if not (source.folder / "config.json").is_file():
        raise UserError(f"the {role} {source.name!r} is no model: {source.folder} has no config.json")
    if "auto_map" in source.config and not source.trust_remote_code:
        raise UserError(
            f"the {role} {source.name!r} wants to run code that comes with it, which was not allowed",
            hint="read that code; if you trust it, add --trust-remote-code",
        )
    if any(source.folder.glob("*.safetensors")):
        return
    pickled = sorted(f.name for pattern in _PICKLE_PATTERNS for f in source.folder.glob(pattern))
    if source.allow_pickle and pickled:
        return
    found = f"only {', '.join(pickled)}, which can run any code when loaded" if pickled else "no weights"
    raise UserError(
        f"the {role} {source.name!r} has no safetensors file, {found}",
        hint="convert it to safetensors, or, if you trust it, add --allow-pickle",
    )


def load_tokenizer(source: Source, *, role: str) -> "PreTrainedTokenizerBase":
    """The tokenizer of a model; one without a pad token pads with its end-of-text token, which the mask hides."""
    from transformers import AutoTokenizer

    tokenizer = guarded(
        lambda: AutoTokenizer.from_pretrained(source.folder, trust_remote_code=source.trust_remote_code),
        f"the tokenizer of the {role} {source.name!r}",
    )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.bos_token or tokenizer.convert_ids_to_tokens(0)
    return tokenizer


def load_model(auto_class: type, source: Source, *, role: str, device: str, dtype: str) -> object:
    """Load the weights in evaluation mode, to be read from only: on a CPU they are packed.

    Args:
        auto_class: transformers' AutoModelFor….
        source: Where the model lies.
        role: What the model is called in messages.
        device: A torch device.
        dtype: Name of a torch dtype.

    Raises:
        UserError: if the folder does not hold all weights of such a model: a head that had to be made up would judge at
            random.
    """
    import torch

    model, info = guarded(
        lambda: auto_class.from_pretrained(
            source.folder,
            dtype=getattr(torch, dtype),
            use_safetensors=None if source.allow_pickle else True,
            trust_remote_code=source.trust_remote_code,
            output_loading_info=True,
        ),
        f"the {role} {source.name!r}",
    )
    if missing := sorted(info["missing_keys"]):
        raise UserError(
            f"the {role} {source.name!r} lacks weights that such a model needs: {', '.join(missing[:3])}",
            hint=f"it is a {source.config.get('architectures')}; name a model that was trained as {role}",
        )
    return pack_linear_layers(speed_up_deberta(model.to(device).eval()))


def guarded(load: Callable[[], T], what: str) -> T:
    """Call `load`; whatever it raises becomes one line for the user."""
    try:
        return load()
    except UserError:
        raise
    except Exception as error:  # torch, safetensors, tokenizers and json each have their own way to say: damaged
        raise UserError(f"could not load {what}: {type(error).__name__}: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "no message")[:300]


def _read_json(path: Path) -> Mapping[str, object]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not readable JSON: {_first_line(error)}") from error
    if not isinstance(value, dict):
        raise UserError(f"{path} should hold a JSON object, but holds a {type(value).__name__}")
    return value
