"""Sentence embeddings with any sentence-transformers model: entity similarity is the cosine of two embeddings.

The paper uses all-MiniLM-L12-v2. Different strings are embedded once each, however often they occur: entities repeat.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from unlearn_bench.errors import UserError
from unlearn_bench.hashing import sha256_json
from unlearn_bench.models import _load_secondary, loading
from unlearn_bench.models._batching import unique
from unlearn_bench.models._packed_linear import pack_linear_layers
from unlearn_bench.models.devices import choose_scorer_device

DEFAULT_EMBEDDER = "sentence-transformers/all-MiniLM-L12-v2"
_VERSION = 1  # part of the fingerprint: raise it with any change that moves a number
_ROLE = "embedding model"
_WITHOUT = "--similarity lexical, --similarity minilm-l6 (from a package), or --profile offline"


class Embedder:
    """Texts to unit vectors.

    The model is located in the constructor and loaded at the first call.

    Args:
        name: Folder or hub name of a sentence-transformers model.
        revision: Commit at the hub; pin it where numbers are to be compared.
        batch_size: Texts in a batch; sentence-transformers sorts them by length.
        without: The options that do without it, for the hint of an error.

    Raises:
        UserError: if the model cannot be found or downloaded, or is not a sentence-transformers model.
    """

    def __init__(
        self,
        name: str = DEFAULT_EMBEDDER,
        *,
        revision: str | None = None,
        batch_size: int = 128,
        device: str | None = None,
        allow_pickle: bool = False,
        trust_remote_code: bool = False,
        without: str = _WITHOUT,
    ) -> None:
        self._source = _load_secondary.locate(
            name,
            role=_ROLE,
            without=without,
            revision=revision,
            allow_pickle=allow_pickle,
            trust_remote_code=trust_remote_code,
        )
        if not (self._source.folder / "modules.json").is_file():
            raise UserError(
                f"the {_ROLE} {name!r} has no modules.json, which says how its token vectors become one",
                hint=f"name a sentence-transformers model, for example {DEFAULT_EMBEDDER}",
            )
        self.name = self._source.name
        self._batch_size, self._device = batch_size, device

    @cached_property
    def fingerprint(self) -> str:
        """Hash of weights, pooling, configuration and tokenizer."""
        return sha256_json([_VERSION, self._source.sha256])

    @cached_property
    def model(self) -> object:
        """The model, on its device; loading it takes seconds."""
        from sentence_transformers import SentenceTransformer

        source = self._source
        return loading.guarded(
            lambda: pack_linear_layers(
                SentenceTransformer(
                    str(source.folder),
                    device=choose_scorer_device(self._device),
                    trust_remote_code=source.trust_remote_code,
                    local_files_only=True,
                    model_kwargs={
                        "use_safetensors": not source.weights[0].pickled,
                        "adapter_kwargs": loading.NO_ADAPTER,
                    },
                ).eval()
            ),
            f"the {_ROLE} {source.name!r}",
        )

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Embed texts.

        Returns:
            Array (len(texts), d), float32, each row of length 1.
        """
        import torch

        different, where = unique(list(texts))
        if not different:
            return np.zeros((0, self.model.get_embedding_dimension()), dtype=np.float32)
        with torch.inference_mode():
            vectors = self.model.encode(
                different,
                batch_size=self._batch_size,
                normalize_embeddings=True,
                convert_to_numpy=True,
                show_progress_bar=False,
            )
        return vectors.astype(np.float32, copy=False)[where]
