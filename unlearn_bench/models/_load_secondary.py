"""A secondary model, which judges answers (inference, similarity, perplexity): found and loaded as the judged model is.

Locating is apart from loading, so that a model which is not there stops the run before the first answer is generated,
and its weights are read only when the first text is to be judged.

Rules: safetensors only, unless pickle is allowed; no remote code, unless it is trusted; no missing tensors; and no
other model in place of the one asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_bench.hashing import TOKENIZER_PATTERNS, sha256_files
from unlearn_bench.models import loading
from unlearn_bench.models import locate as places
from unlearn_bench.models._disentangled import speed_up_deberta
from unlearn_bench.models._json import read_json
from unlearn_bench.models._packed_linear import pack_linear_layers
from unlearn_bench.models._template import check_template
from unlearn_bench.models.weight_files import WeightFiles, find_weights

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_CONFIG_PATTERNS = ("config.json", "modules.json", "sentence_bert_config.json", "config_sentence_transformers.json")


@dataclass(frozen=True)
class Source:
    """A model that was found: where it lies, and what was asked for.

    Attributes:
        name: As the user wrote it, with the revision if one was given; a local path keeps only its last part.
        weights: The files that are loaded: of the folder, then of its parts in subfolders (dense layers).
        trust_remote_code: What the user allowed.
    """

    name: str
    weights: tuple[WeightFiles, ...]
    trust_remote_code: bool = False

    @property
    def folder(self) -> Path:
        """Local folder with config, tokenizer and weights."""
        return self.weights[0].folder

    @cached_property
    def config(self) -> Mapping[str, object]:
        """config.json as written."""
        return read_json(self.folder / "config.json")

    @cached_property
    def sha256(self) -> str:
        """Hash over weight files, configuration and tokenizer files, in subfolders too (pooling, dense layers).

        A GGUF file holds all of them, so its hash covers everything.
        """
        if (original := self.weights[0].original_sha256) is not None:
            return original
        patterns = (*_CONFIG_PATTERNS, *TOKENIZER_PATTERNS, "chat_template*")
        files = [f for folder in (self.folder, *_parts(self.folder)) for p in patterns for f in folder.glob(p)]
        files = [f for f in files if f.is_file()] + [f for weights in self.weights for f in weights.files]
        digest = sha256_files(files, self.folder)
        assert digest is not None  # there are weights
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
        name: A packaged name, a local folder or GGUF file, or a hub name.
        role: What the model is for, as it reads in a message ("NLI model").
        without: Which option does without this model; the hint of the error.
        revision: Commit, tag or branch at the hub; refused for a local folder, which has none.
        allow_pickle: Accept pickled weights where there is no safetensors file.
        trust_remote_code: Run Python code that comes with the model.

    Raises:
        UserError: if it is missing, not a model folder, has only pickled weights, or needs remote code.
    """
    what = f"the {role} {name!r}"
    found = places.locate(
        name,
        what=what,
        hint=f"do without: {without}",
        revision=revision,
        allow_pickle=allow_pickle,
        trust_remote_code=trust_remote_code,
        bare_names=True,
    )
    safety = {"allow_pickle": allow_pickle}
    weights = [places.checked_weights(found, what=what, trust_remote_code=trust_remote_code, **safety)]
    for part in _parts(found.folder):
        if any(part.glob("*.safetensors")) or any(part.glob("*.bin")):
            weights.append(find_weights(part, what=f"{what}, {part.name}", **safety))
    return Source(name if revision is None else f"{found.name}@{revision}", tuple(weights), trust_remote_code)


def _parts(folder: Path) -> list[Path]:
    """Subfolders that hold a part of the model."""
    return sorted(p for p in folder.iterdir() if p.is_dir() and (p / "config.json").is_file())


def load_tokenizer(source: Source, *, role: str, template_hint: str | None = None) -> "PreTrainedTokenizerBase":
    """The tokenizer of a model.

    Args:
        source: Where the model lies.
        role: What the model is called in messages.
        template_hint: How to do without the chat template, which is tried; None where it is not used.
    """
    what = f"the {role} {source.name!r}"
    tokenizer = loading.load_tokenizer(source.folder, what, trust_remote_code=source.trust_remote_code)
    if template_hint is not None:
        check_template(tokenizer, what, template_hint)
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
            random. Tensors of other heads may be left over.
    """
    import torch

    model = loading.load_model(
        auto_class,
        source.weights[0],
        what=f"the {role} {source.name!r}, a {source.config.get('architectures')}",
        dtype=getattr(torch, dtype),
        trust_remote_code=source.trust_remote_code,
        unexpected_is_error=False,
        hint=f"name a model that was trained as {role}",
    )
    return pack_linear_layers(speed_up_deberta(model.to(device).eval()))
