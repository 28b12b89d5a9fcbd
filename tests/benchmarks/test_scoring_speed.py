"""Scoring 400 answers with neural parts: at least 3 times as fast as one at a time, same scores, one pass per text.

Models of the real shapes with random weights: DeBERTa-v3-base (12 layers, 768; its real vocabulary of 128,100 only
makes a bigger table to look up), MiniLM-L12 (12 layers, 384), a Llama of 102M parameters with a vocabulary of 32,000,
where the projection onto the vocabulary costs as in a real model. Lengths as in TOFU: answers of 45 +- 15 tokens,
questions of 18.

"One at a time" is what the paper's released code does: a classifier call per pair, an `encode` call per answer for the
entities of both sides, a forward pass with all logits per answer; written out here with plain transformers.

UNLEARN_BENCH_ANSWERS=40 makes a quick look. With OMP_NUM_THREADS=1 processor time is compared, which other jobs hardly
disturb; with more threads the wall clock, on a quiet machine only.
"""

import json
import math
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertModel,
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from unlearn_bench import formats
from unlearn_bench.models.embedder import Embedder
from unlearn_bench.models.nli import LABELS, NLIClassifier
from unlearn_bench.models.reference_lm import ReferenceLM

pytestmark = pytest.mark.benchmark

N = int(os.environ.get("UNLEARN_BENCH_ANSWERS", "400"))
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
WORDS = [f"w{i}" for i in range(2000)]


def tokenizer(*, pair: bool) -> PreTrainedTokenizerFast:
    inner = Tokenizer(models.WordLevel({w: i for i, w in enumerate(SPECIAL + WORDS)}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    if pair:
        inner.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        eos_token="[SEP]",
    )


def save(folder: Path, model: Any, *, pair: bool = True) -> Path:
    model.save_pretrained(folder)
    tokenizer(pair=pair).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules

    torch.manual_seed(0)
    root = tmp_path_factory.mktemp("models")
    deberta = DebertaV2Config(
        vocab_size=2048,
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=3072,
        relative_attention=True,
        position_buckets=256,
        norm_rel_ebd="layer_norm",
        share_att_key=True,
        pos_att_type=["p2c", "c2p"],
        max_relative_positions=-1,
        position_biased_input=False,
        type_vocab_size=0,
        pooler_hidden_size=768,
        pooler_hidden_act="gelu",
        id2label=dict(enumerate(LABELS)),
    )
    minilm = BertConfig(
        vocab_size=2048, hidden_size=384, num_hidden_layers=12, num_attention_heads=12, intermediate_size=1536
    )
    llama = LlamaConfig(
        vocab_size=32000,
        hidden_size=768,
        num_hidden_layers=11,
        num_attention_heads=12,
        intermediate_size=2048,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=3,
    )
    transformer = modules.Transformer(str(save(root / "bert", BertModel(minilm))))
    pooling = modules.Pooling(384, pooling_mode="mean")
    SentenceTransformer(modules=[transformer, pooling], device="cpu").save(str(root / "minilm"))
    return {
        "nli": save(root / "nli", DebertaV2ForSequenceClassification(deberta)),
        "embedder": root / "minilm",
        "lm": save(root / "lm", LlamaForCausalLM(llama), pair=False),
    }


@pytest.fixture(scope="module")
def items() -> list[dict[str, Any]]:
    """Questions, references, answers, and about 5 entities a side, of which half are also on the other side."""
    rng = random.Random(0)

    def text(mean: float, deviation: float, low: int, high: int) -> str:
        length = max(low, min(high, round(rng.gauss(mean, deviation))))
        return " ".join(rng.choice(WORDS) for _ in range(length))

    def entities() -> list[str]:
        return [" ".join(rng.choice(WORDS) for _ in range(rng.choice((1, 1, 2, 3)))) for _ in range(rng.randint(2, 8))]

    items = []
    for _ in range(N):
        reference = entities()
        kept = reference[: len(reference) // 2]
        items.append(
            {
                "question": text(18, 4, 8, 35),
                "reference": text(45, 15, 10, 99),
                "response": text(45, 15, 10, 99),
                "entities": (reference, kept + entities()[: len(reference) - len(kept)]),
            }
        )
    return items


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    # On one thread the processor's time is the wall clock of a quiet machine, whatever else runs.
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    start = clock()
    result = run()
    return clock() - start, result


def rows_of(model: torch.nn.Module) -> list[tuple[int, int]]:
    """Shapes (rows, width) of every batch that the model will see."""
    shapes: list[tuple[int, int]] = []
    model.register_forward_pre_hook(
        lambda _m, args, kwargs: shapes.append(tuple((kwargs or args[0])["input_ids"].shape)), with_kwargs=True
    )
    return shapes


def one_at_a_time(folders: dict[str, Path], items: list[dict[str, Any]]) -> dict[str, tuple[float, Any]]:
    from sentence_transformers import SentenceTransformer

    pair_tokens, plain_tokens = tokenizer(pair=True), tokenizer(pair=False)
    nli = DebertaV2ForSequenceClassification.from_pretrained(folders["nli"]).eval()
    embedder = SentenceTransformer(str(folders["embedder"]), device="cpu")
    lm = LlamaForCausalLM.from_pretrained(folders["lm"]).eval()

    @torch.no_grad()
    def infer(item: dict[str, Any]) -> list[float]:
        inputs = pair_tokens(item["response"], item["reference"], return_tensors="pt")
        return nli(**inputs).logits[0].softmax(-1).tolist()

    def embed(item: dict[str, Any]) -> np.ndarray:
        reference, response = item["entities"]
        vectors = embedder.encode(reference + response, show_progress_bar=False)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    @torch.no_grad()
    def perplexity(item: dict[str, Any]) -> float:
        start = len(plain_tokens(item["question"])["input_ids"])
        ids = plain_tokens(f"{item['question']} {item['response']}", return_tensors="pt")["input_ids"]
        labels = ids.clone()
        labels[:, :start] = -100
        return math.exp(lm(ids, labels=labels).loss.item())

    return {
        "nli": timed(lambda: [infer(item) for item in items]),
        "embedder": timed(lambda: [embed(item) for item in items]),
        "lm": timed(lambda: [perplexity(item) for item in items]),
    }


def in_batches(
    folders: dict[str, Path], items: list[dict[str, Any]]
) -> tuple[dict[str, tuple[float, Any]], dict[str, Any]]:
    nli = NLIClassifier(str(folders["nli"]), device="cpu")
    embedder = Embedder(str(folders["embedder"]), device="cpu")
    lm = ReferenceLM(str(folders["lm"]), device="cpu")
    shapes = {"nli": rows_of(nli.model), "embedder": rows_of(embedder.model[0]), "lm": rows_of(lm.model)}
    entities = [entity for item in items for side in item["entities"] for entity in side]
    outcomes = {
        "nli": timed(lambda: nli.predict([(item["response"], item["reference"]) for item in items])),
        "embedder": timed(lambda: embedder.encode(entities)),
        "lm": timed(lambda: lm.perplexity([(item["question"], item["response"]) for item in items])),
    }
    return outcomes, shapes


def test_batches_are_faster_and_change_nothing(folders: dict[str, Path], items: list[dict[str, Any]]) -> None:
    in_batches(folders, items[:8])  # warm up: first calls allocate
    fast, shapes = in_batches(folders, items)
    slow = one_at_a_time(folders, items)

    seconds = {part: (slow[part][0], fast[part][0]) for part in fast}
    ratio = sum(s for s, _ in seconds.values()) / sum(f for _, f in seconds.values())
    report = {part: f"{s:.1f} s -> {f:.1f} s ({s / f:.2f}x)" for part, (s, f) in seconds.items()}
    print(json.dumps({"answers": N, "threads": torch.get_num_threads(), "ratio": round(ratio, 2), **report}))

    expected = np.array(slow["nli"][1])
    np.testing.assert_allclose([[p[label] for label in LABELS] for p in fast["nli"][1]], expected, atol=1e-5)
    np.testing.assert_allclose(fast["embedder"][1], np.concatenate(slow["embedder"][1]), atol=1e-5)
    np.testing.assert_allclose(fast["lm"][1], slow["lm"][1], rtol=1e-5)

    distinct = {entity for item in items for side in item["entities"] for entity in side}
    assert {part: sum(rows for rows, _ in seen) for part, seen in shapes.items()} == {
        "nli": N,
        "embedder": len(distinct),
        "lm": N,
    }
    assert ratio >= 3, report


def test_the_packaged_judge_reads_400_answers(smollm2: str, shared_data: Path) -> None:
    """Real weights, real answers: those of a published run on TOFU."""
    log = shared_data / "logs" / "tofu_llama2-7b_retain90.json"
    responses = formats.read(log).responses[:N]
    lm, tokens = ReferenceLM(smollm2, device="cpu"), []
    lm.model.register_forward_hook(
        lambda _m, _a, kwargs, _out: tokens.append(kwargs["input_ids"].numel()), with_kwargs=True
    )
    processor = time.process_time()
    seconds, values = timed(lambda: lm.perplexity([(r.question, r.response) for r in responses]))
    processor = time.process_time() - processor
    print(f"\n{sum(tokens):,} tokens, {torch.get_num_threads()} threads: {seconds:.0f} s, processor {processor:.0f} s")
    assert len(values) == N
    assert all(1 <= value < math.inf for value in values if isinstance(value, float))
