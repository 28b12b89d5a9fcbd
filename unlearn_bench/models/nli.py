"""Natural language inference with any Hugging Face sequence-classification model.

    p(label | premise, hypothesis) = softmax(logits)        labels: entailment, neutral, contradiction

The released ReLearn code compares the label with the exact string "contradiction", so a model that says
"CONTRADICTION" or "LABEL_0" switches inference off without a warning. Here the labels are read from `id2label` in any
case, and a model without recognisable labels is refused until --nli-labels names them.

Too long pairs: the longer of the two texts is cut at its end, token by token, until the pair fits (transformers'
"longest_first"), so a rambling answer never pushes a short reference out.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, get_args

from unlearn_bench.errors import UserError
from unlearn_bench.hashing import sha256_json
from unlearn_bench.models import _load_secondary
from unlearn_bench.models._batching import length_sorted_batches, run_batches, tokens_per_batch, unique
from unlearn_bench.models.devices import choose_scorer_device
from unlearn_bench.schema import NLILabel

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

LABELS: tuple[NLILabel, ...] = get_args(NLILabel)
_SHORT = {
    "entail": "entailment",
    "entails": "entailment",
    "contradict": "contradiction",
    "contradicts": "contradiction",
}
_MAX_TOKENS = 8192
_VERSION = 1  # part of the fingerprint: raise it with any change that moves a number
_ROLE = "NLI model"
_WITHOUT = "--nli rules, or --profile offline"


class NLIClassifier:
    """Pairs of texts to the probabilities of the three labels.

    The model is located and its labels are checked in the constructor; its weights are loaded at the first prediction.

    Args:
        name: Folder or hub name.
        revision: Commit at the hub; pin it where numbers are to be compared.
        labels: Names of the model's outputs in their order, for a model whose configuration does not say.
        batch_size: Most pairs in a batch.
        max_tokens: Most tokens in a batch, padding included; else 8,192 on an accelerator, few on a CPU.
        max_length: Longest pair in tokens, special tokens included.
        dtype: Name of a torch dtype.

    Raises:
        UserError: if the model cannot be found or downloaded, or its labels are not recognised.
    """

    def __init__(
        self,
        name: str,
        *,
        revision: str | None = None,
        labels: Sequence[str] | None = None,
        batch_size: int = 32,
        max_tokens: int | None = None,
        max_length: int = 512,
        device: str | None = None,
        dtype: str = "float32",
        allow_pickle: bool = False,
        trust_remote_code: bool = False,
    ) -> None:
        self._source = _load_secondary.locate(
            name,
            role=_ROLE,
            without=_WITHOUT,
            revision=revision,
            allow_pickle=allow_pickle,
            trust_remote_code=trust_remote_code,
        )
        self.name = self._source.name
        self.labels = _recognise(self._source, labels)
        self._batch_size, self._max_tokens, self._max_length = batch_size, max_tokens, max_length
        self._device, self._dtype = device, dtype

    @cached_property
    def fingerprint(self) -> str:
        """Hash of weights, configuration, tokenizer, labels and everything else that moves a probability."""
        return sha256_json([_VERSION, self._source.sha256, self.labels, self._max_length, self._dtype])

    @cached_property
    def tokenizer(self) -> "PreTrainedTokenizerBase":
        """The model's tokenizer."""
        return _load_secondary.load_tokenizer(self._source, role=_ROLE)

    @cached_property
    def model(self) -> "PreTrainedModel":
        """The model, on its device; loading it takes seconds."""
        from transformers import AutoModelForSequenceClassification

        device = choose_scorer_device(self._device)
        return _load_secondary.load_model(
            AutoModelForSequenceClassification, self._source, role=_ROLE, device=device, dtype=self._dtype
        )

    def predict(self, pairs: Sequence[tuple[str, str]]) -> list[dict[str, float]]:
        """Probability of each label for each (premise, hypothesis), in the order of the pairs.

        Equal pairs are judged once. A model that returns NaN yields NaN for all labels of that pair.

        Returns:
            For each pair {"entailment": p, "neutral": p, "contradiction": p}, summing to 1.
        """
        different, where = unique(list(pairs))
        if not different:
            return []
        encoded = self._encode(different)
        lengths = [len(ids) for ids in encoded["input_ids"]]
        room = self._max_tokens or tokens_per_batch(self.model.device.type, accelerator=_MAX_TOKENS)
        batches = length_sorted_batches(lengths, max_items=self._batch_size, max_tokens=room)
        rows = run_batches(lambda batch: self._probabilities(encoded, batch), batches, len(different), role=_ROLE)
        return [dict(zip(self.labels, rows[i], strict=True)) for i in where]

    def _encode(self, pairs: list[tuple[str, str]]) -> dict[str, list[list[int]]]:
        limit = min(self._max_length, _positions(self._source, self._max_length))
        premises, hypotheses = zip(*pairs, strict=True)
        return self.tokenizer(list(premises), list(hypotheses), truncation="longest_first", max_length=limit)

    def _probabilities(self, encoded: dict[str, list[list[int]]], batch: list[int]) -> list[list[float]]:
        import torch

        rows = {key: [values[i] for i in batch] for key, values in encoded.items()}
        inputs = self.tokenizer.pad(rows, padding=True, return_tensors="pt").to(self.model.device)
        with torch.inference_mode():
            return self.model(**inputs).logits.float().softmax(-1).tolist()


def map_labels(names: Sequence[str]) -> dict[str, NLILabel] | None:
    """The inference label that each of a model's names stands for, in any case; None unless all three are there.

    A two-way model ("entailment", "not_entailment") has no contradiction.

    >>> map_labels(["CONTRADICTION", "Neutral", "entail"])
    {'CONTRADICTION': 'contradiction', 'Neutral': 'neutral', 'entail': 'entailment'}
    """
    plain = {name: name.strip().lower() for name in names}
    mapped = {name: _SHORT.get(label, label) for name, label in plain.items()}
    return mapped if set(mapped.values()) == set(LABELS) else None  # type: ignore[return-value]


def _positions(source: _load_secondary.Source, default: int) -> int:
    """How many tokens the model has positions for; RoBERTa-like models use two of them for padding."""
    positions = source.config.get("max_position_embeddings")
    if not isinstance(positions, int) or positions <= 0:
        return default
    return positions - 2 if "roberta" in str(source.config.get("model_type")) else positions


def _recognise(source: _load_secondary.Source, given: Sequence[str] | None) -> tuple[str, ...]:
    """The labels in the order of the model's outputs."""
    id2label = source.config.get("id2label")
    stated = (
        [str(v) for _, v in sorted(id2label.items(), key=lambda kv: int(kv[0]))] if isinstance(id2label, dict) else []
    )
    names = list(stated if given is None else given)
    labels = map_labels(names)
    if labels and len(names) == len(LABELS) and len(stated) in (0, len(LABELS)):
        return tuple(labels.values())
    said = (
        f"--nli-labels says {', '.join(given)}"
        if given is not None
        else f"its id2label says {', '.join(stated) or 'nothing'}"
    )
    raise UserError(
        f"the {_ROLE} {source.name!r} should have the labels {', '.join(LABELS)}, but {said}",
        hint=f"name the model's {len(stated) or 3} outputs in their order, for example --nli-labels {','.join(LABELS)}",
    )
